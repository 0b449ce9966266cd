"""Where each visual token lies in its image, for every supported family of vision-language models.

One small function per family turns the arguments of `get_image_features` into extents: edges (left, top, right,
bottom) of each visual token in [0, 1] of its image, in the order in which the model puts them on the image
placeholders. Tokens without a place (newlines after rows) are NaN.

Adding a family, for instance one that shows the whole image as a square grid:

    @family("my_vlm")
    def my_vlm(call: ImageCall) -> list[Tensor]:
        side = call.config.vision_config.image_size // call.config.vision_config.patch_size
        return [grid(side, side)] * len(call.pixel_values)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from agrilape.errors import ModelError


@dataclass(frozen=True)
class ImageCall:
    """What is known of a batch of images when their features have been made.

    Attributes:
        config: Configuration of the vision-language model.
        pixel_values: As given to the model; usually `[images or tiles, 3, H, W]`.
        image_sizes: Height and width of each original image in pixels, `[images, 2]`, if given.
        image_grid_thw: Patches per image along time, height, width (Qwen), `[images, 3]`, if given.
        input_ids: Tokens with the image placeholders, `[B, L]`, if given.
    """

    config: Any
    pixel_values: Tensor
    image_sizes: Tensor | None = None
    image_grid_thw: Tensor | None = None
    input_ids: Tensor | None = None


Extents: TypeAlias = Callable[[ImageCall], list[Tensor]]
FAMILIES: dict[str, Extents] = {}


def family(*model_types: str) -> Callable[[Extents], Extents]:
    """Register a function for the models whose `config.model_type` is one of these."""

    def register(extents: Extents) -> Extents:
        FAMILIES.update(dict.fromkeys(model_types, extents))
        return extents

    return register


def extents_of(config: Any) -> Extents:
    """The function for a model.

    Raises:
        ModelError: The family is not supported.
    """
    if config.model_type not in FAMILIES:
        raise ModelError(
            f"the model family `{config.model_type}` is not supported; known: {', '.join(sorted(FAMILIES))}",
            "add one small function to agrilape.model.grids, whose docstring has an example",
        )
    return FAMILIES[config.model_type]


def grid(
    rows: int, columns: int, left: float = 0, top: float = 0, right: float = 1, bottom: float = 1
) -> Tensor:
    """Extents of a regular grid over a rectangle, row by row, `[rows * columns, 4]` float32."""
    x = torch.linspace(left, right, columns + 1)
    y = torch.linspace(top, bottom, rows + 1)
    cells = torch.stack(
        [
            x[:-1].expand(rows, columns),
            y[:-1, None].expand(rows, columns),
            x[1:].expand(rows, columns),
            y[1:, None].expand(rows, columns),
        ],
        dim=-1,
    )
    return cells.reshape(-1, 4)


@family("llava")
def llava(call: ImageCall) -> list[Tensor]:
    """The whole image on one grid; a class token, where it is kept, has no place."""
    vision, strategy = call.config.vision_config, call.config.vision_feature_select_strategy
    if call.image_sizes is not None and vision.model_type == "pixtral":  # padded images of any size
        return [
            grid(*(int(side) // vision.patch_size for side in size)) for size in call.image_sizes.tolist()
        ]
    height, width = call.pixel_values.shape[-2:]
    cells = grid(height // vision.patch_size, width // vision.patch_size)
    if strategy == "full" and vision.model_type == "clip_vision_model":
        cells = torch.cat([torch.full((1, 4), torch.nan), cells])
    return [cells] * len(call.pixel_values)

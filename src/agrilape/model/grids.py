"""Where each visual token lies in its image: the registry of model families.

One small function per family turns what is known of a batch of images into extents: edges (left, top, right,
bottom) of each visual token in [0, 1] of its image, in the order in which the model puts them on the image
placeholders. Tokens without a place (newlines after rows, padding) are NaN. `agrilape.model.families` holds
those that are supported.

Adding a family, for instance one that sees the whole image as a square grid:

    from agrilape.model.grids import ImageCall, family, grid

    @family("my_vlm")  # config.model_type
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
        image_grid_thw: Patches of each image along time, height, width, `[images, 3]`, if given.
        batch_num_images: Number of images in each sample of the batch, `[B]`, if given.
        input_ids: Tokens with the image placeholders, `[B, L]`, if given.
    """

    config: Any
    pixel_values: Tensor
    image_sizes: Tensor | None = None
    image_grid_thw: Tensor | None = None
    batch_num_images: Tensor | None = None
    input_ids: Tensor | None = None

    def need(self, name: str) -> Any:
        """One of the optional facts, as nested lists of numbers.

        Raises:
            ModelError: It was not given.
        """
        value = getattr(self, name)
        if value is None:
            raise ModelError(
                f"`{self.config.model_type}` needs `{name}` to know where its visual tokens lie",
                f"pass {name}= to forward and generate",
            )
        return value.tolist()


Extents: TypeAlias = Callable[[ImageCall], list[Tensor]]
FAMILIES: dict[str, Extents] = {}


def family(*model_types: str) -> Callable[[Extents], Extents]:
    """Register a function for the models whose `config.model_type` is one of these."""

    def register(extents: Extents) -> Extents:
        FAMILIES.update(dict.fromkeys(model_types, extents))
        return extents

    return register


def extents_of(config: Any) -> Extents:
    """The function of a model's family.

    Raises:
        ModelError: The family is not supported.
    """
    if config.model_type not in FAMILIES:
        raise ModelError(
            f"the model family `{config.model_type}` is not supported; known: {', '.join(sorted(FAMILIES))}",
            "add one small function, see the example in agrilape/model/grids.py",
        )
    return FAMILIES[config.model_type]


def cells(y: Tensor, x: Tensor) -> Tensor:
    """Extents between the edges of rows and columns: `[R + 1]` and `[C + 1]` -> `[R, C, 4]` float32."""
    top, left = torch.meshgrid(y[:-1], x[:-1], indexing="ij")
    bottom, right = torch.meshgrid(y[1:], x[1:], indexing="ij")
    return torch.stack([left, top, right, bottom], dim=-1)


def grid(rows: int, columns: int) -> Tensor:
    """Extents of a regular grid over the whole image, row by row, `[rows * columns, 4]` float32."""
    return cells(torch.linspace(0, 1, rows + 1), torch.linspace(0, 1, columns + 1)).flatten(0, 1)


def tiles(rows: int, columns: int, side: int) -> Tensor:
    """Extents of a regular grid of tiles of `side` x `side` tokens, tile by tile, `[tokens, 4]` float32."""
    whole = grid(rows * side, columns * side).view(rows, side, columns, side, 4)
    return whole.transpose(1, 2).reshape(-1, 4)


def nowhere(count: int) -> Tensor:
    """Extents of tokens without a place, `[count, 4]`."""
    return torch.full((count, 4), torch.nan)

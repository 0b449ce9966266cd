"""Where and when visual tokens are, as one operator that torch.compile need not look into.

Working out a layout reads image sizes and token ids, which would break a compiled graph at every step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor

from agrilape.errors import ModelError
from agrilape.model.footprint import At, footprints
from agrilape.model.grids import ImageCall, extents_of

FACTS = ("image_sizes", "image_grid_thw", "batch_num_images", "input_ids")
_CONFIGS: list[Any] = []


def remember_config(config: Any) -> int:
    """Keep a model's configuration for `token_positions`, since an operator takes only tensors and numbers.

    Raises:
        ModelError: The family is not supported.
    """
    extents_of(config)
    _CONFIGS.append(config)
    return len(_CONFIGS) - 1


def token_positions(
    layout: int,
    pixel_values: Tensor,
    images: Mapping[str, Tensor],
    count: int,
    heights: int,
    widths: int,
    at: At = "footprint",
) -> tuple[Tensor, Tensor | None]:
    """Weights of the rows of height and width, and times, for all visual tokens of a batch.

    Nothing is read back from the device where `image_times` lie, unless the family's layout needs it.

    Args:
        layout: What `remember_config` returned.
        pixel_values: As given to the model.
        images: `image_times` and those of `FACTS` that are known.
        count: Number of visual tokens G that the model made.
        heights: Rows of the axis height.
        widths: Rows of the axis width.
        at: Where within a token's extent.

    Returns:
        Weights as `agrilape.model.footprint.footprints` gives them, `[G, heights + widths]`, and times `[G]`,
        NaN for none; None where no image has one.

    Raises:
        ModelError: The images do not match what the family's layout says.
    """
    facts, times = [images.get(name) for name in FACTS], images.get("image_times")
    weights, of_tokens = _places(pixel_values.detach(), facts, times, layout, count, heights, widths, at)
    return weights, None if times is None else of_tokens


@torch.library.custom_op("agrilape::places", mutates_args=())
def _places(
    pixel_values: Tensor,
    facts: Sequence[Tensor | None],
    image_times: Tensor | None,
    layout: int,
    count: int,
    heights: int,
    widths: int,
    at: str,
) -> tuple[Tensor, Tensor]:
    call = ImageCall(_CONFIGS[layout], pixel_values, **dict(zip(FACTS, facts, strict=True)))
    extents = extents_of(call.config)(call)
    lengths = [len(one) for one in extents]
    if sum(lengths) != count:
        raise ModelError(
            f"{count} visual tokens came out where {sum(lengths)} were expected ({len(extents)} images)",
            "the image processor and the model's config disagree; load both from the same checkpoint",
        )
    device = pixel_values.device
    weights = torch.cat(
        [_weights(one.numpy().tobytes(), heights, widths, cast(At, at), device) for one in extents]
    )
    if image_times is None:
        return weights, weights.new_empty(0)
    if image_times.shape != (len(extents),):
        raise ModelError(
            f"image times of shape {tuple(image_times.shape)} for {len(extents)} images",
            "give one per image in one row, NaN for a still one",
        )
    times = image_times.to(device, torch.float32)
    return weights, times.repeat_interleave(torch.tensor(lengths, device=device), output_size=count)


@lru_cache(maxsize=16)
def _weights(extents: bytes, heights: int, widths: int, at: At, device: torch.device) -> Tensor:
    """Weights of one image's tokens: most images of a run have the same layout.

    Args:
        extents: `[G, 4]` float32, as bytes to be looked up by.
        heights: Rows of the axis height.
        widths: Rows of the axis width.
        at: Where within a token's extent.
        device: Where they are kept.
    """
    edges = torch.frombuffer(bytearray(extents), dtype=torch.float32).view(-1, 4)
    return footprints(edges, heights, widths, at).to(device)


@_places.register_fake
def _(
    pixel_values: Tensor,
    facts: Sequence[Tensor | None],
    image_times: Tensor | None,
    layout: int,
    count: int,
    heights: int,
    widths: int,
    at: str,
) -> tuple[Tensor, Tensor]:
    weights = pixel_values.new_empty((count, heights + widths), dtype=torch.float32)
    return weights, weights.new_empty(0 if image_times is None else count)

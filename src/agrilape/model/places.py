"""Place and time of every visual token, as one operator that torch.compile need not look into.

Working out a layout reads image sizes and token ids, which would break a compiled graph at every step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from agrilape.errors import ModelError
from agrilape.model.grids import ImageCall, extents_of

FACTS = ("image_sizes", "image_grid_thw", "batch_num_images", "input_ids")
_CONFIGS: list[Any] = []


def remember_config(config: Any) -> int:
    """Keep a model's configuration for `places`, since an operator takes only tensors and numbers.

    Raises:
        ModelError: The family is not supported.
    """
    extents_of(config)
    _CONFIGS.append(config)
    return len(_CONFIGS) - 1


def places(
    layout: int, pixel_values: Tensor, images: Mapping[str, Tensor], count: int
) -> tuple[Tensor, Tensor]:
    """Extents `[G, 4]` and times `[G]` of all visual tokens of a batch, NaN where there is none.

    Args:
        layout: What `remember_config` returned.
        pixel_values: As given to the model.
        images: `image_times` and those of `FACTS` that are known.
        count: Number of visual tokens G that the model made.

    Raises:
        ModelError: The images do not match what the family's layout says.
    """
    facts = [images.get(name) for name in FACTS]
    found: Tensor = _places(pixel_values.detach(), facts, images.get("image_times"), layout, count)
    return found[:, :4], found[:, 4]


@torch.library.custom_op("agrilape::places", mutates_args=())
def _places(
    pixel_values: Tensor, facts: Sequence[Tensor | None], image_times: Tensor | None, layout: int, count: int
) -> Tensor:
    call = ImageCall(_CONFIGS[layout], pixel_values, **dict(zip(FACTS, facts, strict=True)))
    extents = extents_of(call.config)(call)
    lengths = [len(one) for one in extents]
    if sum(lengths) != count:
        raise ModelError(
            f"{count} visual tokens came out where {sum(lengths)} were expected ({len(extents)} images)",
            "the image processor and the model's config disagree; load both from the same checkpoint",
        )
    times = torch.full((len(extents),), torch.nan) if image_times is None else image_times
    if times.shape != (len(extents),):
        raise ModelError(
            f"image times of shape {tuple(times.shape)} for {len(extents)} images",
            "give one per image in one row, NaN for a still one",
        )
    rows = [
        torch.cat([one, torch.full((len(one), 1), time)], dim=1)
        for one, time in zip(extents, times.tolist(), strict=True)
    ]
    return torch.cat(rows).to(pixel_values.device)


@_places.register_fake
def _(
    pixel_values: Tensor, facts: Sequence[Tensor | None], image_times: Tensor | None, layout: int, count: int
) -> Tensor:
    return pixel_values.new_empty((count, 5), dtype=torch.float32)

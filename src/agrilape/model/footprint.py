"""Weights with which the rows of an axis are mixed at a place: a point, or the footprint of an image patch.

On N bins the coordinate p in [0, 1] has the continuous index u = p (N-1); between bins, rows are interpolated
linearly. A footprint takes the mean of that piecewise-linear table over its length, so that no row is skipped
when there are fewer patches than bins.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SHORTEST = 1e-3  # bins; a shorter footprint is taken as a point, since float32 cancels in its integral


def footprints(extents: Tensor, heights: int, widths: int) -> Tensor:
    """Weights of the rows of height and width over the footprints of visual tokens.

    Args:
        extents: Edges (left, top, right, bottom) of each token in [0, 1] of its image, `[G, 4]`; NaN for a
            token without a place.
        heights: Number of rows of the axis height.
        widths: Number of those of width.

    Returns:
        `[G, heights + widths]`.
    """
    left, top, right, bottom = extents.unbind(-1)
    return torch.cat([footprint(top, bottom, heights), footprint(left, right, widths)], dim=-1)


def footprint(start: Tensor, end: Tensor, bins: int) -> Tensor:
    """Mean weights of each row over intervals.

    Args:
        start: Where the intervals begin, in [0, 1], `[G]`; NaN for no place.
        end: Where they end, `[G]`.
        bins: Number of rows N.

    Returns:
        `[G, N]`, in the dtype of `start`; rows sum to 1, or are all 0 where there is no place.
    """
    low, high = (torch.nan_to_num(edge).clamp(0, 1) * (bins - 1) for edge in (start, end))
    index = torch.arange(bins, device=start.device, dtype=start.dtype)
    length = (high - low).unsqueeze(-1)
    integral = _hat_integral(high.unsqueeze(-1) - index) - _hat_integral(low.unsqueeze(-1) - index)
    mean = integral / length.clamp(min=_SHORTEST)
    weights = torch.where(length < _SHORTEST, two_hot((start + end) / 2, bins), mean)
    return torch.where((start + end).isnan().unsqueeze(-1), 0.0, weights)


def two_hot(position: Tensor, bins: int) -> Tensor:
    """Linear interpolation weights at points in [0, 1]: `[G]` -> `[G, N]`; all 0 for NaN."""
    index = torch.arange(bins, device=position.device, dtype=position.dtype)
    distance = (torch.nan_to_num(position).clamp(0, 1) * (bins - 1)).unsqueeze(-1) - index
    return torch.where(position.isnan().unsqueeze(-1), 0.0, (1 - distance.abs()).clamp(min=0))


def _hat_integral(x: Tensor) -> Tensor:
    """Integral of the hat function max(0, 1 - |x|) from minus infinity, shifted to 0 at x = 0."""
    x = x.clamp(-1, 1)
    return x - x * x.abs() / 2

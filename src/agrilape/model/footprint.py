"""Weights with which the rows of an axis are mixed at a place: a point, or the footprint of an image patch.

On N bins the coordinate p in [0, 1] has the continuous index u = p (N-1); between bins, rows are interpolated
linearly. A footprint takes the mean of that piecewise-linear table over its length, so that no row is skipped
when there are fewer patches than bins.

LLaVA-ST instead resizes the table to the number of patches, which reads it at each patch's centre c, at the
index u = N c - 0.5 (linear interpolation without aligned corners): up to half a bin from the index of the
text, and of 100 rows 27 patches see 54. `At` chooses.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

At: TypeAlias = Literal["footprint", "centre"]
_SHORTEST = 1e-3  # bins; a shorter footprint is taken as a point, since float32 cancels in its integral


def footprints(extents: Tensor, heights: int, widths: int, at: At = "footprint") -> Tensor:
    """Weights of the rows of height and width of visual tokens.

    Args:
        extents: Edges (left, top, right, bottom) of each token in [0, 1] of its image, `[G, 4]`; NaN for a
            token without a place.
        heights: Number of rows of the axis height.
        widths: Number of those of width.
        at: Over the whole footprint, or at its centre as published.

    Returns:
        `[G, heights + widths]`.
    """
    left, top, right, bottom = extents.unbind(-1)
    weights = footprint if at == "footprint" else centre
    return torch.cat([weights(top, bottom, heights), weights(left, right, widths)], dim=-1)


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


def centre(start: Tensor, end: Tensor, bins: int) -> Tensor:
    """Weights of each row at the centres of intervals, as LLaVA-ST interpolates them: u = N c - 0.5, clipped.

    Args:
        start: Where the intervals begin, in [0, 1], `[G]`; NaN for no place.
        end: Where they end, `[G]`.
        bins: Number of rows N.

    Returns:
        `[G, N]`, in the dtype of `start`; rows sum to 1, or are all 0 where there is no place.
    """
    return _hat(((start + end) / 2 * bins - 0.5).clamp(0, bins - 1), bins)


def two_hot(position: Tensor, bins: int) -> Tensor:
    """Linear interpolation weights at points in [0, 1]: `[G]` -> `[G, N]`; all 0 for NaN."""
    return _hat(position.clamp(0, 1) * (bins - 1), bins)


def _hat(u: Tensor, bins: int) -> Tensor:
    """Weights of linear interpolation at continuous indices in [0, N - 1]; all 0 for NaN."""
    index = torch.arange(bins, device=u.device, dtype=u.dtype)
    distance = torch.nan_to_num(u).unsqueeze(-1) - index
    return torch.where(u.isnan().unsqueeze(-1), 0.0, (1 - distance.abs()).clamp(min=0))


def _hat_integral(x: Tensor) -> Tensor:
    """Integral of the hat function max(0, 1 - |x|) from minus infinity, shifted to 0 at x = 0."""
    x = x.clamp(-1, 1)
    return x - x * x.abs() / 2

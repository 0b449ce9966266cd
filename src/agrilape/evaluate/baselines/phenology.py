"""Dates of a season from the course of one vegetation index, by the rules of land-surface phenology.

Everything here works on plain arrays, so that points of a chip and pixels of a map are read alike. Times are
of any unit, in order; an index that is not known is NaN and skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from agrilape.evaluate.metrics.arrays import Floats, floats

STEPS = 32
"""Dates of each edge of the season that a double logistic is tried with."""
SLOPES = (0.02, 0.05)
"""Time constants of its edges, as shares of the whole time: about 7 and 18 days of a year."""
NOISE = 0.05
"""Standard error of a shown index, as a share of the course's range."""


class Season(NamedTuple):
    """Peak, start and end of a season; NaN for what a course does not show."""

    peak: float
    start: float
    end: float


UNKNOWN = Season(np.nan, np.nan, np.nan)
CurveRule: TypeAlias = Callable[[Floats, Floats, float], Season]


def greenest_image(times: Floats, index: Floats, length: float = 1.0) -> Season:
    """The greenest acquisition, and where lines between acquisitions cross the middle of the range.

    The half-maximum rule of White et al. (1997), doi:10.1029/97GB00330.

    Args:
        times: Of the acquisitions, `[T]`, in order.
        index: The vegetation index, `[T]`; NaN where it is not known.
        length: Of the whole calendar, in the unit of `times`.
    """
    times, index = _known(times, index)
    if not len(times):
        return UNKNOWN
    peak = int(index.argmax())
    level = (index.min() + index.max()) / 2
    before, after = np.flatnonzero(index[:peak] < level), np.flatnonzero(index[peak:] < level) + peak
    start = _crossing(times, index, level, int(before[-1])) if len(before) else np.nan
    end = _crossing(times, index, level, int(after[0]) - 1) if len(after) else np.nan
    return Season(float(times[peak]), start, end)


def parabola(times: Floats, index: Floats, length: float = 1.0) -> Season:
    """The parabola through the greenest acquisition and those beside it: its vertex, and its half height.

    At either end of the series, and where the three do not bend downwards, the greenest acquisition.

    Args:
        times: Of the acquisitions, `[T]`, in order.
        index: The vegetation index, `[T]`; NaN where it is not known.
        length: Of the whole calendar, in the unit of `times`.
    """
    shown = greenest_image(times, index, length)
    times, index = _known(times, index)
    peak = int(index.argmax()) if len(index) else 0
    if not 0 < peak < len(times) - 1:
        return shown
    a, b, c = np.polyfit(times[peak - 1 : peak + 2], index[peak - 1 : peak + 2], 2)
    if a >= 0:
        return shown
    vertex = -b / (2 * a)
    height = c - b**2 / (4 * a) - index.min()
    half = float(np.sqrt(height / (-2 * a)))
    return Season(float(np.clip(vertex, times[0], times[-1])), vertex - half, vertex + half)


def double_logistic(times: Floats, index: Floats, length: float = 1.0) -> Season:
    """The season of a double logistic (Beck et al. 2006, doi:10.1016/j.rse.2005.10.021).

    A few acquisitions do not determine six parameters. So both edges run over a grid of dates and slopes,
    base and height follow by least squares, and the season is the mean over all curves, weighed by how well
    they fit (Gaussian errors of `NOISE`).

    Args:
        times: Of the acquisitions, `[T]`, in order.
        index: The vegetation index, `[T]`; NaN where it is not known.
        length: Of the whole calendar, in the unit of `times`; it begins at 0.
    """
    times, index = _known(times, index)
    if len(times) < 3 or np.ptp(index) <= 0:
        return UNKNOWN
    starts, ends, slopes = (edge * length for edge in _GRID)
    curves = _logistic((times - starts[:, None]) / slopes[:, None])
    curves = curves - _logistic((times - ends[:, None]) / slopes[:, None])
    centred, wanted = curves - curves.mean(1, keepdims=True), index - index.mean()
    power = (centred**2).sum(1)
    height = (centred @ wanted) / np.maximum(power, 1e-9)
    misfit = (wanted**2).sum() - height**2 * power
    loss = misfit / (2 * (NOISE * np.ptp(index)) ** 2)
    possible = (height > 0) & (height < 2 * np.ptp(index))  # what is not shown is not twice what is
    if not possible.any():
        return UNKNOWN
    weights = np.where(possible, np.exp(loss[possible].min() - np.where(possible, loss, np.inf)), 0.0)
    start, end = (float(edge @ weights / weights.sum()) for edge in (starts, ends))
    return Season((start + end) / 2, start, end)


CURVES: Mapping[str, CurveRule] = {
    "greenest_image": greenest_image, "parabola": parabola, "double_logistic": double_logistic,
}  # fmt: skip
"""The rules by name."""


def _known(times: Floats, index: Floats) -> tuple[Floats, Floats]:
    known = np.isfinite(times) & np.isfinite(index)
    return floats(times)[known], floats(index)[known]


def _crossing(times: Floats, index: Floats, level: float, first: int) -> float:
    """Where the line from one acquisition to the next crosses a level."""
    share = (level - index[first]) / (index[first + 1] - index[first])
    return float(times[first] + share * (times[first + 1] - times[first]))


def _logistic(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(x, -50, 50)))


def _grid() -> tuple[Floats, Floats, Floats]:
    edges = (np.arange(STEPS) + 0.5) / STEPS
    starts, ends, slopes = (axis.ravel() for axis in np.meshgrid(edges, edges, floats(SLOPES)))
    lasts = ends - starts > 1.5 / STEPS
    return starts[lasts], ends[lasts], slopes[lasts]


_GRID = _grid()

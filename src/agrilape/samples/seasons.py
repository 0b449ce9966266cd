"""When a field is green, from its vegetation index over the clear dates of a season.

Only curves that leave no doubt give an answer: enough dates, a clear rise and fall, no rival peak.
"""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

MIN_DATES = 4
MIN_AMPLITUDE = 0.15  # NDVI; flatter curves (forest, bare ground) have no season to speak of
RIVAL_MARGIN = 0.05  # NDVI; about the noise of a field mean
RIVAL_DAYS = 45


def greenest(dates: list[date], index: NDArray[np.float32]) -> date | None:
    """Date of the highest vegetation index.

    Args:
        dates: Acquisition dates in order.
        index: NDVI at each date, `[dates]`; NaN where it is not known.

    Returns:
        The date; None if it is the first or last one known (the true peak may lie outside), or if the curve
        is too short, too flat, or nearly as high at another time of the year.
    """
    known = np.flatnonzero(np.isfinite(index))
    if len(known) < MIN_DATES:
        return None
    curve = index[known]
    days = np.array([dates[i].toordinal() for i in known])
    top = int(curve.argmax())
    if top in (0, len(known) - 1) or curve[top] - curve.min() < MIN_AMPLITUDE:
        return None
    rivals = (np.abs(days - days[top]) > RIVAL_DAYS) & (curve > curve[top] - RIVAL_MARGIN)
    return None if rivals.any() else dates[known[top]]


def green_span(dates: list[date], index: NDArray[np.float32]) -> tuple[date, date] | None:
    """Dates between which the index stays above the middle of its range, around its peak.

    The crossings are interpolated linearly between acquisitions, the half-maximum rule of land-surface
    phenology (White et al. 1997, Global Biogeochem. Cycles 11, 217-234).

    Args:
        dates: Acquisition dates in order.
        index: NDVI at each date, `[dates]`; NaN where it is not known.

    Returns:
        First and last date; None without a clear peak that the curve falls from on both sides.
    """
    peak = greenest(dates, index)
    if peak is None:
        return None
    known = np.flatnonzero(np.isfinite(index))
    curve = index[known]
    days = np.array([dates[i].toordinal() for i in known], dtype=float)
    level = (float(curve.min()) + float(curve.max())) / 2
    top = int(curve.argmax())
    below = np.flatnonzero(curve < level)
    before, after = below[below < top], below[below > top]
    if not len(before) or not len(after):
        return None
    rise, fall = int(before[-1]), int(after[0])
    start = np.interp(level, curve[[rise, rise + 1]], days[[rise, rise + 1]])
    end = np.interp(-level, -curve[[fall - 1, fall]], days[[fall - 1, fall]])
    return date.fromordinal(round(start)), date.fromordinal(round(end))

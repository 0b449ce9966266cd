"""When a field is green, from its vegetation index over the clear dates of a season.

Only curves that leave no doubt give an answer: enough dates, a clear rise and fall, no rival peak.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

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


class FieldSeason(NamedTuple):
    """The season of one field.

    Attributes:
        top: Date of the highest vegetation index; None if it is the first or last one known (the true peak
            may lie outside), or if the curve is too short, too flat, or nearly as high at another time.
        span: Dates between which the index stays above the middle of its range, around its peak; None
            without a clear peak that the curve falls from on both sides.
    """

    top: date | None
    span: tuple[date, date] | None


def field_seasons(dates: Sequence[date], curves: NDArray[np.float32]) -> list[FieldSeason]:
    """The seasons of several fields.

    Where a curve crosses the middle of its range is interpolated linearly between acquisitions, the
    half-maximum rule of land-surface phenology (White et al. 1997, Global Biogeochem. Cycles 11, 217-234).

    Args:
        dates: Acquisition dates in order.
        curves: NDVI of each field at each date, `[fields, dates]`; NaN where it is not known.
    """
    if not dates:
        return [FieldSeason(None, None)] * len(curves)
    days, places = np.array([day.toordinal() for day in dates]), np.arange(len(dates))
    known = np.isfinite(curves)
    filled = np.where(known, curves, -np.inf)
    low, high, top = np.where(known, curves, np.inf).min(1), filled.max(1), filled.argmax(1)
    peak = top[:, None]
    inner = (known & (places < peak)).any(1) & (known & (places > peak)).any(1)
    far = np.abs(days - days[peak]) > RIVAL_DAYS
    rivals = (far & (curves > (high - RIVAL_MARGIN)[:, None])).any(1)
    clear = inner & (known.sum(1) >= MIN_DATES) & (high - low >= MIN_AMPLITUDE) & ~rivals
    found = [FieldSeason(None, None)] * len(curves)
    spans = _spans(days, curves[clear], top[clear])
    for field, span in zip(np.flatnonzero(clear).tolist(), spans, strict=True):
        found[field] = FieldSeason(dates[top[field]], span)
    return found


def _spans(
    days: NDArray[np.intp], curves: NDArray[np.float32], top: NDArray[np.intp]
) -> list[tuple[date, date] | None]:
    """The green spans of curves with clear peaks."""
    known, places, peak = np.isfinite(curves), np.arange(len(days)), top[:, None]
    level = (np.nanmin(curves, 1).astype(float) + np.nanmax(curves, 1).astype(float)) / 2
    below = curves < level.astype(np.float32)[:, None]
    before, after = below & (places < peak), below & (places > peak)
    rise, fall = np.where(before, places, -1).max(1), np.where(after, places, len(days)).min(1)
    falls = np.flatnonzero(before.any(1) & after.any(1))
    # The known dates next to them on the peak's side.
    risen = np.where(known & (places > rise[:, None]), places, len(days)).min(1)
    fallen = np.where(known & (places < fall[:, None]), places, -1).max(1)

    def crossing(one: NDArray[np.intp], other: NDArray[np.intp]) -> list[int]:
        first, second = (curves[falls, place[falls]].astype(float) for place in (one, other))
        start, end = days[one[falls]], days[other[falls]]
        day = (end - start) / (second - first) * (level[falls] - first) + start
        rounded: list[int] = day.round().astype(int).tolist()
        return rounded

    spans: list[tuple[date, date] | None] = [None] * len(curves)
    for field, start, end in zip(falls.tolist(), crossing(rise, risen), crossing(fallen, fall), strict=True):
        spans[field] = date.fromordinal(start), date.fromordinal(end)
    return spans


def green_cycles(dates: list[date], index: NDArray[np.float32]) -> int | None:
    """How often the land turns green and brown again.

    Clouds that a mask missed only lower the index (Holben 1986, Int. J. Remote Sens. 7, 1417-1434), so a
    dip of one date is filled before the curve is smoothed with weights 1-2-1. A cycle is a peak that stands
    out from what lies between it and a higher one (its prominence) by `CYCLE` of the curve's range. On the
    465 seasons of the Mato Grosso data that have a sequence of crops, where `CYCLE` was chosen, 417 of the
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

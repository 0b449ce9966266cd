"""Times: overlap of spans, and days of error."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from agrilape.evaluate.metrics.arrays import Floats, divide, floats


def temporal_iou(predicted: ArrayLike, true: ArrayLike) -> Floats:
    """tIoU, 0 to 1, of spans `[..., 2]` (start, end) in one unit (Gao et al., 2017).

    NaN or reversed predictions score 0. Two spans without length score 1 if they are the same moment.
    """
    a, b = floats(predicted), floats(true)
    shared = np.clip(np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0]), 0, None)
    union = _length(a) + _length(b) - shared
    same = ((a == b).all(axis=-1) & (a[..., 0] == a[..., 1])).astype(np.float64)
    return divide(shared, union, same)


def recall_at_1(iou: ArrayLike, threshold: float) -> float:
    """R@1: share of samples whose answer has tIoU >= threshold (by custom 0.3, 0.5, 0.7); NaN without any."""
    values = floats(iou)
    return float(np.mean(values >= threshold)) if values.size else float("nan")


def date_error_days(
    predicted: ArrayLike, true: ArrayLike, days: ArrayLike, period_days: float | None = None
) -> Floats:
    """Days between two moments given as fractions of a window.

    Args:
        predicted: Fractions `[N]`; NaN (unreadable) is charged the whole window, half the period if circular.
        true: Fractions `[N]`.
        days: Length of each window in days.
        period_days: Take the shorter way around a year of this length, so that 30 December and 2 January are
            three days apart; None for plain differences.
    """
    window = floats(days)
    error = np.abs(floats(predicted) - floats(true)) * window
    if period_days is None:
        return np.where(np.isnan(error), window, error)
    around = np.mod(error, period_days)
    return np.where(np.isnan(error), period_days / 2, np.minimum(around, period_days - around))


def _length(spans: Floats) -> Floats:
    return np.clip(spans[..., 1] - spans[..., 0], 0, None)

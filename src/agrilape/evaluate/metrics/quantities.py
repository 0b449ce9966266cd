"""Numbers: counts of fields, areas in hectares, growth stages."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from agrilape.evaluate.metrics.arrays import Floats, divide, floats

BBCH_RANGE = 99.0
"""Length of the BBCH scale (0 dry seed to 99 harvested product; Meier, 2018)."""


def exact(predicted: ArrayLike, true: ArrayLike) -> Floats:
    """1 where a count equals the truth, else 0; NaN (unreadable) is wrong."""
    return floats(np.equal(predicted, true))


def absolute_error(predicted: ArrayLike, true: ArrayLike, unreadable: float | ArrayLike) -> Floats:
    """Distance from the truth, in its unit; `unreadable` is charged where the prediction is NaN.

    The mean of these is the MAE. Charging a stated penalty keeps unreadable answers in the denominator.
    """
    error = np.abs(floats(predicted) - floats(true))
    return np.where(np.isnan(error), unreadable, error)


def relative_error(predicted: ArrayLike, true: ArrayLike) -> Floats:
    """|predicted - true| / true, from 0; 1 (nothing known) where the prediction is NaN.

    A truth of 0 gives 0 when met and 1 otherwise.
    """
    given, wanted = floats(predicted), floats(true)
    error = np.abs(given - wanted)
    share = divide(error, np.abs(wanted), error > 0)
    return np.where(np.isnan(given), 1.0, share)


def growth_stage_error(predicted: ArrayLike, true: ArrayLike) -> Floats:
    """Distance in BBCH codes, 0 to 99; 99 where the prediction is NaN."""
    return absolute_error(predicted, true, BBCH_RANGE)

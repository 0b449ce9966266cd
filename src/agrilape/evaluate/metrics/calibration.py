"""Calibration: does the model know how sure it may be?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agrilape.evaluate.metrics.arrays import Floats, floats

LEVELS = (0.2, 0.5, 0.8, 0.9, 0.95)
"""Probabilities that the stated intervals are to hold."""


class Reliability(NamedTuple):
    """A reliability curve: per bin its mean confidence, the share that was right, and its samples."""

    confidence: Floats
    accuracy: Floats
    samples: Floats


def central_intervals(probabilities: ArrayLike, level: float) -> Floats:
    """Central interval that holds `level` of each distribution over position bins.

    Bin k spreads its probability evenly over [k - 1/2, k + 1/2], so intervals move smoothly.

    Args:
        probabilities: Non-negative weights `[N, bins]`, normalised here.
        level: Probability to hold, in (0, 1).

    Returns:
        Lower and upper continuous index `[N, 2]`, within [-1/2, bins - 1/2].
    """
    return quantiles(probabilities, ((1 - level) / 2, (1 + level) / 2))


def quantiles(probabilities: ArrayLike, levels: Sequence[float]) -> Floats:
    """Quantiles of each distribution over position bins, which spread their probability as above.

    Args:
        probabilities: Non-negative weights `[N, bins]`, normalised here.
        levels: Cumulative probabilities `[L]`, in [0, 1].

    Returns:
        Continuous index `[N, L]`, within [-1/2, bins - 1/2].
    """
    weights = floats(probabilities)
    cumulative = np.cumsum(weights, axis=1)
    cumulative = np.concatenate([np.zeros((len(weights), 1)), cumulative / cumulative[:, -1:]], axis=1)
    edges = np.arange(weights.shape[1] + 1) - 0.5
    return np.array([np.interp(levels, row, edges) for row in cumulative]).reshape(-1, len(levels))


def interval_ends(probabilities: ArrayLike, levels: Sequence[float] = LEVELS) -> Floats:
    """Lower and upper ends of the central intervals of several levels, `[N, 2 * levels]`, level by level."""
    return np.concatenate([central_intervals(probabilities, level) for level in levels], axis=1)


def covered(ends: ArrayLike, true: ArrayLike) -> NDArray[np.bool_]:
    """Does each interval hold the true value `[N]`?

    Args:
        ends: From `interval_ends`, `[N, 2 * levels]`, in the unit of the true values.
        true: True values.

    Returns:
        `[N, levels]`.
    """
    pairs = floats(ends).reshape(len(floats(ends)), -1, 2)
    value = floats(true)[:, None]
    inside: NDArray[np.bool_] = (value >= pairs[..., 0]) & (value <= pairs[..., 1])
    return inside


def coverage(
    probabilities: ArrayLike, true: ArrayLike, levels: Sequence[float] = LEVELS
) -> dict[float, float]:
    """Share of true continuous indices `[N]` inside the central interval of each level.

    A calibrated model covers a share equal to the level; less means overconfident.
    """
    shares = covered(interval_ends(probabilities, levels), true).mean(axis=0)
    return dict(zip(levels, shares.tolist(), strict=True))


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> Reliability:
    """Reliability curve over equal bins of confidence in [0, 1]; empty bins are skipped."""
    sure, right = floats(confidence), floats(correct)
    slot = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(slot, minlength=bins).astype(np.float64)
    used = count > 0
    mean = [np.bincount(slot, weights=values, minlength=bins)[used] / count[used] for values in (sure, right)]
    return Reliability(mean[0], mean[1], count[used])


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> float:
    """ECE, 0 to 1: gap between confidence and accuracy, mean over samples by bin (Guo et al., 2017)."""
    curve = reliability(confidence, correct, bins)
    return float(np.sum(curve.samples * np.abs(curve.confidence - curve.accuracy)) / np.sum(curve.samples))

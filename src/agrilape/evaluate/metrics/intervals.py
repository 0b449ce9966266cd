"""How sure a score is: bootstrap intervals and paired tests, clustered by scene.

Every score here is a function of sums over samples (a mean: values over count; F1: matches over answers and
truths; kappa: a confusion matrix). So a resample only reweights each scene's sums, and a thousand of them are
one matrix product. Samples of one scene share imagery, weather and labels: resampled singly they would claim
too much.

Few scenes make percentiles of such resamples too narrow. They are therefore taken further out, by as much as
t quantiles exceed normal ones (the expanded percentile interval; Hesterberg, 2015,
doi:10.1080/00031305.2015.1089789): of 8 normal scenes they hold the truth in 94 % instead of 89 %. Below six
scenes nothing helps: even the whole range of five holds the median of what they come from in only 1 - 2^-4 =
94 % of cases, and a test that exchanges scenes finds no p below 2 / 2^5 (Canay, Romano and Shaikh, 2017,
doi:10.3982/ECTA13081). Then there is neither interval nor verdict.

Blocks of a scene are taken more carefully (`careful`), since whole parts of it may be right or wrong
together: the interval also spans that of the jackknife with t quantiles (Bell and McCaffrey, 2002), which is
wider where percentiles of few and lumpy values are too narrow; and there is none where one block decides it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.special import ndtr, stdtrit  # what scipy.stats uses, which takes half a second to import

from agrilape.evaluate.metrics.arrays import Floats, divide, floats

Statistic: TypeAlias = Callable[[Floats], Floats]
"""Score of sums: `[..., K]` to `[...]`."""
Outcome: TypeAlias = Literal["better", "worse", "similar", "unknown"]
LEVEL = 0.05
"""P-value below which a difference counts."""
MOST = 1000
"""Scenes beyond which several are resampled together, or 10,000 draws of them would not fit into memory."""
FEWEST = 6
"""Scenes, or blocks, below which nothing can be told: no test of 2 / 2^5 reaches `LEVEL`."""


class Estimate(NamedTuple):
    """A score with its interval.

    Attributes:
        value: The score over all samples.
        low: Lower end of the interval; None when fewer than six scenes leave it unknown.
        high: Upper end.
        n: Number of samples.
        scenes: Number of scenes that they lie in.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    scenes: int


class Difference(NamedTuple):
    """Second run minus first, its interval, and a two-sided p-value; these are None below six scenes."""

    value: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    scenes: int


DECIDES = 0.75
"""Share of the squared deviations with which one block alone would decide how wide an interval is."""


def outcome(low: float | None, high: float | None, p: float | None) -> Outcome:
    """What may be said of a gain: the one rule behind every `better` and `worse`.

    Its interval must exclude zero *and* the paired test must reject. The two are made differently, so either
    alone may be fooled; where they disagree, the gain is `similar`.

    Args:
        low: Lower end of the gain's interval, turned so that positive is better.
        high: Upper end.
        p: P-value of the paired test, adjusted where several are made at once (`holm`).

    Returns:
        `unknown` without an interval or a test, as from fewer than six scenes.
    """
    if low is None or high is None or p is None:
        return "unknown"
    if p >= LEVEL or low <= 0 <= high:
        return "similar"
    return "better" if low > 0 else "worse"


def ratio(sums: Floats) -> Floats:
    """First sum over second: the statistic of means and of shares; NaN over nothing."""
    return divide(sums[..., 0], sums[..., 1], np.nan)


def per_sample(values: ArrayLike) -> Floats:
    """Columns `[N, 2]` whose `ratio` is the mean of `values` `[N]`.

    Raises:
        ValueError: If a value is NaN, which would leave its sample out of the mean.
    """
    array = floats(values)
    if np.isnan(array).any():
        raise ValueError(
            "a sample without a value cannot be averaged: charge it a penalty, or leave it out before"
        )
    return np.stack([array, np.ones_like(array)], axis=1)


def estimate(
    columns: Floats,
    clusters: Sequence[str],
    statistic: Statistic = ratio,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    careful: bool = False,
) -> Estimate:
    """A score with its expanded percentile interval from a bootstrap over clusters.

    Args:
        columns: Additive quantities of each sample `[N, K]`.
        clusters: Scene of each sample.
        statistic: Score of their sums.
        level: Probability that the interval aims to hold.
        resamples: Number of resamples.
        seed: The same seed gives the same interval.
        careful: Are clusters parts of one scene?
    """
    sums = cluster_sums(columns, clusters)
    value, scenes = float(statistic(sums.sum(axis=0))), len(sums)
    if scenes < FEWEST or np.isnan(value):
        return Estimate(value, None, None, len(columns), scenes)
    grouped = _grouped(sums, seed)
    draws = statistic(_weights(len(grouped), resamples, seed) @ grouped)
    ends = _percentiles(draws, level, len(grouped))
    if careful:
        low, high = _careful(value, ends, statistic(_without_one(grouped)), level)
        # A quantity whose resamples are never negative is not, and has no negative end.
        low = low if low is None or ends[0] < 0 else max(low, 0.0)
        return Estimate(value, low, high, len(columns), scenes)
    return Estimate(value, *ends, len(columns), scenes)


def compare(
    first: Floats,
    second: Floats,
    clusters: Sequence[str],
    statistic: Statistic = ratio,
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    careful: bool = False,
) -> Difference:
    """Second run minus first on the same samples, with a permutation test that swaps whole scenes.

    If the runs were alike, exchanging their outcomes within a scene would not matter; p is the share of
    exchanges with a difference at least as large (Good, 2005), of all 2^scenes when these are few enough.

    Args:
        first: Additive quantities of each sample `[N, K]`.
        second: Likewise, in the same order.
        clusters: Scene of each sample.
        statistic: Score of their sums.
        level: Probability that the interval of the difference aims to hold.
        resamples: Resamples, and most exchanges.
        seed: The same seed gives the same result.
        careful: Are clusters parts of one scene?
    """
    a, b = cluster_sums(first, clusters), cluster_sums(second, clusters)
    value, scenes = float(statistic(b.sum(axis=0)) - statistic(a.sum(axis=0))), len(a)
    if scenes < FEWEST or np.isnan(value):
        return Difference(value, None, None, None, len(first), scenes)
    a, b = _grouped(a, seed), _grouped(b, seed)
    weights = _weights(len(a), resamples, seed)
    ends = _percentiles(statistic(weights @ b) - statistic(weights @ a), level, len(a))
    without = statistic(_without_one(b)) - statistic(_without_one(a))
    low, high = _careful(value, ends, without, level) if careful else ends
    if low is None or high is None:
        return Difference(value, None, None, None, len(first), scenes)
    swapped, exact = _exchanges(len(a), resamples, seed)
    null = statistic(swapped @ a + (1 - swapped) @ b) - statistic(swapped @ b + (1 - swapped) @ a)
    extreme = int(np.count_nonzero(np.abs(null) >= abs(value) - 1e-12))
    p = extreme / len(null) if exact else (extreme + 1) / (len(null) + 1)
    return Difference(value, low, high, p, len(first), scenes)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values adjusted for being several (Holm, 1979): below 0.05, each is so in all of them together.

    Args:
        p_values: One per test; None where there is none, which stays so and is not counted: a test that could
            not have rejected takes nothing from the others (Tarone, 1990, doi:10.2307/2531456).
    """
    order = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[index] = largest
    return adjusted


def cluster_sums(columns: Floats, clusters: Sequence[str]) -> Floats:
    """Sums `[C, K]` of the samples' columns `[N, K]` per cluster, clusters in order of name.

    Raises:
        ValueError: If there is not one cluster per sample.
    """
    if len(columns) != len(clusters):
        raise ValueError(f"{len(columns)} samples but {len(clusters)} clusters")
    names, index = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    member = csr_array((np.ones(len(index)), (index, np.arange(len(index)))), shape=(len(names), len(index)))
    return floats(member @ columns)


def _grouped(sums: Floats, seed: int) -> Floats:
    """Sums `[C, K]` of at most `MOST` clusters: more are put together by chance, and stay independent."""
    if len(sums) <= MOST:
        return sums
    together = np.zeros((MOST, sums.shape[1]))
    np.add.at(together, np.random.default_rng(seed).permutation(len(sums)) % MOST, sums)
    return together


@lru_cache(maxsize=8)
def _weights(clusters: int, resamples: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples).astype(np.float64)


def _exchanges(clusters: int, most: int, seed: int) -> tuple[NDArray[np.float64], bool]:
    if 2**clusters <= most:
        bits = np.arange(2**clusters)[:, None] >> np.arange(clusters) & 1
        return bits.astype(np.float64), True
    return np.random.default_rng(seed).integers(0, 2, size=(most, clusters)).astype(np.float64), False


def _without_one(sums: Floats) -> Floats:
    """Sums of all clusters but one, for each of them, `[C, K]`."""
    return floats(sums.sum(axis=0) - sums)


def _careful(
    value: float, ends: tuple[float, float], without: Floats, level: float
) -> tuple[float | None, float | None]:
    """The interval of percentiles, widened to that of the jackknife; none where one cluster decides it.

    Args:
        value: The score.
        ends: Ends of its percentile interval.
        without: The score without each of the clusters, `[C]`.
        level: Probability that the interval aims to hold.
    """
    squares = (without - without.mean()) ** 2
    whole, count = float(squares.sum()), len(without)
    if not np.isfinite(whole) or whole <= 1e-24 or squares.max() > DECIDES * whole:
        return None, None
    half = float(stdtrit(count - 1, (1 + level) / 2) * np.sqrt((count - 1) / count * whole))
    return min(ends[0], value - half), max(ends[1], value + half)


def _percentiles(draws: Floats, level: float, clusters: int) -> tuple[float, float]:
    """The ends of the expanded percentile interval: its tails are smaller, the fewer the clusters."""
    tail = ndtr(np.sqrt(clusters / (clusters - 1)) * stdtrit(clusters - 1, (1 - level) / 2))
    low, high = np.nanquantile(draws, [tail, 1 - tail])
    return float(low), float(high)

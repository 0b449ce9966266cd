"""Intervals over seeds and scenes, against the closed form and against a resampling written differently."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, t

from agrilape.evaluate.metrics.crossed import estimate_over_seeds_and_scenes


def table(seeds, scenes, of_seed, of_scene, noise, rng, n=10):
    """Sums and counts of means with known effects of seeds and scenes."""
    means = rng.normal(0.5, of_seed, (seeds, 1)) + rng.normal(0, of_scene, (1, scenes))
    means = means + rng.normal(0, noise, (seeds, scenes))
    return np.stack([means * n, np.full_like(means, n)], axis=2)


def test_the_standard_error_is_that_of_the_closed_form_for_means():
    """With equal counts, the two-way random-effects variance is known from the mean squares.

    The bootstrap counts the noise within a seed and scene up to three times (Owen, 2007).
    """
    rng = np.random.default_rng(4)
    seeds, scenes = 6, 25
    sums = table(seeds, scenes, 0.05, 0.08, 0.02, rng)
    means = sums[..., 0] / sums[..., 1]
    rows, columns = means.mean(axis=1), means.mean(axis=0)
    rest = means - rows[:, None] - columns[None] + means.mean()
    of_rows, of_columns = scenes * rows.var(ddof=1), seeds * columns.var(ddof=1)
    of_rest = (rest**2).sum() / ((seeds - 1) * (scenes - 1))
    exact = (of_rows + of_columns - of_rest) / (seeds * scenes)
    found = estimate_over_seeds_and_scenes(sums)
    assert found.value == pytest.approx(means.mean())
    assert exact * 0.95 < found.error**2 < (exact + 3 * of_rest / (seeds * scenes)) * 1.08


def test_of_seeds_alone_it_is_a_t_interval():
    rng = np.random.default_rng(1)
    sums = np.repeat(table(5, 1, 0.1, 0, 0, rng), 40, axis=1)
    means = sums[:, 0, 0] / sums[:, 0, 1]
    half = t.ppf(0.975, 4) * means.std(ddof=1) / np.sqrt(5)
    found = estimate_over_seeds_and_scenes(sums, resamples=40_000)
    assert (found.low, found.high) == pytest.approx((means.mean() - half, means.mean() + half), rel=0.02)


def test_of_scenes_alone_it_is_the_bootstrap_of_scipy():
    rng = np.random.default_rng(2)
    sums = np.repeat(table(1, 30, 0, 0.1, 0, rng), 4, axis=0)
    means = sums[0, :, 0] / sums[0, :, 1]
    theirs = bootstrap((means,), np.mean, n_resamples=20_000, rng=np.random.default_rng(0)).standard_error
    assert estimate_over_seeds_and_scenes(sums, resamples=20_000).error == pytest.approx(
        theirs * np.sqrt(30 / 29), rel=0.03
    )


def test_a_difference_agrees_with_resampling_one_by_one():
    """Written anew: lists of indices instead of weights, one resample at a time, unequal counts."""
    rng = np.random.default_rng(3)
    seeds, scenes, resamples = 4, 9, 3000
    counts = rng.integers(1, 20, (seeds, scenes))
    first, second = (np.stack([rng.uniform(0, 1, counts.shape) * counts, counts], axis=2) for _ in range(2))

    def score(side, seed, chosen):
        return sum(side[seed, c, 0] for c in chosen) / sum(side[seed, c, 1] for c in chosen)

    everything = range(scenes)
    gaps = [score(first, s, everything) - score(second, s, everything) for s in range(seeds)]
    both, of_seeds, of_scenes = [], [], []
    for _ in range(resamples):
        who = rng.integers(0, seeds, seeds)
        chosen = rng.integers(0, scenes, scenes)
        drawn = [score(first, s, chosen) - score(second, s, chosen) for s in range(seeds)]
        both.append(np.mean([drawn[s] for s in who]))
        of_seeds.append(np.mean([gaps[s] for s in who]))
        of_scenes.append(np.mean(drawn))
    by_seed, by_scene = np.var(of_seeds) * seeds / (seeds - 1), np.var(of_scenes) * scenes / (scenes - 1)
    error = np.sqrt(np.var(both) + by_seed / seeds + by_scene / scenes)
    freedom = (by_seed + by_scene) ** 2 / (by_seed**2 / (seeds - 1) + by_scene**2 / (scenes - 1))
    found = estimate_over_seeds_and_scenes(first, second, resamples=20_000)
    assert found.value == pytest.approx(np.mean(gaps))
    assert found.error == pytest.approx(error, rel=0.06)
    assert found.high - found.value == pytest.approx(t.ppf(0.975, freedom) * error, rel=0.08)
    assert found.detectable == pytest.approx((t.ppf(0.975, freedom) + t.ppf(0.8, freedom)) * error, rel=0.08)


def test_paired_scenes_cancel():
    """Hard scenes move both runs: their spread must not blur the difference."""
    rng = np.random.default_rng(5)
    first = table(5, 20, 0.0, 0.2, 0.001, rng)
    second = first.copy()
    second[..., 0] += 0.05 * second[..., 1] + rng.normal(0, 0.01, first.shape[:2])
    found = estimate_over_seeds_and_scenes(second, first)
    assert found.low > 0.04
    assert estimate_over_seeds_and_scenes(second).error > 20 * found.error


def test_one_seed_or_one_scene_or_no_spread_gives_no_interval():
    rng = np.random.default_rng(6)
    assert estimate_over_seeds_and_scenes(table(1, 9, 0.1, 0.1, 0, rng)).low is None
    assert estimate_over_seeds_and_scenes(table(5, 1, 0.1, 0.1, 0, rng)).low is None
    assert estimate_over_seeds_and_scenes(table(5, 9, 0.0, 0.0, 0, rng)).low is None


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(2, 6), st.integers(2, 12))
def test_order_does_not_matter_and_signs_swap(seed, seeds, scenes):
    rng = np.random.default_rng(seed)
    first, second = table(seeds, scenes, 0.1, 0.1, 0.1, rng), table(seeds, scenes, 0.1, 0.1, 0.1, rng)
    found, turned = (
        estimate_over_seeds_and_scenes(first, second, resamples=300),
        estimate_over_seeds_and_scenes(second, first, resamples=300),
    )
    assert turned.value == pytest.approx(-found.value)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
    assert found.low <= found.value <= found.high

"""What a study says of a variant."""

import numpy as np
import pytest

from agrilape.evaluate.metrics.crossed import estimate_over_seeds_and_scenes
from agrilape.report.study.effects import Effect


def effect(gains):
    """A variant whose score exceeds the baseline's by `gains` of each seed and scene."""
    gains = np.asarray(gains, dtype=float)
    base = np.stack([np.full_like(gains, 0.4), np.ones_like(gains)], axis=2)
    own = base + np.stack([gains, np.zeros_like(gains)], axis=2)
    gain = estimate_over_seeds_and_scenes(own, base)
    return Effect(
        "variant", estimate_over_seeds_and_scenes(own), gain, gain, None, gains.size, tuple(range(len(gains)))
    )


@pytest.mark.parametrize("shift", [-0.1, -0.02, 0.0, 0.02, 0.1])
def test_the_outcome_agrees_with_the_interval_and_with_its_test(shift):
    found = effect(np.random.default_rng(0).normal(shift, 0.05, (5, 12)))
    excludes_zero = not found.gain.low <= 0 <= found.gain.high
    assert excludes_zero == (found.gain.p < 0.05)
    expected = ("better" if shift > 0 else "worse") if excludes_zero else "similar"
    assert found.outcome == found.beats_image_free == expected
    assert excludes_zero or abs(shift) < 0.1


@pytest.mark.parametrize("shape", [(1, 12), (5, 1)])
def test_one_seed_or_one_scene_tells_nothing(shape):
    assert effect(np.random.default_rng(0).normal(0.3, 0.01, shape)).outcome == "unknown"


def test_runs_that_answer_alike_are_level():
    assert effect(np.zeros((5, 12))).outcome == "similar"

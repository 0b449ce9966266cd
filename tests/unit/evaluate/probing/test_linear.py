import numpy as np
import pytest

from agrilape.evaluate.probing.linear import Probed, difference, read, read_nothing, targets
from agrilape.evaluate.probing.model_features import covering
from agrilape.geo.shapes import Box, Point
from agrilape.model.grids import grid, nowhere, tiles

RNG = np.random.default_rng(0)
SCENES = [f"s{number // 10}" for number in range(200)]
HIDDEN = RNG.normal(size=(200, 3))
SEEN = HIDDEN @ RNG.normal(size=(3, 20)) + 0.05 * RNG.normal(size=(200, 20))
NOISE = RNG.normal(size=(200, 20))
TARGETS = targets(days=365)
CROPS = np.where(HIDDEN[:, 0] > 0, "maize", "wheat")


def split(x, y):
    return Probed(x[:120], y[:120], SCENES[:120]), Probed(x[120:], y[120:], SCENES[120:])


@pytest.mark.parametrize(
    ("name", "truth", "good"),
    [("greenness", HIDDEN[:, 0], 0.9), ("crop", CROPS, 0.85), ("peak", 0.1 * HIDDEN[:, 1], 8)],
)
def test_what_features_hold_is_read_and_what_they_lack_is_not(name, truth, good):
    target = TARGETS[name]
    sees, blind, nothing = (
        read(target, *split(SEEN, truth)),
        read(target, *split(NOISE, truth)),
        read_nothing(target, *split(SEEN, truth)),
    )
    better = 1 if target.measure != "days" else -1
    assert better * sees.score.value > better * good
    assert better * blind.score.value < better * (nothing.score.value + better * 0.15)
    assert sees.score.low < sees.score.value < sees.score.high
    assert sees.score.scenes == 8
    gain = difference(target, blind, sees, SCENES[120:])
    assert better * gain.value > 0
    assert gain.p < 0.05


def test_what_explains_nothing_scores_nothing():
    assert read_nothing(TARGETS["greenness"], *split(SEEN, HIDDEN[:, 0])).score.value == 0


def test_one_scene_is_enough_to_fit_with():
    train, test = split(SEEN, CROPS)
    assert read(TARGETS["crop"], train._replace(scenes=["s"] * 120), test).score.value > 0.8


def test_the_smallest_token_that_covers_a_place_is_taken():
    assert covering(grid(4, 4), Point(0.6, 0.1)) == 2
    assert covering(grid(4, 4), Point(1, 1)) == 15
    assert covering(grid(4, 4), Box(0.5, 0.5, 0.7, 0.7)) == 10
    layout = [grid(2, 2), tiles(2, 2, 2), nowhere(3)]
    assert covering(np.concatenate(layout), Point(0.9, 0.1)) == 4 + 4 + 1

"""Stated intervals against the truth, from rows as an evaluation writes them."""

import json

import numpy as np
import pytest
from scipy.stats import norm

from agrilape.evaluate.metrics.calibration import LEVELS, interval_ends
from agrilape.evaluate.predictions import Prediction
from agrilape.evaluate.reliability import calibration
from agrilape.evaluate.summary import summarise
from agrilape.geo.shapes import Box, Instant, Point, Polygon

BINS = 101


def stated(means, sigma):
    """Ends of the intervals of Gaussian distributions over the bins, as fractions."""
    edges = (np.arange(BINS + 1) - 0.5) / (BINS - 1)
    weights = np.diff(norm.cdf(edges, loc=np.asarray(means)[:, None], scale=sigma), axis=1)
    return tuple(map(tuple, (interval_ends(weights) / (BINS - 1)).tolist()))


def rows(make_row, sigma, claimed, n=300):
    """Boxes and moments that are off by `sigma`, from a model that claims to be off by `claimed`."""
    rng = np.random.default_rng(0)
    for number in range(n):
        scene = f"s{number % 20}"
        box, moment = rng.uniform(0.3, 0.7, 4), rng.uniform(0.3, 0.7, 1)
        off, late = box + rng.normal(0, sigma, 4), moment + rng.normal(0, sigma, 1)
        yield make_row("crop_box", ["at ", Box(*box)], ["it is at ", Box(*off)], id=f"b{number}", scene=scene,
                       intervals=(stated(off, claimed),))  # fmt: skip
        yield make_row("peak_of_season", [Instant(*moment)], [Instant(*late)], id=f"t{number}", scene=scene,
                       intervals=(stated(late, claimed),))  # fmt: skip


def test_an_honest_model_covers_what_it_states(make_row):
    found = calibration(list(rows(make_row, 0.06, 0.06)))
    assert found["levels"] == list(LEVELS)
    for axis, n in (("place", 1200), ("time", 300)):
        for level, share in zip(found["levels"], found[axis]["coverage"], strict=True):
            assert share["n"] == n
            assert share["low"] <= share["value"] <= share["high"]
            assert share["value"] == pytest.approx(level, abs=0.07)
    assert found["place"]["width"][LEVELS.index(0.9)] == pytest.approx(2 * 1.645 * 0.06, abs=0.01)


def test_an_overconfident_model_is_found_out(make_row):
    found = calibration(list(rows(make_row, 0.06, 0.015)))
    assert found["place"]["coverage"][LEVELS.index(0.9)]["value"] < 0.5


def test_intervals_survive_the_file_and_reach_the_summary(make_row):
    before = list(rows(make_row, 0.06, 0.06, n=8))
    after = [Prediction.from_json(json.loads(json.dumps(row.to_json()))) for row in before]
    assert after == before
    assert summarise(after, {})["calibration"] == calibration(before)


def test_what_pairs_with_no_single_truth_is_left_out(make_row):
    box, ends = Box(0.2, 0.2, 0.4, 0.4), stated([0.2, 0.2, 0.4, 0.4], 0.1)
    outline = Polygon((Point(0, 0), Point(1, 0), Point(1, 1)))
    assert calibration([make_row("crop_boxes", [box, box], [box], intervals=(ends,))]) is None
    assert calibration([make_row("own", [outline], [outline], intervals=(ends,))]) is None
    assert calibration([make_row("crop_box", [box], [box])]) is None
    assert calibration([make_row("crop_box", [box], [Instant(0.5)], intervals=(ends[:1],))]) is None

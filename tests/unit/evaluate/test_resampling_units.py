"""Blocks of few scenes are resampled where a buffer keeps them apart."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from agrilape.dataset.split_notes import FEWEST_UNITS
from agrilape.evaluate.metrics.intervals import FEWEST, compare, estimate, outcome, per_sample
from agrilape.evaluate.resampling_units import units
from agrilape.evaluate.scores import TASK_METRICS
from agrilape.evaluate.summary import summarise


def rows(make_row, blocks=8, scenes=1, per_block=4, right=lambda number: number % 3 > 0, **meta):
    """Answers in blocks of 100 pixels, 20 pixels apart."""
    found = []
    for number in range(blocks * per_block):
        left = 120 * (number // per_block)
        block = meta or {"block": [left, 0, left + 100, 100]}
        given = "maize" if right(number) else "oats"
        found.append(
            make_row(
                "crop_at_point", ("maize",), (given,), id=str(number), scene=f"s{number % scenes}", meta=block
            )
        )
    return found


ACCURACY = TASK_METRICS["crop_at_point"][0]


def test_one_scene_in_blocks_has_an_interval_that_says_what_was_resampled(make_row):
    found = ACCURACY.score(rows(make_row))
    assert (found.scenes, found.blocks, found.n) == (1, 8, 32)
    assert 0 <= found.low < found.value < found.high <= 1
    summary = summarise(rows(make_row), {})
    assert summary["tasks"]["crop_at_point"]["accuracy"]["blocks"] == 8


@pytest.mark.parametrize(
    "meta", [{"other": 1}, {"block": None}, {"block": "a"}, {"block": [1, 2, 3]}, {"block": [0.5, 0, 1, 1]}]
)
def test_chips_that_name_no_block_have_their_scene_as_before(make_row, meta):
    found = ACCURACY.score(rows(make_row, **meta))
    assert found == (found.value, None, None, 32, 1)
    assert "blocks" not in summarise(rows(make_row, **meta), {})["tasks"]["crop_at_point"]["accuracy"]


def test_enough_scenes_are_resampled_whatever_their_blocks(make_row):
    many = rows(make_row, blocks=12, scenes=FEWEST)
    bare = [make_row(row.task, row.answer, row.prediction, id=row.id, scene=row.scene) for row in many]
    assert ACCURACY.score(many) == ACCURACY.score(bare)
    assert units(many).by_block is False


def test_fewer_than_six_blocks_allow_nothing(make_row):
    found = ACCURACY.score(rows(make_row, blocks=FEWEST - 1))
    assert (found.low, found.high, found.blocks) == (None, None, FEWEST - 1)


def test_blocks_of_two_data_sets_that_share_ground_are_one(make_row):
    plain = rows(make_row, blocks=8)
    other = [
        make_row(
            "crop_at_point", ("maize",), ("maize",), id="x", scene="s0", meta={"block": [60, 50, 160, 200]}
        )
    ]
    assert len(set(units(plain).labels)) == 8
    joined = units([*plain, *other]).labels  # the new one lies over the first and the second
    assert len(set(joined)) == 7
    assert joined[-1] == joined[0] == joined[4] != joined[8]


def test_blocks_of_one_name_in_two_scenes_are_two(make_row):
    assert len(set(units(rows(make_row, blocks=8, scenes=2)).labels)) == 16


def test_no_interval_where_one_block_decides(make_row):
    one = rows(make_row, right=lambda number: number >= 4)
    found, rival = ACCURACY.score(one), rows(make_row, right=lambda number: True)
    assert (found.low, found.high, found.blocks) == (None, None, 8)
    gain = ACCURACY.difference(one, rival)
    assert outcome(gain.low, gain.high, gain.p) == "unknown"
    alike = ACCURACY.score(rival)  # no spread to learn from
    assert (alike.value, alike.low) == (1, None)


def test_a_model_that_is_better_in_every_block_is_ahead(make_row):
    own = rows(make_row, blocks=6, right=lambda number: number % 4 < 2 + number // 4 % 2)
    gain = ACCURACY.difference(rows(make_row, blocks=6, right=lambda number: False), own)
    assert outcome(gain.low, gain.high, gain.p) == "better"
    assert (gain.scenes, gain.blocks) == (1, 6)


def test_the_careful_interval_spans_the_other_and_that_of_t():
    values = np.random.default_rng(0).normal(size=(8, 4)) + np.arange(8)[:, None]
    labels = [str(number // 4) for number in range(32)]
    plain = estimate(per_sample(values.ravel()), labels)
    careful = estimate(per_sample(values.ravel()), labels, careful=True)
    means = values.mean(axis=1)
    half = 2.3646 * means.std(ddof=1) / 8**0.5
    assert careful.low == pytest.approx(min(plain.low, means.mean() - half), rel=1e-3)
    assert careful.high == pytest.approx(max(plain.high, means.mean() + half), rel=1e-3)
    fair = per_sample(values.ravel())
    same = compare(0 * fair + [0, 1], fair, labels, careful=True)
    assert (same.low, same.high) == pytest.approx((careful.low, careful.high), rel=0.1)


def test_the_number_of_units_is_the_same_wherever_it_is_said():
    assert FEWEST_UNITS == FEWEST


@pytest.mark.parametrize("length", [0.25, 1.0, 5.0])
def test_intervals_of_blocks_hold_the_score_of_the_image(length):
    """A part of the table that the benchmark makes; 93 % lie within chance of 0.9 in 200 images."""
    file = Path(__file__).parents[3] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_benchmark", file)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    for row in benchmark.simulate(8, length, 200, 0):
        assert row.image > 0.9
        assert row.verdicts < 0.1
        assert row.given > 0.6

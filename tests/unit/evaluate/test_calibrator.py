"""Confidences fitted to how often answers are right."""

import json

import numpy as np
import pytest

from agrilape.errors import ModelError
from agrilape.evaluate.calibrator import (
    NAME,
    UNCALIBRATED,
    Outcomes,
    best_threshold,
    fit,
    fit_curve,
    outcomes,
    read_calibrator,
)
from agrilape.evaluate.metrics.calibration import expected_calibration_error
from agrilape.evaluate.reliability import confidence_calibration
from agrilape.geo.shapes import Box, Instant, Span

TRUE = Box(0.2, 0.2, 0.5, 0.5)
WRONG = Box(0.6, 0.6, 0.9, 0.9)


def overconfident(n, seed):
    """Answers right in the square of their confidence."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0, 1, n)
    return Outcomes(confidence, (rng.uniform(0, 1, n) < confidence**2).astype(float), n)


def test_what_was_fitted_holds_for_other_answers():
    curve, other = fit_curve(overconfident(2000, 0)), overconfident(2000, 1)
    assert expected_calibration_error(other.confidence, other.right) > 0.1
    assert expected_calibration_error(curve(other.confidence), other.right) < 0.05


def test_more_confident_answers_are_never_said_to_be_less_often_right():
    curve = fit_curve(overconfident(300, 2))
    assert (np.diff(curve(np.linspace(0, 1, 200))) >= 0).all()
    assert 0 < curve(0.0) < curve(1.0) < 1


def test_the_threshold_has_the_best_f1_of_all():
    known = overconfident(400, 3)
    least = best_threshold(known.confidence, known.right, known.truths)

    def f1(t):
        kept = known.confidence >= t
        return 2 * known.right[kept].sum() / (kept.sum() + known.truths)

    assert 0.2 < least < 0.9
    assert f1(least) == pytest.approx(max(map(f1, known.confidence)))


def test_nothing_is_left_out_where_all_is_right():
    assert best_threshold(np.array([0.3, 0.9]), np.array([1.0, 1.0]), 2) == 0.0


def test_each_truth_is_found_once_and_what_was_not_named_is_missed(make_row):
    row = make_row(
        "field_boxes", [TRUE, Box(0.0, 0.6, 0.1, 0.9)], [TRUE, TRUE, WRONG], confidence=(0.9, 0.8, 0.1)
    )
    found = outcomes([row])
    assert found.right.sum() == 1
    assert found.right[2] == 0
    assert found.truths == 2


@pytest.mark.parametrize(
    ("task", "wanted", "given", "right"),
    [
        ("crop_at_point", ["maize"], ["maize"], [1]),
        ("crop_at_point", ["maize"], ["barley"], [0]),
        ("absent_crop", ["There is no maize here."], ["There is no maize here."], [1]),
        ("absent_crop", ["There is no maize here."], [WRONG], [0]),
        ("crop_boxes", [TRUE], ["There is no maize here."], []),
        ("growing_season", [Span(0.2, 0.6)], [Span(0.2, 0.5)], [1]),
        ("peak_of_season", [Instant(0.5)], [Instant(0.52)], [1]),
        ("peak_of_season", [Instant(0.5)], [Instant(0.7)], [0]),
    ],
)
def test_what_counts_as_right(make_row, task, wanted, given, right):
    assert outcomes([make_row(task, wanted, given, confidence=(0.5,))]).right.tolist() == right


@pytest.fixture
def rows(make_row):
    sure = overconfident(200, 4)
    return [
        make_row("field_at_point", [TRUE], [TRUE if right else WRONG], id=f"r{i}", confidence=(float(c),))
        for i, (c, right) in enumerate(zip(sure.confidence, sure.right, strict=True))
    ]


def test_it_is_kept_beside_the_checkpoint_and_read_back(rows, tmp_path):
    calibrator = fit(rows)
    calibrator.write(tmp_path)
    assert read_calibrator(tmp_path) == calibrator
    assert calibrator("field_at_point", 0.5) == pytest.approx(0.25, abs=0.12)
    assert calibrator("crop_box", 0.5) == calibrator("field_at_point", 0.5)  # answers of the same kind
    assert calibrator.threshold("crop_box") == 0.0  # what is best to leave out is not known of it
    assert calibrator(None, 0.5) == calibrator("field_at_point", 0.5)


def test_without_a_calibration_confidences_are_the_models_own(tmp_path):
    assert read_calibrator(tmp_path) == UNCALIBRATED
    assert UNCALIBRATED("crop_box", 0.3) == 0.3
    assert UNCALIBRATED.threshold("crop_box") == 0


def test_a_few_answers_are_no_calibration(rows):
    assert fit(rows[:30]) == UNCALIBRATED


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:40],
        lambda text: text.replace('"confidence": [', '"confidence": [2.0,'),
        lambda text: json.dumps({"tasks": {"a": {"confidence": [0.1], "accuracy": [1.5]}}}),
    ],
)
def test_a_damaged_calibration_is_named(rows, tmp_path, damage):
    fit(rows).write(tmp_path)
    (tmp_path / NAME).write_text(damage((tmp_path / NAME).read_text()))
    with pytest.raises(ModelError, match=r"calibration\.json is not valid"):
        read_calibrator(tmp_path)


def test_the_error_that_is_reported_is_that_of_calibrated_confidences(rows):
    before = confidence_calibration(rows)
    after = confidence_calibration(rows, fit(rows))
    assert not before["calibrated"]
    assert after["calibrated"]
    assert after["tasks"]["field_at_point"]["ece"] < before["tasks"]["field_at_point"]["ece"]
    assert sum(n for _, _, n in after["tasks"]["field_at_point"]["curve"]) == 200

"""Boxes: against shapely on random cases, and the faults of published code."""

import time

import numpy as np
import pytest
import shapely

from agrilape.evaluate.metrics.boxes import (
    accuracy_at,
    box_iou,
    box_iou_matrices,
    box_iou_matrix,
    box_overlap,
    cumulative_iou,
    enclosing,
    mean_iou,
)


def random_boxes(n, seed=0):
    corners = np.sort(np.random.default_rng(seed).random((n, 2, 2)), axis=1)
    return corners.reshape(n, 4)


def test_iou_agrees_with_shapely():
    a, b = random_boxes(300), random_boxes(300, 1)
    left, right = shapely.box(*a.T), shapely.box(*b.T)
    expected = shapely.area(left & right) / shapely.area(left | right)
    np.testing.assert_allclose(box_iou(a, b), expected, atol=1e-12)
    np.testing.assert_allclose(np.diag(box_iou_matrix(a, b)), expected, atol=1e-12)


def test_cumulative_iou_agrees_with_shapely():
    a, b = random_boxes(50), random_boxes(50, 1)
    left, right = shapely.box(*a.T), shapely.box(*b.T)
    expected = shapely.area(left & right).sum() / shapely.area(left | right).sum()
    assert cumulative_iou(a, b) == pytest.approx(expected)


def test_disjoint_normalised_boxes_do_not_overlap():
    """With the published "+1 pixel" on normalised edges these two have an IoU above one half."""
    a, b = np.array([0.1, 0.1, 0.3, 0.3]), np.array([0.35, 0.1, 0.55, 0.3])
    size = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) + 1, 0, None).prod()
    assert size / (2 * 1.2**2 - size) > 0.5  # the fault itself
    assert box_iou(a, b) == 0
    assert box_overlap(a, b) == pytest.approx((0, 2 * 0.2**2))


def test_unreadable_answers_stay_in_the_denominator():
    truth = random_boxes(4)
    given = truth.copy()
    given[2:] = np.nan
    iou = box_iou(given, truth)
    assert accuracy_at(iou, 0.5) == 0.5
    assert mean_iou(iou) == pytest.approx(0.5)
    assert mean_iou([1.0, np.nan]) == accuracy_at([1.0, np.nan], 0.5) == 0.5


@pytest.mark.parametrize("box", [[0.5, 0.2, 0.1, 0.8], [0.3, 0.3, 0.3, 0.3], [np.nan] * 4])
def test_boxes_without_extent_score_nothing(box):
    assert box_iou(box, box) == 0


def test_threshold_is_inclusive():
    assert accuracy_at(box_iou([0, 0, 1, 0.5], [0, 0, 1, 1]), 0.5) == 1


def test_no_samples_have_no_score():
    assert np.isnan(accuracy_at([], 0.5))
    assert np.isnan(mean_iou([]))
    assert np.isnan(cumulative_iou([], []))


def test_enclosing_box():
    np.testing.assert_array_equal(enclosing([[0.1, 0.2, 0.3, 0.4], [0.0, 0.3, 0.2, 0.9]]), [0, 0.2, 0.3, 0.9])
    assert np.isnan(enclosing([])).all()


def test_no_boxes_on_either_side():
    assert box_iou_matrix([], random_boxes(3)).shape == (0, 3)
    assert box_iou_matrix(random_boxes(2), []).shape == (2, 0)
    assert box_iou_matrix([], []).shape == (0, 0)


def test_many_samples_at_once():
    pairs = [
        (random_boxes(p, p), random_boxes(t, 10 + t)) for p, t in [(2, 3), (0, 2), (1, 0), (0, 0), (3, 1)]
    ]
    for matrix, pair in zip(box_iou_matrices(pairs), pairs, strict=True):
        np.testing.assert_array_equal(matrix, box_iou_matrix(*pair))
    assert box_iou_matrices([]) == []


def test_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="left, top, right, bottom"):
        box_iou(np.zeros((2, 5)), np.zeros((2, 5)))


def test_hundred_thousand_boxes_take_less_than_a_second():
    a, b = random_boxes(100_000), random_boxes(100_000, 1)
    began = time.perf_counter()
    box_iou(a, b)
    assert time.perf_counter() - began < 1

from itertools import product

import numpy as np
import pytest
from shapely.geometry import MultiPolygon, Point, Polygon, box

from agrilape.evaluate.metrics.boxes import box_iou
from agrilape.evaluate.metrics.polygons import (
    polygon_iou,
    polygon_iou_matrices,
    rotated_boxes,
)


def random_outlines(n, seed):
    rng = np.random.default_rng(seed)
    return [Point(*rng.random(2)).buffer(rng.uniform(0.05, 0.4), quad_segs=3) for _ in range(n)]


def test_unturned_rotated_boxes_are_boxes():
    rng = np.random.default_rng(0)
    a, b = np.sort(rng.random((2, 100, 2, 2)), axis=2).reshape(2, 100, 4)
    flat = np.zeros((100, 1))
    given = polygon_iou(rotated_boxes(np.hstack([a, flat])), rotated_boxes(np.hstack([b, flat + 180])))
    np.testing.assert_allclose(given, box_iou(a, b), atol=1e-9)


def test_a_square_turned_by_90_degrees_is_itself_and_by_45_an_octagon_apart():
    square = [0, 0, 2, 2]
    shapes = rotated_boxes([[*square, angle] for angle in (0, 90, 45)])
    assert polygon_iou(shapes[:1], shapes[1:2])[0] == pytest.approx(1)
    octagon = 8 * (np.sqrt(2) - 1)
    assert polygon_iou(shapes[:1], shapes[2:])[0] == pytest.approx(octagon / (8 - octagon))


def test_rotated_iou_agrees_with_monte_carlo():
    rng = np.random.default_rng(3)
    points = rng.random((200_000, 2)) * 4 - 2

    def inside(left, top, right, bottom, degrees):
        centre, angle = np.array([(left + right) / 2, (top + bottom) / 2]), np.deg2rad(degrees)
        turned = (points - centre) @ np.array(
            [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        )
        return (np.abs(turned) <= [(right - left) / 2, (bottom - top) / 2]).all(axis=1)

    a, b = (-1, -0.5, 1, 0.5, 20), (-0.8, -0.6, 0.9, 0.7, -35)
    expected = (inside(*a) & inside(*b)).sum() / (inside(*a) | inside(*b)).sum()
    assert polygon_iou(rotated_boxes([a]), rotated_boxes([b]))[0] == pytest.approx(expected, abs=0.01)


def test_matrix_holds_the_pairs():
    a, b = random_outlines(20, 0), random_outlines(15, 1)
    matrix = polygon_iou_matrices([(a, b)])[0]
    assert matrix.shape == (20, 15)
    for i, one in enumerate(a):
        expected = [one.intersection(other).area / one.union(other).area for other in b]
        np.testing.assert_allclose(matrix[i], expected, atol=1e-12)


def test_many_samples_at_once():
    sizes = [(2, 3), (0, 2), (1, 0), (0, 0), (3, 1)]
    pairs = [(random_outlines(p, p), random_outlines(t, 10 + t)) for p, t in sizes]
    for matrix, size, (a, b) in zip(polygon_iou_matrices(pairs), sizes, pairs, strict=True):
        assert matrix.shape == size
        np.testing.assert_allclose(
            matrix.ravel(), polygon_iou(*zip(*product(a, b), strict=True)) if a and b else []
        )
    assert polygon_iou_matrices([]) == []


@pytest.mark.parametrize("nothing", [None, Point(0.5, 0.5), Polygon()])
def test_what_encloses_nothing_scores_nothing(nothing):
    assert polygon_iou([nothing], [box(0, 0, 1, 1)])[0] == 0


def test_self_crossing_outlines_are_repaired():
    bow_tie = Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    wings = MultiPolygon([Polygon([(0, 0), (0.5, 0.5), (0, 1)]), Polygon([(1, 1), (0.5, 0.5), (1, 0)])])
    assert polygon_iou([bow_tie], [wings])[0] == pytest.approx(1)


def test_no_outlines():
    assert polygon_iou_matrices([([], random_outlines(3, 0))])[0].shape == (0, 3)
    assert polygon_iou([], []).shape == (0,)


def test_rotated_boxes_need_five_numbers():
    with pytest.raises(ValueError, match="degrees"):
        rotated_boxes([[0, 0, 1, 1]])

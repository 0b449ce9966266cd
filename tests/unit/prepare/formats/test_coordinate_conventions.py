import math

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from agrilape.geo.shapes import Box, Point, Polygon
from agrilape.prepare.formats.coordinate_conventions import (
    PER_MILLE,
    PERCENT,
    UNIT,
    CoordinateScale,
    Size,
    pixels,
    turned,
    upright,
)

sizes = st.builds(Size, st.integers(16, 4000), st.integers(16, 4000))
fractions = st.floats(0, 1)
quick = settings(max_examples=60, deadline=None)


@st.composite
def whole_boxes(draw, scale: CoordinateScale):
    left, top = (draw(st.integers(0, int(scale[axis]) - 1)) for axis in (0, 1))
    return (
        left,
        top,
        draw(st.integers(left + 1, int(scale.width))),
        draw(st.integers(top + 1, int(scale.height))),
    )


@pytest.mark.parametrize("scale", [PERCENT, PER_MILLE])
@quick
@given(st.data())
def test_whole_numbers_survive_a_round_trip(scale, data):
    numbers = data.draw(whole_boxes(scale))
    assert scale.numbers(scale.box(*numbers)) == numbers


@quick
@given(sizes, st.data())
def test_pixels_of_an_image_of_any_size_survive_a_round_trip(size, data):
    numbers = data.draw(whole_boxes(pixels(size)))
    assert pixels(size).numbers(pixels(size).box(*numbers)) == pytest.approx(numbers)


@quick
@given(fractions, fractions, fractions, fractions)
def test_fractions_survive_a_round_trip(a, b, c, d):
    if a == c or b == d:
        return
    numbers = (min(a, c), min(b, d), max(a, c), max(b, d))
    assert UNIT.numbers(UNIT.box(*numbers)) == numbers


@pytest.mark.parametrize("scale", [PERCENT, PER_MILLE])
@quick
@given(fractions, fractions)
def test_rounding_moves_a_point_by_half_a_step_at_most(scale, x, y):
    again = scale.point(*scale.numbers(Point(x, y)))
    assert math.dist(again, (x, y)) <= math.hypot(0.5, 0.5) / scale.width + 1e-12


@quick
@given(sizes, st.lists(st.tuples(fractions, fractions), min_size=3, max_size=8))
def test_outlines_in_pixels_survive_a_round_trip(size, corners):
    outline = Polygon(tuple(Point(x, y) for x, y in corners))
    numbers = pixels(size).numbers(outline)
    again = pixels(size).outline(zip(numbers[::2], numbers[1::2], strict=True))
    assert [c for point in again.points for c in point] == pytest.approx(
        [c for pair in corners for c in pair]
    )


@quick
@given(
    sizes, st.floats(0.35, 0.65), st.floats(0.35, 0.65), st.floats(8, 60), st.floats(8, 60), st.floats(1, 179)
)
def test_turned_boxes_survive_a_round_trip(size, x, y, along, across, degrees):
    # side lengths in percent of the shorter side of the image, so that the box fits however it is turned
    unit = min(size) / 200
    half = (along * unit / 2 / size.width, across * unit / 2 / size.height)
    box = Box(x - half[0], y - half[1], x + half[0], y + half[1])
    outline = turned(box, degrees, size)
    if isinstance(outline, Box):  # a multiple of 90 degrees
        return
    again = turned(*upright(outline, size), size)
    if isinstance(again, Box):
        return
    one, other = shapely.Polygon(outline.points), shapely.Polygon(again.points)
    assert one.symmetric_difference(other).area < 1e-6 * one.area + 1e-12


def test_a_box_turns_clockwise_about_its_centre_in_pixels():
    outline = turned(Box(0.25, 0.4, 0.75, 0.6), 45, Size(200, 200))
    top_left, top_right, *_ = outline.points
    assert top_right.y > top_left.y, "its upper edge falls to the right"
    centre = shapely.Polygon(outline.points).centroid
    assert (centre.x, centre.y) == pytest.approx((0.5, 0.5))
    assert shapely.Polygon(outline.points).area == pytest.approx(0.5 * 0.2)


def test_right_angles_last_in_an_oblong_image():
    outline = turned(Box(0.4, 0.2, 0.6, 0.8), 30, Size(400, 100))
    corners = [(x * 400, y * 100) for x, y in outline.points]
    assert math.dist(corners[0], corners[1]) == pytest.approx(80)
    assert math.dist(corners[1], corners[2]) == pytest.approx(60)
    assert math.dist(corners[0], corners[2]) == pytest.approx(100)


def test_a_quarter_turn_is_a_box_again():
    assert turned(Box(0.4, 0.3, 0.6, 0.7), 90, Size(100, 100)) == pytest.approx(Box(0.3, 0.4, 0.7, 0.6))


def test_turned_out_of_the_image_is_cut_at_its_edge():
    outline = turned(Box(0.0, 0.0, 0.2, 0.2), 45, Size(100, 100))
    assert all(0 <= c <= 1 for point in outline.points for c in point)
    assert shapely.Polygon(outline.points).area < 0.04


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ((10, 10, 981, 20), "outside 0 to 100"),
        ((10, 10, float("nan"), 20), "outside"),
        ((-5, 10, 20, 20), "outside"),
        ((35, 32, 35, 36), "no area"),
        ((40, 32, 35, 36), "no area"),
    ],
)
def test_impossible_boxes_are_refused_with_a_reason(numbers, reason):
    with pytest.raises(ValueError, match=reason):
        PERCENT.box(*numbers)


def test_a_little_beyond_the_edge_is_cut_there():
    assert PERCENT.box(-1, 0, 101, 50) == Box(0, 0, 1, 0.5)


def test_an_outline_beside_the_image_is_refused():
    with pytest.raises(ValueError, match="outside the image"):
        pixels(Size(10, 10)).outline([(20, 20), (30, 20), (30, 30)])

"""Outlines on a grid: the same pixels as GDAL's."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rasterio import features

from agrilape.prepare.rasterize import rasterize

# Corners on whole pixels, on their centres and anywhere: ties are what implementations differ in.
EDGES = st.one_of(
    st.integers(-3, 23),
    st.integers(-6, 46).map(lambda half: half / 2),
    st.floats(-5, 25, allow_subnormal=False),
)
CORNERS = st.lists(st.tuples(EDGES, EDGES), min_size=3, max_size=7)


def outline(corners):
    made = shapely.make_valid(shapely.Polygon(corners))
    return shapely.union_all([part for part in shapely.get_parts(made) if part.geom_type.endswith("Polygon")])


def is_plain(made):
    """Has it ground and no holes? Of a hole's edge along the centres of a row GDAL fills one side, too."""
    return made.area > 0 and not any(len(part.interiors) for part in shapely.get_parts(made))


def theirs(outlines, values, shape):
    return features.rasterize(zip(outlines, values, strict=True), shape, dtype="int32")


@given(st.lists(CORNERS.map(outline).filter(is_plain), min_size=1, max_size=5), st.booleans())
def test_the_pixels_are_those_of_gdal(outlines, turned):
    outlines = [shapely.reverse(one) for one in outlines] if turned else outlines
    shape, values = (20, 18), range(1, len(outlines) + 1)
    np.testing.assert_array_equal(rasterize(outlines, values, shape), theirs(outlines, values, shape))


HALVES = st.integers(-4, 44).map(lambda half: half / 2)
BOXES = st.lists(st.tuples(HALVES, HALVES, HALVES, HALVES).map(lambda edges: shapely.box(*edges)), min_size=1)


@given(BOXES.map(shapely.union_all).filter(is_plain), st.booleans())
def test_edges_along_the_centres_of_pixels_are_where_gdal_has_them(stairs, turned):
    stairs = shapely.reverse(stairs) if turned else stairs
    np.testing.assert_array_equal(rasterize([stairs], [1], (20, 20)), theirs([stairs], [1], (20, 20)))


@given(CORNERS.map(outline).filter(lambda made: made.area > 2))
def test_holes_are_left_out(whole):
    holed = whole.difference(whole.centroid.buffer(whole.area**0.5 / 4))
    np.testing.assert_array_equal(rasterize([holed], [7], (20, 20)), theirs([holed], [7], (20, 20)))


def test_the_last_of_several_stays():
    boxes = [shapely.box(0, 0, 3, 3), shapely.box(2, 2, 4, 4), shapely.box(-9, -9, -1, -1)]
    expected = [[5, 5, 5, 0], [5, 5, 5, 0], [5, 5, 2, 2], [0, 0, 2, 2]]
    assert rasterize(boxes, [5, 2, 9], (4, 4)).tolist() == expected


@pytest.mark.parametrize("outlines", [[], [shapely.Polygon()]])
def test_nothing_leaves_an_empty_grid(outlines):
    assert not rasterize(outlines, [1] * len(outlines), (2, 3)).any()

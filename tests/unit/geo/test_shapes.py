"""Normalised shapes."""

import pytest

from agrilape.geo.shapes import Box, Point, Polygon


def test_box_area_has_no_extra_pixel():
    assert Box(0.25, 0.5, 0.75, 1.0).area == 0.25
    assert Box(0.75, 0.5, 0.25, 1.0).area == 0


def test_polygon_needs_three_vertices():
    with pytest.raises(ValueError, match="at least 3"):
        Polygon((Point(0, 0), Point(1, 1)))

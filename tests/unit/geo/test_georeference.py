"""Map <-> pixel <-> normalised <-> token, on every kind of grid."""

import json
import math

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod
from shapely.geometry import shape

from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Box, Point, Polygon

SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
UTM = Georeference("EPSG:32632", Affine(10, 0, 512410, 0, -10, 6247200), 294, 413)
GRIDS = {
    "utm": UTM,
    "south-up": Georeference("EPSG:32632", Affine(10, 0, 512410, 0, 10, 6243070), 294, 413),
    "rotated": Georeference(
        "EPSG:32722", Affine(8, 6, 400000, 6, -8, 8500000), 300, 200
    ),  # 10 m pixels, turned by 37 degrees
    "geographic": Georeference("EPSG:4326", Affine(1e-4, 0, 8.0, 0, -1e-4, 47.5), 500, 400),
    "web mercator": Georeference("EPSG:3857", Affine(10, 0, 1_000_000, 0, -10, 8_000_000), 256, 256),
    "sinusoidal": Georeference(SINUSOIDAL, Affine(231.656, 0, -6089550, 0, -231.656, -1332950), 37, 27),
    "southern geographic": Georeference("EPSG:4326", Affine(1e-4, 0, -46.0, 0, -1e-4, -12.5), 500, 400),
}
grids = st.sampled_from(sorted(GRIDS))
shares = st.floats(0, 1)


def ground_distance(grid: Georeference, one: tuple[float, float], other: tuple[float, float]) -> float:
    """Metres between two map points, by way of WGS 84."""
    ends = [grid.to_geojson(shapely.Point(*place))["coordinates"] for place in (one, other)]
    return Geod(ellps="WGS84").inv(*ends[0], *ends[1])[2]


@given(grids, shares, shares)
def test_point_returns_from_the_map(name, x, y):
    grid = GRIDS[name]
    back = grid.to_normalised(*grid.to_map(Point(x, y)))
    assert back == pytest.approx((x, y), abs=1e-7)


@given(grids, shares, shares, st.integers(2, 1000))
def test_round_trip_through_tokens_keeps_its_bound(name, x, y, bins):
    """Map -> pixel -> normalised -> token -> map moves a place by half a bin at most."""
    grid = GRIDS[name]
    place = grid.to_map(Point(x, y))
    normalised = grid.to_normalised(*place)
    token = [round(min(max(p, 0.0), 1.0) * (bins - 1)) for p in normalised]
    back = grid.to_map(Point(*(index / (bins - 1) for index in token)))
    # 0.5 % for the sphere of the sinusoidal grid against the ellipsoid, 2 cm for rounded degrees
    assert ground_distance(grid, place, back) <= grid.token_error_m(bins) * 1.005 + 0.02


def test_bound_is_reached_between_two_tokens():
    bins = 150
    half = 1 / (2 * (bins - 1))
    place, token = UTM.to_map(Point(half, half)), UTM.to_map(Point(0, 0))
    expected = math.hypot(2940 * half, 4130 * half)
    assert math.dist(place, token) == pytest.approx(expected)
    assert UTM.token_error_m(bins) == pytest.approx(expected, rel=1e-3)


@given(grids, shares, shares, shares, shares)
def test_box_returns_from_the_map(name, x0, y0, x1, y1):
    grid = GRIDS[name]
    box = Box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    back = grid.box_from_map(grid.box_to_map(box))
    assert back == pytest.approx(box, abs=1e-6)


@given(grids)
def test_outline_returns_from_the_map(name):
    grid = GRIDS[name]
    outline = Polygon((Point(0.1, 0.2), Point(0.9, 0.25), Point(0.6, 0.8), Point(0.2, 0.7)))
    back = grid.outline_from_map(grid.outline_to_map(outline))
    assert np.allclose(back.points, outline.points, atol=1e-7)


def test_outline_is_the_largest_part():
    large, small = UTM.box_to_map(Box(0.2, 0.2, 0.8, 0.8)), UTM.box_to_map(Box(0, 0, 0.1, 0.1))
    outline = UTM.outline_from_map(shapely.MultiPolygon([small, large]))
    assert np.allclose(sorted(outline.points), sorted([(0.2, 0.2), (0.2, 0.8), (0.8, 0.2), (0.8, 0.8)]))


@pytest.mark.parametrize("geometry", [shapely.Polygon(), shapely.LineString([(0, 0), (1, 1)])])
def test_no_outline_without_area(geometry):
    with pytest.raises(ValueError, match="no outline"):
        UTM.outline_from_map(geometry)


@given(grids, st.integers(-50, 300), st.integers(-50, 300), shares, shares)
def test_window_shows_the_same_ground(name, column, row, x, y):
    grid = GRIDS[name]
    window = grid.window((column, row, 128, 64))
    whole = Point((column + x * 128) / grid.width, (row + y * 64) / grid.height)
    assert window.to_map(Point(x, y)) == pytest.approx(grid.to_map(whole), rel=1e-12, abs=1e-6)
    assert (window.width, window.height) == (128, 64)


@pytest.mark.parametrize(
    ("name", "gsd"),
    [
        ("utm", 10.0),
        ("south-up", 10.0),
        ("rotated", 10.0),
        ("geographic", (1e-4 * 111_170 + 1e-4 * 75_300) / 2),  # a degree of latitude, of longitude at 47.5 N
        ("web mercator", 10 * math.cos(math.radians(58.25))),  # Mercator stretches by 1 / cos(latitude)
        ("sinusoidal", 234.0),  # equal-area, so sheared: north-south pixels lengthen away from the meridian
    ],
)
def test_gsd_is_measured_on_the_ground(name, gsd):
    assert GRIDS[name].gsd_m == pytest.approx(gsd, rel=5e-3)


def test_area_on_the_ground():
    assert UTM.area_ha(UTM.extent) == pytest.approx(2940 * 4130 / 1e4, rel=2e-3)
    mercator = GRIDS["web mercator"]
    assert (
        mercator.area_ha(mercator.extent) < 0.35 * 2560**2 / 1e4
    )  # what the map pretends is 3.6 times as much
    sinusoidal = GRIDS["sinusoidal"]
    assert sinusoidal.area_ha(sinusoidal.extent) == pytest.approx(37 * 27 * 231.656**2 / 1e4, rel=1e-6)


@given(grids, st.floats(0.05, 0.4))
def test_holes_have_no_area_and_direction_does_not_matter(name, inset):
    grid = GRIDS[name]
    outer, hole = (
        grid.box_to_map(Box(0.05, 0.05, 0.95, 0.95)),
        grid.box_to_map(Box(0.5 - inset, 0.4, 0.5, 0.6)),
    )
    holed = shapely.Polygon(outer.exterior.coords, [hole.exterior.coords])
    expected = grid.area_ha(outer) - grid.area_ha(hole)
    assert grid.area_ha(holed) == pytest.approx(expected, rel=1e-9)
    assert grid.area_ha(shapely.reverse(holed)) == pytest.approx(expected, rel=1e-9)


@given(grids)
def test_geojson_is_rfc_7946(name):
    grid = GRIDS[name]
    geojson = grid.to_geojson(grid.extent)
    polygon = shape(json.loads(json.dumps(geojson)))
    assert polygon.exterior.is_ccw
    longitude, latitude = grid.centre_wgs84()
    assert polygon.contains(shapely.Point(longitude, latitude))


@pytest.mark.parametrize(
    "grid",
    [
        Georeference("EPSG:4326", Affine(1e-4, 0, 179.99, 0, -1e-4, -17), 200, 200),
        Georeference("EPSG:32701", Affine(10, 0, 176000, 0, -10, 8117000), 800, 100),  # Fiji, from UTM zone 1
    ],
    ids=["degrees beyond 180", "UTM"],
)
def test_geojson_is_cut_at_the_antimeridian(grid):
    polygon = shape(grid.to_geojson(grid.extent))
    assert polygon.geom_type == "MultiPolygon"
    west, _, east, _ = polygon.bounds
    assert (west, east) == (-180, 180)
    assert all(part.bounds[2] - part.bounds[0] < 1 for part in polygon.geoms)


def test_third_dimension_is_dropped():
    solid = shapely.force_3d(UTM.extent, 50.0)
    assert not UTM.to_pixels(solid).has_z
    assert UTM.area_ha(solid) == pytest.approx(UTM.area_ha(UTM.extent))
    assert len(UTM.to_geojson(solid)["coordinates"][0][0]) == 2


def test_strange_crs_is_named():
    grid = Georeference("EPSG:999999", Affine.identity(), 10, 10)
    with pytest.raises(DataError, match="EPSG:999999"):
        _ = grid.gsd_m


@pytest.mark.parametrize(
    ("transform", "size"), [(Affine(0, 0, 5, 0, 0, 5), (10, 10)), (Affine.identity(), (0, 10))]
)
def test_grid_without_ground_is_refused(transform, size):
    with pytest.raises(ValueError, match=r"pixel|flattens"):
        Georeference("EPSG:32632", transform, *size)

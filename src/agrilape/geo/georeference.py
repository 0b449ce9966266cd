"""Where an image lies on the map: map <-> pixel <-> normalised coordinates, and sizes on the ground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely import Geometry
from shapely.geometry import Polygon as ShapelyPolygon
from shapely.geometry import mapping

from agrilape.errors import DataError
from agrilape.geo.shapes import Box, Point, Polygon

if TYPE_CHECKING:  # pyproj is imported where it is used: training and scoring of prepared data need no map
    from pyproj import CRS, Geod, Transformer

SQUARE_METRES_PER_HECTARE = 10_000.0
WGS84_DECIMALS = 7  # about a centimetre
_POLYGON = 3  # GEOS type number
GRID_OF_PROBES = 5  # places per axis at which the ground size of a pixel is measured


@dataclass(frozen=True)
class Georeference:
    """The grid of an image of `width` x `height` pixels on a map.

    Three kinds of coordinates: *map* (the CRS's units, x before y whatever the authority's axis order),
    *pixel* (column, row, counted from the outer edge of the top-left pixel) and *normalised* (pixel divided
    by the size). The transform may be rotated, sheared or south-up.

    Attributes:
        crs: Coordinate reference system, as an authority code (`EPSG:32632`) or WKT.
        transform: Affine transform from pixel edges (column, row) to map coordinates, as rasterio's.
        width: Columns.
        height: Rows.
    """

    crs: str
    transform: Affine
    width: int
    height: int

    def __post_init__(self) -> None:
        """Refuse a grid that has no ground."""
        if self.width < 1 or self.height < 1:
            raise ValueError(f"an image has at least one pixel, got {self.width} x {self.height}")
        if self.transform.determinant == 0:
            raise ValueError(f"the transform flattens the image: {tuple(self.transform)[:6]}")

    def to_map(self, point: Point) -> tuple[float, float]:
        """Map coordinates, in the CRS's units, of a normalised point."""
        x, y = apply_affine(self.transform, np.array([[point.x * self.width, point.y * self.height]]))[0]
        return float(x), float(y)

    def to_normalised(self, x: float, y: float) -> Point:
        """The normalised point at map coordinates; outside [0, 1] for a place outside the image.

        Of a geographic system, longitudes may count from 0 to 360 or from -180 to 180.
        """
        turn = longitude_period(self.crs)
        if turn is not None and math.isfinite(x):
            x += turn * round((self.to_map(Point(0.5, 0.5))[0] - x) / turn)
        column, row = apply_affine(~self.transform, np.array([[x, y]]))[0]
        return Point(float(column) / self.width, float(row) / self.height)

    def window(self, window: tuple[int, int, int, int]) -> Georeference:
        """The grid of a window (column, row, width, height in pixels), which may reach beyond the image."""
        column, row, width, height = window
        return Georeference(self.crs, shift_origin(self.transform, column, row), width, height)

    def to_pixels(self, geometry: Geometry) -> Geometry:
        """A map geometry, or an array of them, in pixel coordinates; a third dimension is dropped.

        Of a geographic system, longitudes may count from 0 to 360 or from -180 to 180.
        """
        inverse = ~self.transform
        here = self._turned_here(shapely.force_2d(geometry))
        return shapely.transform(here, lambda xy: apply_affine(inverse, xy))

    def _turned_here(self, geometry: Geometry) -> Geometry:
        """Geometries in degrees, each shifted by the whole turns that bring it nearest to the image."""
        turn = longitude_period(self.crs)
        if turn is None:
            return geometry
        centre = self.to_map(Point(0.5, 0.5))[0]
        west, _, east, _ = np.moveaxis(shapely.bounds(geometry), -1, 0)
        turns = np.nan_to_num(np.round((centre - (west + east) / 2) / turn))
        if not turns.any():
            return geometry
        coordinates, owners = shapely.get_coordinates(geometry, return_index=True)
        coordinates[:, 0] += turn * np.atleast_1d(turns)[owners]
        return shapely.set_coordinates(np.array(geometry), coordinates)[()]  # of one geometry, it again

    def from_pixels(self, geometry: Geometry) -> Geometry:
        """A geometry in pixel coordinates on the map."""
        return shapely.transform(geometry, lambda xy: apply_affine(self.transform, xy))

    def box_to_map(self, box: Box) -> ShapelyPolygon:
        """The corners of a normalised box on the map: a rectangle only where the grid is not rotated."""
        left, right = box.left * self.width, box.right * self.width
        top, bottom = box.top * self.height, box.bottom * self.height
        return self.from_pixels(ShapelyPolygon([(left, top), (right, top), (right, bottom), (left, bottom)]))

    def box_from_map(self, geometry: Geometry) -> Box:
        """The smallest normalised box around a map geometry; not clipped to the image.

        Raises:
            ValueError: The geometry is empty.
        """
        if geometry.is_empty:
            raise ValueError("an empty geometry has no box")
        left, top, right, bottom = self.to_pixels(geometry).bounds
        return Box(left / self.width, top / self.height, right / self.width, bottom / self.height)

    def outline_to_map(self, outline: Polygon) -> ShapelyPolygon:
        """A normalised outline on the map."""
        return self.from_pixels(
            ShapelyPolygon([(p.x * self.width, p.y * self.height) for p in outline.points])
        )

    def outline_from_map(self, geometry: Geometry) -> Polygon:
        """The normalised outer ring of a map polygon: of its largest part, holes filled.

        Raises:
            ValueError: There is no polygon in the geometry.
        """
        parts = [part for part in shapely.get_parts(geometry) if isinstance(part, ShapelyPolygon)]
        if not any(part.area for part in parts):
            raise ValueError(f"no outline in a {geometry.geom_type} without area")
        ring = self.to_pixels(max(parts, key=lambda part: part.area)).exterior.coords[:-1]
        return Polygon(tuple(Point(x / self.width, y / self.height) for x, y in ring))

    @property
    def extent(self) -> ShapelyPolygon:
        """The whole image on the map."""
        return self.box_to_map(Box(0.0, 0.0, 1.0, 1.0))

    @cached_property
    def gsd_m(self) -> float:
        """Mean side of a pixel on the ground at the centre of the image, in metres.

        Measured on the ellipsoid, so it holds for geographic and for distorted (Web Mercator) systems too; a
        nominal 10 m in UTM is 9.996 to 10.01 m.
        """
        across, down = self._steps_m(np.array([[self.width / 2, self.height / 2]]))
        return float((np.hypot(*across[0]) + np.hypot(*down[0])) / 2)

    @cached_property
    def ground_m(self) -> tuple[float, float]:
        """Width and height along the middle lines of the image, in metres on the WGS 84 ellipsoid."""
        from pyproj import Geod

        middles = np.array([(0, 0.5), (0.5, 0), (1, 0.5), (0.5, 1)]) * (self.width, self.height)
        on_map = apply_affine(self.transform, middles)
        degrees = np.round(_project(_transformer(self.crs, "OGC:CRS84"), on_map), WGS84_DECIMALS)
        _, _, metres = Geod(ellps="WGS84").inv(*degrees[:2].T, *degrees[2:].T)
        width, height = metres.tolist()
        return width, height

    def area_ha(self, geometry: Geometry) -> float:
        """Area of a map geometry on the ellipsoid in hectares; holes are not counted.

        Geodesic polygon area (Karney 2013, doi:10.1007/s00190-012-0578-z).
        """
        return float(self.areas_ha([geometry])[0])

    def areas_ha(self, geometries: Sequence[Geometry] | NDArray[np.object_]) -> NDArray[np.float64]:
        """Area of each of many map geometries, as `area_ha` gives it, with one projection for all."""
        _, geod, to_degrees = _earth(self.crs)
        parts, owners = shapely.get_parts(geometries, return_index=True)
        solid = (shapely.get_type_id(parts) == _POLYGON) & ~shapely.is_empty(parts)
        degrees = shapely.transform(shapely.force_2d(parts[solid]), lambda xy: _project(to_degrees, xy))
        areas = np.abs(_signed_areas_m2(geod, shapely.orient_polygons(degrees))) / SQUARE_METRES_PER_HECTARE
        total = np.zeros(len(geometries))
        np.add.at(total, owners[solid], areas)
        return total

    def token_error_m(self, bins: int) -> float:
        """Largest distance on the ground between a place in the image and the place its position tokens name.

        A coordinate p is spelled as round(p (bins - 1)), so it moves by at most half a bin, which is
        1 / (2 (bins - 1)) of the image, along each axis; the bound is the longer diagonal of that half-bin
        parallelogram, at the place of the image where pixels are largest on the ground.

        Args:
            bins: Position tokens per spatial axis, at least 2.

        Returns:
            The bound in metres.
        """
        half = 1 / (2 * (bins - 1))
        probes = np.linspace(0, 1, GRID_OF_PROBES)
        places = np.stack(np.meshgrid(probes * self.width, probes * self.height), -1).reshape(-1, 2)
        across, down = self._steps_m(places)
        across, down = across * (half * self.width), down * (half * self.height)
        return float(np.maximum(np.hypot(*(across + down).T), np.hypot(*(across - down).T)).max())

    def to_geojson(self, geometry: Geometry) -> dict[str, Any]:
        """A map geometry as a GeoJSON geometry: WGS 84 longitude and latitude, RFC 7946.

        Outer rings run anticlockwise, and what crosses the antimeridian is cut there (RFC 7946, 3.1.9).
        """
        to_wgs84 = _transformer(self.crs, "OGC:CRS84")
        degrees = shapely.transform(shapely.force_2d(geometry), lambda xy: _project(to_wgs84, xy))
        # Rounding vertices only: snapping to a grid (set_precision) would also merge and split parts.
        rounded = shapely.transform(_cut_at_antimeridian(degrees), lambda xy: np.round(xy, WGS84_DECIMALS))
        found: dict[str, Any] = mapping(shapely.orient_polygons(rounded))
        return found

    def centre_wgs84(self) -> tuple[float, float]:
        """Longitude and latitude of the centre of the image, in degrees."""
        x, y = self.to_map(Point(0.5, 0.5))
        longitude, latitude = _transformer(self.crs, "OGC:CRS84").transform(x, y)
        return float(longitude), float(latitude)

    def azimuth_deg(self, one: Point, other: Point) -> float:
        """Degrees clockwise from true north, in [0, 360), at which one normalised point sees another.

        Along the geodesic, so it holds wherever the grid's own north points.
        """
        _, geod, to_degrees = _earth(self.crs)
        (x0, y0), (x1, y1) = (to_degrees.transform(*self.to_map(point)) for point in (one, other))
        azimuth, _, _ = geod.inv(x0, y0, x1, y1)
        return float(azimuth) % 360

    def _steps_m(self, places: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ground vectors (east, north; metres) of one pixel across and one down, at pixels `[n, 2]`."""
        _, geod, to_degrees = _earth(self.crs)
        origin = _project(to_degrees, apply_affine(self.transform, places))

        def vectors(step: tuple[float, float]) -> NDArray[np.float64]:
            end = _project(to_degrees, apply_affine(self.transform, places + np.array(step)))
            azimuth, _, metres = geod.inv(origin[:, 0], origin[:, 1], end[:, 0], end[:, 1])
            radians = np.radians(azimuth)
            return np.stack([metres * np.sin(radians), metres * np.cos(radians)], -1)

        return vectors((1.0, 0.0)), vectors((0.0, 1.0))


def parse_crs(text: str) -> CRS:
    """The coordinate reference system named by a code, WKT or PROJ string.

    Raises:
        DataError: It is not understood.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise DataError(
            f"unknown coordinate reference system {text[:80]!r}", "give a code such as EPSG:32632, or WKT"
        ) from error


@lru_cache(maxsize=64)
def _transformer(source: str, target: str) -> Transformer:
    from pyproj import Transformer

    return Transformer.from_crs(parse_crs(source), parse_crs(target), always_xy=True)


@lru_cache(maxsize=64)
def _earth(crs: str) -> tuple[CRS, Geod, Transformer]:
    """A CRS with its own ellipsoid and the way to its own degrees: no datum shift enters lengths and areas.

    Raises:
        DataError: The CRS is local, without a place on the Earth.
    """
    from pyproj import Transformer

    system = parse_crs(crs)
    geod, geodetic = system.get_geod(), system.geodetic_crs
    if geod is None or geodetic is None:
        raise DataError(f"{system.name!r} has no place on the Earth", "assign the image's true CRS")
    return system, geod, Transformer.from_crs(system, geodetic, always_xy=True)


def _signed_areas_m2(geod: Geod, polygons: NDArray[np.object_]) -> NDArray[np.float64]:
    """Geodesic area of each polygon in degrees: of its outer ring less its holes, which run the other way."""
    rings, owners = shapely.get_rings(polygons, return_index=True)
    longitude, latitude = shapely.get_coordinates(rings).T.copy()
    ends = np.cumsum(shapely.get_num_coordinates(rings)).tolist()
    areas = [
        geod.polygon_area_perimeter(longitude[start:end], latitude[start:end])[0]
        for start, end in pairwise([0, *ends])
    ]
    total = np.zeros(len(polygons))
    np.add.at(total, owners, areas)
    return total


@lru_cache(maxsize=64)
def longitude_period(crs: str) -> float | None:
    """360 degrees in the units of a geographic system; None for any other, whose x is no longitude."""
    system = parse_crs(crs)
    if not system.is_geographic or not system.axis_info:
        return None
    return 2 * math.pi / system.axis_info[0].unit_conversion_factor


def centre_longitude(crs: str, transform: Affine, width: int, height: int) -> Affine:
    """The transform of a grid with the longitude of its centre in [-180, 180): some count from 0 to 360."""
    turn = longitude_period(crs)
    if turn is None:
        return transform
    a, b, c, d, e, f = tuple(transform)[:6]
    centre = a * width / 2 + b * height / 2 + c
    turns = math.floor(centre / turn + 0.5)
    return transform if turns == 0 else Affine(a, b, c - turn * turns, d, e, f)


def apply_affine(transform: Affine, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transform coordinates `[n, 2]`; by coefficients: affine 2 and 3 spell the product differently."""
    a, b, c, d, e, f = tuple(transform)[:6]
    x, y = xy[:, 0], xy[:, 1]
    return np.stack([a * x + b * y + c, d * x + e * y + f], -1)


def shift_origin(transform: Affine, column: int, row: int) -> Affine:
    """The transform of a grid whose first pixel is another one's pixel (column, row)."""
    a, b, c, d, e, f = tuple(transform)[:6]
    return Affine(a, b, a * column + b * row + c, d, e, d * column + e * row + f)


def _project(transformer: Transformer, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack(transformer.transform(xy[:, 0], xy[:, 1]), -1)


def _cut_at_antimeridian(geometry: Geometry) -> Geometry:
    """Bring a geometry in degrees into [-180, 180], cut where it crosses the antimeridian."""
    if geometry.is_empty:
        return geometry
    west, _, east, _ = geometry.bounds
    if east - west > 180:  # wider than half the globe: it was wrapped around, so unroll it
        geometry = shapely.transform(geometry, lambda xy: np.stack([xy[:, 0] % 360, xy[:, 1]], -1))
        west, _, east, _ = geometry.bounds
    if west >= -180 and east <= 180:
        return geometry
    pieces = []
    for turn in (-360.0, 0.0, 360.0):
        piece = shapely.intersection(geometry, shapely.box(turn - 180, -90, turn + 180, 90))
        pieces.append(shapely.transform(piece, lambda xy, turn=turn: xy - np.array([turn, 0.0])))
    return shapely.union_all(pieces)

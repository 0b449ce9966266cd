"""Where a chip lies on the map: map <-> pixel <-> normalised coordinates."""

from __future__ import annotations

from dataclasses import dataclass

from affine import Affine
from pyproj import CRS, Transformer
from shapely import Geometry
from shapely.geometry import Polygon as ShapelyPolygon
from shapely.geometry import box as shapely_box

from agrilape.geo.shapes import Box, Point, Polygon


@dataclass(frozen=True)
class Georeference:
    """The grid of an image of `width` x `height` pixels on a map.

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

    def to_map(self, point: Point) -> tuple[float, float]:
        """Map coordinates, in the CRS's units, of a normalised point."""
        x, y = self.transform @ (point.x * self.width, point.y * self.height)
        return float(x), float(y)

    def to_normalised(self, x: float, y: float) -> Point:
        """The normalised point at map coordinates; outside [0, 1] for a place outside the image."""
        column, row = ~self.transform @ (x, y)
        return Point(column / self.width, row / self.height)

"""Vector files near an image, brought onto its map: GeoPackage, GeoJSON, GeoParquet, shapefile and others."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pyarrow.parquet
import shapely
from pyproj import CRS
from shapely import Geometry

from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference, parse_crs
from agrilape.io.gdal import read_vector_layer, vector_bounds, vector_info, vector_layers

PARQUET_SUFFIXES = {".parquet", ".geoparquet"}
VECTOR_SUFFIXES = {".gpkg", ".geojson", ".json", ".shp", ".fgb", ".gdb", ".kml", *PARQUET_SUFFIXES}
PARCELS_LAYER = "parcels"
# Layer of a file, or stem of a file of its own, that holds no parcels but zones -> their kind.
ZONE_LAYERS = {"stress_zones": "stress", "landcover": "landcover"}
SURFACES = {"Polygon", "MultiPolygon", "CurvePolygon", "MultiSurface", "PolyhedralSurface", "TIN"}
ANYTHING = {"Unknown", "GeometryCollection", "Geometry", "Surface"}  # kinds of layers that may hold polygons
TRIED = 1000  # features of such a layer that are looked at
EXTENT_POINTS = 64  # along the image's border: a straight line on one map is a curve on another
TURN = 360.0  # degrees
MOST_DEGREES = 2 * TURN  # beyond it no longitude is meant
SEAM = 1.0  # degrees from the antimeridian within which fields may lie across it


def read_vector(path: Path, layer: str | None = None, bounds: tuple[float, ...] | None = None) -> Any:
    """A vector file as a GeoDataFrame, with its CRS.

    Args:
        path: The file.
        layer: Layer of a GeoPackage; None for `parcels`, else the first with polygons.
        bounds: Only features that touch this box (west, south, east, north), in the file's own CRS. A
            GeoParquet file is filtered while reading if it has a bounding-box column (`covering`).

    Raises:
        DataError: It cannot be read, or has no CRS.
    """
    try:
        if path.suffix.lower() in PARQUET_SUFFIXES:
            table = _read_parquet(path, bounds)
        else:
            table = _read_layer(path, layer or parcels_layer(path), bounds)
    except DataError:
        raise
    except Exception as error:  # pyarrow and fsspec raise many kinds for one cause: not such a file
        raise DataError(
            f"{path} is not a readable vector file: {error}", "export it again, as GeoPackage"
        ) from error
    if not isinstance(table, geopandas.GeoDataFrame):
        raise DataError(f"{path} holds no geometries", "export it again with geometries")
    if table.crs is None:
        raise DataError(
            f"{path} has no coordinate reference system", "assign the true one; a shapefile needs its .prj"
        )
    return table


def read_near(path: Path, georeference: Georeference, layer: str | None = None) -> tuple[Any, list[str]]:
    """Features near an image, in its CRS, with notes on what that took.

    What lies across the antimeridian is brought to the image's side of it.

    Args:
        path: The file.
        georeference: Grid of the image.
        layer: See `read_vector`.

    Raises:
        DataError: It cannot be read, or has no CRS.
    """
    crs = _crs_of(path, layer)
    if crs is None:
        read, notes = read_vector(path, layer), list[str]()
    else:
        read, notes = _read_around(path, layer, _bounds_in(crs, georeference), crs)
    table = _this_side(read, georeference)
    target = parse_crs(georeference.crs)
    if not _same_crs(table.crs, target):
        notes.append(f"reprojected from {_name(table.crs)} to {_name(target)}")
        table = table.to_crs(target)
        table = table[~np.isinf(table.bounds.to_numpy()).any(1)]  # beyond what the image's CRS can show
        table = _this_side(table, georeference)
    return table, notes


def is_empty_file(path: Path, layer: str | None = None) -> bool:
    """Has a vector file, or a layer of it, no features at all?"""
    if path.suffix.lower() in PARQUET_SUFFIXES:
        return not pyarrow.parquet.read_metadata(path).num_rows
    return not vector_info(path, layer or parcels_layer(path), force_feature_count=True)["features"]


def whole_column(path: Path, layer: str | None, column: str) -> list[object]:
    """All values of a column of a vector file, wherever they lie."""
    if path.suffix.lower() in PARQUET_SUFFIXES:
        return list(pyarrow.parquet.read_table(path, columns=[column])[column].to_pylist())
    table = read_vector_layer(
        path, layer or parcels_layer(path), columns=[column], read_geometry=False, datetime_as_string=True
    )
    return list(table[column])


def _read_around(path: Path, layer: str | None, bounds: tuple[float, ...], crs: CRS) -> tuple[Any, list[str]]:
    """Features in a box, with notes; in degrees wherever longitudes begin: 190 east is 170 west."""
    lost, west, east = _edges(path, layer, path.stat().st_mtime_ns)
    notes = [f"skipped {lost} features without a geometry"] if lost else []
    if crs.is_geographic and np.isfinite([west, east]).all() and max(abs(west), abs(east)) > MOST_DEGREES:
        raise DataError(
            f"{path}: its coordinates ({west:g} to {east:g}) are no degrees, in which {_name(crs)} counts",
            "write its true coordinate system into it; a GeoJSON without one is in longitude and latitude",
        )
    tables = []
    for turns in (0, -1, 1):
        left, right = (edge + turns * TURN for edge in (bounds[0], bounds[2]))
        if turns and not (crs.is_geographic and bounds[0] > -TURN and west <= right and left <= east):
            continue
        table = read_vector(path, layer, (left, bounds[1], right, bounds[3]))
        if turns and len(table):
            table = table.set_geometry(table.geometry.translate(-turns * TURN))
            notes.append(f"longitudes of {len(table):,} features shifted by 360 degrees to the image's")
        if not turns or len(table):
            tables.append(table)
    return (tables[0] if len(tables) == 1 else pandas.concat(tables)), notes


def is_plain_parquet(path: Path) -> bool:
    """Is a Parquet file one without geometries, or none at all?"""
    if path.suffix.lower() not in PARQUET_SUFFIXES:
        return False
    try:
        return b"geo" not in (pyarrow.parquet.read_schema(path).metadata or {})
    except (OSError, ValueError):
        return True


def polygons_only(table: Any) -> tuple[Any, list[str]]:
    """Valid two-dimensional polygons, with notes on what was repaired or skipped."""
    notes: list[str] = []
    geometry = shapely.force_2d(np.asarray(table.geometry.array)).copy()
    strange = _not_finite(geometry)
    geometry[strange] = None
    present = ~(shapely.is_missing(geometry) | shapely.is_empty(geometry))
    invalid = present & ~shapely.is_valid(geometry)
    geometry[invalid] = shapely.make_valid(geometry[invalid])
    geometry = [_surface(one) if one is not None else None for one in geometry]
    solid = np.array([one is not None and one.area > 0 for one in geometry], bool)
    if invalid.any():
        notes.append(f"repaired {int(invalid.sum())} invalid outlines")
    if strange.any():
        notes.append(f"skipped {int(strange.sum())} features whose coordinates are no finite numbers")
    if flat := int((~solid & ~strange).sum()):
        notes.append(f"skipped {flat} features without area")
    kept = table.set_geometry(geopandas.GeoSeries(geometry, index=table.index, crs=table.crs))[solid]
    return kept, notes


def layers_of(path: Path) -> list[str]:
    """Names of the layers of a vector file; none if it cannot be read."""
    if path.suffix.lower() in PARQUET_SUFFIXES:
        return []
    try:
        return [name for name, _ in vector_layers(path)]
    except Exception:  # whoever reads the file next says what is wrong with it
        return []


def parcels_layer(path: Path) -> str | None:
    """The layer that holds the parcels, or None for the only one.

    It is the one of that name, else the first with polygons that holds no zones.

    Raises:
        DataError: No layer holds polygons.
    """
    found = polygon_layers(path)
    return next((name for name in found if name.lower() == PARCELS_LAYER), found[0] if found else None)


def polygon_layers(path: Path) -> list[str]:
    """Names of the layers with polygons, by their kind or, if that leaves it open, by their features."""
    if path.suffix.lower() in PARQUET_SUFFIXES:
        return []
    found = vector_layers(path)
    names = [name for name, kind in found if kind and _holds_polygons(path, name, kind)]
    return [name for name in names if name.lower() not in ZONE_LAYERS] or names


def _holds_polygons(path: Path, layer: str, kind: str) -> bool:
    plain = kind.removeprefix("2.5D ").removeprefix("3D ").removeprefix("Measured ").split(" ")[0]
    if plain not in ANYTHING:
        return plain in SURFACES
    table = read_vector_layer(path, layer, columns=[], max_features=TRIED)
    kinds = set(table.geometry.dropna().geom_type) if isinstance(table, geopandas.GeoDataFrame) else set()
    return bool(kinds & {*SURFACES, "GeometryCollection"})


def _read_layer(path: Path, layer: str | None, bounds: tuple[float, ...] | None) -> Any:
    """A layer, whose times are the days that they name in their own time zone."""
    how = {"bbox": bounds, "datetime_as_string": True}
    fields = vector_info(path, layer)
    times = [
        str(name)
        for name, kind in zip(fields["fields"], fields["dtypes"], strict=True)
        if str(kind).startswith("datetime64")
    ]
    try:
        table = read_vector_layer(path, layer, encoding=_encoding(path), **how)
    except DataError as error:
        if not isinstance(error.__cause__, UnicodeDecodeError):
            raise
        # Neither what it states nor UTF-8: what Windows writes in western Europe and America.
        table = read_vector_layer(path, layer, encoding="cp1252", **how)
    for name in times:
        table[name] = [text[:10].replace("/", "-") if isinstance(text, str) else None for text in table[name]]
    return table


def _encoding(path: Path) -> str | None:
    """UTF-8 for a shapefile that does not say how its texts are coded; None where the file knows."""
    if path.suffix.lower() != ".shp":
        return None
    stated = any(path.with_suffix(suffix).is_file() for suffix in (".cpg", ".CPG", ".cst"))
    dbf = next((file for suffix in (".dbf", ".DBF") if (file := path.with_suffix(suffix)).is_file()), None)
    if stated or dbf is None:
        return None
    with dbf.open("rb") as table:
        language = table.read(30)[29:]
    return "UTF-8" if language in {b"", b"\x00"} else None


def _not_finite(geometry: Any) -> Any:
    """Which geometries have coordinates that are no finite numbers."""
    coordinates, owners = shapely.get_coordinates(geometry, return_index=True)
    strange = np.zeros(len(geometry), bool)
    strange[owners[~np.isfinite(coordinates).all(1)]] = True
    return strange


def _read_parquet(path: Path, bounds: tuple[float, ...] | None) -> Any:
    if bounds is None:
        return geopandas.read_parquet(path)
    covered = "covering" in _geo_column(path)
    table = geopandas.read_parquet(path, bbox=bounds if covered else None)
    near = table.intersects(shapely.box(*bounds)).to_numpy()
    return table[near | _not_finite(np.asarray(table.geometry.array))]  # of the latter a count is kept


@lru_cache(maxsize=64)
def _edges(path: Path, layer: str | None, changed: int) -> tuple[int, float, float]:
    """How many features have no geometry or an empty one, and the file's western and eastern edges.

    A search by place passes over the former. `changed`, the time of the file's last change, keeps what is
    remembered from outliving the file. Of GeoParquet only missing geometries are counted, from the statistics
    in its footer, and edges that it does not state are as far apart as can be.
    """
    if path.suffix.lower() not in PARQUET_SUFFIXES:
        edges = vector_bounds(path, layer or parcels_layer(path))
        lost = (np.isnan(edges) | (edges == 0)).all(0)  # of an empty geometry all edges are 0
        there = edges[:, ~lost]
        if not there.size:
            return int(lost.sum()), np.inf, -np.inf
        return int(lost.sum()), float(np.nanmin(there[0])), float(np.nanmax(there[2]))
    footer = pyarrow.parquet.read_metadata(path)
    primary = _geo_facts(path).get("primary_column")
    chunks = [
        footer.row_group(group).column(number)
        for group in range(footer.num_row_groups)
        for number in range(footer.num_columns)
        if footer.schema.column(number).path == primary
    ]
    lost = sum(chunk.statistics.null_count or 0 for chunk in chunks if chunk.statistics)
    box = _geo_column(path).get("bbox") or (-np.inf, 0, np.inf, 0)
    return lost, float(box[0]), float(box[len(box) // 2])


def _geo_facts(path: Path) -> dict[str, Any]:
    """GeoParquet's own metadata."""
    facts: dict[str, Any] = json.loads((pyarrow.parquet.read_schema(path).metadata or {}).get(b"geo", b"{}"))
    return facts


def _geo_column(path: Path) -> dict[str, Any]:
    """GeoParquet's metadata of the geometry column."""
    geo = _geo_facts(path)
    found: dict[str, Any] = geo.get("columns", {}).get(geo.get("primary_column"), {})
    return found


def _crs_of(path: Path, layer: str | None) -> CRS | None:
    """CRS from the header; None where only reading the file can tell."""
    try:
        if path.suffix.lower() in PARQUET_SUFFIXES:
            text = _geo_column(path).get("crs", "OGC:CRS84")  # what the format says if it says nothing
        else:
            text = vector_info(path, layer or parcels_layer(path))["crs"]
        return CRS.from_user_input(text) if text else None
    except Exception:  # read_vector reads the same file next and says what is wrong with it
        return None


def _bounds_in(crs: CRS, georeference: Georeference) -> tuple[float, ...]:
    """Bounds of the image in another CRS; all longitudes if it lies at the antimeridian."""
    border = shapely.segmentize(georeference.extent, georeference.extent.length / EXTENT_POINTS)
    extent = geopandas.GeoSeries([border], crs=parse_crs(georeference.crs)).to_crs(crs)
    west, south, east, north = (float(edge) for edge in extent.total_bounds)
    if crs.is_geographic and max(-west, east) > TURN / 2 - SEAM:
        west, east = -TURN, TURN
    return west, south, east, north


def _this_side(table: Any, georeference: Georeference) -> Any:
    """Features in degrees whole and on the image's side of the antimeridian, if the image lies near it."""
    if not table.crs.is_geographic or _bounds_in(table.crs, georeference)[0] > -TURN:
        return table
    in_degrees = parse_crs(georeference.crs).is_geographic  # an image's own may run beyond 180
    longitude = georeference.extent.centroid.x if in_degrees else georeference.centre_wgs84()[0]
    whole = [_unwrapped(one, longitude) for one in table.geometry.array]
    return table.set_geometry(geopandas.GeoSeries(whole, index=table.index, crs=table.crs))


def _unwrapped(geometry: Geometry | None, longitude: float) -> Geometry | None:
    """A geometry in degrees as one piece within half a turn of a longitude, if it was torn or cut at 180."""

    def turned(part: Geometry) -> Geometry:
        west, _, east, _ = part.bounds
        if east - west > TURN / 2:  # torn: its vertices lie on both sides of the antimeridian
            part = shapely.transform(part, lambda xy: np.stack([xy[:, 0] % TURN, xy[:, 1]], -1))
            west, _, east, _ = part.bounds
        by = TURN * round((longitude - (west + east) / 2) / TURN)
        return shapely.transform(part, lambda xy: xy + np.array([by, 0.0]))

    parts = [turned(part) for part in shapely.get_parts(geometry) if not part.is_empty]
    if len(parts) > 1:
        return shapely.union_all(shapely.make_valid(parts))
    return parts[0] if parts else None


def _surface(geometry: Geometry) -> Geometry:
    """The polygons of a geometry: repairing may leave lines and points behind."""
    if geometry.geom_type in {"Polygon", "MultiPolygon"}:
        return geometry
    return shapely.union_all([part for part in shapely.get_parts(geometry) if "Polygon" in part.geom_type])


def _same_crs(one: CRS, other: CRS) -> bool:
    return bool(one == other or CRS(one).equals(other, ignore_axis_order=True))


def _name(crs: CRS) -> str:
    authority = CRS(crs).to_authority()
    return ":".join(authority) if authority else str(CRS(crs).name)

"""Field parcels from vector files: GeoPackage, GeoJSON, GeoParquet, shapefile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import geopandas
import pandas
import pyogrio
import shapely
from pyproj import CRS
from shapely import Geometry

from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference, parse_crs
from agrilape.sources.crops import plain_crop
from agrilape.sources.dates import parse_date
from agrilape.sources.scene import Parcel

SUFFIXES = (".gpkg", ".geojson", ".json", ".parquet", ".geoparquet", ".shp", ".fgb")
CROP_COLUMNS = (
    "crop", "crop_name", "crop_en", "ec_trans_n", "ec_hcat_n", "hcat_name", "hcat3_name", "crop:name_en", "crop:name",
    "croptype", "crop_type", "cropname", "culture", "crop:code", "crop_code", "cropcode", "code_cultu",
)  # fmt: skip
ID_COLUMNS = ("parcel_id", "id", "parcel", "field_id", "fid", "marknr", "id_parcel")
DATE_COLUMNS = {
    "sowing": ("sowing_date", "sowing", "planting_date"),
    "emergence": ("emergence_date", "emergence"),
    "peak": ("peak_date", "peak"),
    "harvest": ("harvest_date", "harvest"),
}


@dataclass(frozen=True)
class ParcelTable:
    """Parcels of one image.

    Attributes:
        parcels: Those that touch the image, in file order.
        notes: What was done to get them, for people: reprojected, repaired, left out, with counts.
    """

    parcels: tuple[Parcel, ...]
    notes: tuple[str, ...] = ()


def read_parcels(
    path: Path,
    georeference: Georeference,
    crop_column: str | None = None,
    crops: Mapping[str, str] | None = None,
) -> ParcelTable:
    """Read the parcels that touch an image, in its pixel coordinates.

    Outlines are not clipped: a parcel may reach beyond the image. Other coordinate systems are reprojected, invalid
    outlines repaired, empty ones left out; `notes` says how many.

    Args:
        path: A vector file; of a GeoPackage the layer `parcels`, else the first with polygons.
        georeference: Grid of the image.
        crop_column: Column with the crop; None to look for the usual names.
        crops: The user's crop names by code.

    Raises:
        DataError: The file is unreadable, has no CRS or no polygons, or lies beside the image.
    """
    table = _read_near(path, georeference)
    notes = []
    target = parse_crs(georeference.crs)
    if not _same_crs(table.crs, target):
        notes.append(f"{path.name}: reprojected from {_name(table.crs)} to {_name(target)}")
        table = table.to_crs(target)
    table, repaired = _polygons_only(table)
    notes += [f"{path.name}: {note}" for note in repaired]
    outlines = [georeference.to_pixels(geometry) for geometry in table.geometry]
    frame = shapely.box(0, 0, georeference.width, georeference.height)
    touching = [index for index, outline in enumerate(outlines) if outline.intersection(frame).area > 0]
    if not touching:
        raise DataError(
            f"{path} and the image do not overlap",
            "check that both show the same place and that both have their true coordinate system",
        )
    records = table.drop(columns=table.geometry.name).to_dict("records")
    names = _unique([_first(records[i], ID_COLUMNS) for i in touching])
    column = crop_column or _find(table.columns, CROP_COLUMNS)
    parcels, disordered = [], 0
    for name, i in zip(names, touching, strict=True):
        days, ordered = _dates(records[i])
        disordered += not ordered
        area = georeference.area_ha(table.geometry.iloc[i])
        crop = plain_crop(records[i].get(column), crops) if column else None
        parcels.append(Parcel(name, outlines[i], crop, area, **days, attributes=_attributes(records[i])))
    if disordered:
        notes.append(f"{path.name}: dates out of order in {disordered} parcels, left out")
    return ParcelTable(tuple(parcels), tuple(notes))


def read_vector(path: Path, layer: str | None = None, bounds: tuple[float, ...] | None = None) -> Any:
    """A vector file as a GeoDataFrame, with its CRS.

    Args:
        path: The file.
        layer: Layer of a GeoPackage; None for `parcels`, else the first with polygons.
        bounds: Only features that touch this box (west, south, east, north), in the file's own CRS.

    Raises:
        DataError: It cannot be read, or has no CRS.
    """
    try:
        if path.suffix.lower() in {".parquet", ".geoparquet"}:
            table = geopandas.read_parquet(path)
            table = table if bounds is None else table[table.intersects(shapely.box(*bounds))]
        else:
            table = geopandas.read_file(path, layer=layer or _layer(path), bbox=bounds)
    except Exception as error:  # pyogrio, pyarrow and fsspec raise many kinds for one cause: not such a file
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


def _read_near(path: Path, georeference: Georeference) -> Any:
    """Features whose bounds touch the image; the image's bounds are first taken into the file's CRS."""
    extent = geopandas.GeoSeries([georeference.extent], crs=parse_crs(georeference.crs))
    crs = _crs_of(path)
    if crs is not None:
        extent = extent.segmentize(extent.length.iloc[0] / 64).to_crs(crs)
    return read_vector(path, bounds=tuple(extent.total_bounds) if crs is not None else None)


def _crs_of(path: Path) -> CRS | None:
    """CRS from the header; None where only reading the file can tell."""
    if path.suffix.lower() in {".parquet", ".geoparquet"}:
        return None
    try:
        text = pyogrio.read_info(path, layer=_layer(path))["crs"]
    except Exception:  # read_vector reads the same file next and says what is wrong with it
        return None
    return CRS.from_user_input(text) if text else None


def _layer(path: Path) -> str | None:
    """The layer that holds the parcels."""
    layers = pyogrio.list_layers(path)
    names = [name for name, kind in layers if kind and "Polygon" in kind]
    if "parcels" in names or not names:
        return "parcels" if names else None
    return str(names[0])


def _polygons_only(table: Any) -> tuple[Any, list[str]]:
    """Valid two-dimensional polygons, with notes on what was repaired or left out."""
    notes = []
    geometry = shapely.force_2d(table.geometry.array)
    present = ~(shapely.is_missing(geometry) | shapely.is_empty(geometry))
    invalid = present & ~shapely.is_valid(geometry)
    geometry = geometry.copy()
    geometry[invalid] = shapely.make_valid(geometry[invalid])
    geometry = [_surface(one) if one is not None else None for one in geometry]
    solid = [one is not None and one.area > 0 for one in geometry]
    if invalid.any():
        notes.append(f"repaired {int(invalid.sum())} invalid outlines")
    if not all(solid):
        notes.append(f"left out {len(solid) - sum(solid)} features without area")
    kept = table.set_geometry(geopandas.GeoSeries(geometry, index=table.index, crs=table.crs))[solid]
    return kept, notes


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


def _find(columns: Sequence[str], names: Sequence[str]) -> str | None:
    lower = {str(column).lower(): column for column in columns}
    return next((lower[name] for name in names if name in lower), None)


def _first(record: Mapping[str, Any], names: Sequence[str]) -> str:
    column = _find(list(record), names)
    value = record[column] if column else None
    if value is None or pandas.isna(value):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _unique(names: Sequence[str]) -> list[str]:
    """Names made unique by a number, since several parts of one farm may share an id; nameless ones get one."""
    seen: dict[str, int] = {}
    unique = []
    for number, name in enumerate(names):
        name = name or str(number)
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return unique


def _dates(record: Mapping[str, Any]) -> tuple[dict[str, date | None], bool]:
    """Sowing, emergence, peak and harvest; all None, and False, if they contradict each other."""
    days: dict[str, date | None] = {}
    for event, columns in DATE_COLUMNS.items():
        column = _find(list(record), columns)
        days[event] = parse_date(record[column]) if column else None
    known = [day for day in days.values() if day]
    ordered = known == sorted(known)
    return (days if ordered else dict.fromkeys(days)), ordered


def _attributes(record: Mapping[str, Any]) -> dict[str, Any]:
    """The other columns, JSON-ready."""
    found = {}
    for column, value in record.items():
        if value is None or (not isinstance(value, list | dict) and pandas.isna(value)):
            continue
        found[str(column)] = value if isinstance(value, str | int | float | bool) else str(value)
    return found

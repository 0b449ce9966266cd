"""Field parcels from vector files: GeoPackage, GeoJSON, GeoParquet, shapefile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
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

CROP_COLUMNS = (
    "crop", "crop_name", "crop_en", "ec_trans_n", "ec_hcat_n", "hcat_name", "hcat3_name", "crop:name_en",
    "crop:name", "croptype", "crop_type", "cropname", "culture", "crop:code", "crop_code", "cropcode",
    "code_cultu",
)  # fmt: skip
ID_COLUMNS = ("parcel_id", "id", "parcel", "field_id", "fid", "marknr", "id_parcel")
EVENTS = {
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

    Outlines are not clipped: a parcel may reach beyond the image. Other coordinate systems are reprojected,
    invalid outlines repaired, empty ones left out; `notes` says how many.

    Args:
        path: A vector file; of a GeoPackage the layer `parcels`, else the first with polygons.
        georeference: Grid of the image.
        crop_column: Column with the crop; None to look for the usual names.
        crops: The user's crop names by code.

    Raises:
        DataError: The file is unreadable, has no CRS or no polygons, or lies beside the image.
    """
    table, notes = _on_map(path, georeference)
    outlines = georeference.to_pixels(np.asarray(table.geometry.array))
    image = shapely.box(0, 0, georeference.width, georeference.height)
    touching = np.flatnonzero(shapely.area(shapely.intersection(outlines, image)) > 0)
    if not touching.size:
        raise DataError(
            f"{path} and the image do not overlap",
            "check that both show the same place and that both have their true coordinate system",
        )
    areas = [georeference.area_ha(geometry) for geometry in table.geometry.array[touching]]
    parcels = _parcels(table.iloc[touching], outlines[touching], areas, crop_column, crops)
    disordered = sum(not _in_order(parcel) for parcel in parcels)
    if disordered:
        notes.append(f"left out the dates of {disordered} parcels, which are out of order")
    parcels = [parcel if _in_order(parcel) else _undated(parcel) for parcel in parcels]
    return ParcelTable(tuple(_unique(parcels)), tuple(f"{path.name}: {note}" for note in notes))


def _on_map(path: Path, georeference: Georeference) -> tuple[Any, list[str]]:
    """Valid polygons near an image in its CRS, with notes on what that took."""
    table = _read_near(path, georeference)
    notes = []
    target = parse_crs(georeference.crs)
    if not _same_crs(table.crs, target):
        notes.append(f"reprojected from {_name(table.crs)} to {_name(target)}")
        table = table.to_crs(target)
    table, repairs = _polygons_only(table)
    return table, notes + repairs


def _parcels(
    table: Any,
    outlines: Any,
    areas: Sequence[float],
    crop_column: str | None,
    crops: Mapping[str, str] | None,
) -> list[Parcel]:
    facts = table.drop(columns=table.geometry.name)
    columns = _Columns.among([str(name) for name in facts.columns], crop_column)
    records = facts.to_dict("records")
    return [_parcel(*row, columns, crops) for row in zip(records, outlines, areas, strict=True)]


@dataclass(frozen=True)
class _Columns:
    """Which columns say what; `rest` are the others."""

    id: str | None
    crop: str | None
    events: Mapping[str, str]
    rest: tuple[str, ...]

    @classmethod
    def among(cls, names: Sequence[str], crop_column: str | None) -> _Columns:
        if crop_column is not None and crop_column not in names:
            raise DataError(f"no column {crop_column!r} in the parcels", f"choose one of: {', '.join(names)}")
        lower = {name.lower(): name for name in names}

        def find(known: Sequence[str]) -> str | None:
            return next((lower[name] for name in known if name in lower), None)

        events = {event: column for event, known in EVENTS.items() if (column := find(known))}
        identity, crop = find(ID_COLUMNS), crop_column or find(CROP_COLUMNS)
        used = {identity, crop, *events.values()}
        return cls(identity, crop, events, tuple(name for name in names if name not in used))


def _parcel(
    record: Mapping[str, Any],
    outline: Geometry,
    area_ha: float,
    columns: _Columns,
    crops: Mapping[str, str] | None,
) -> Parcel:
    """A parcel from a row of the table; its id may be empty."""
    identity = _plain(record[columns.id]) if columns.id else None
    days = {event: parse_date(record[column]) for event, column in columns.events.items()}
    return Parcel(
        id="" if identity is None else str(identity),
        outline=outline,
        crop=plain_crop(record[columns.crop], crops) if columns.crop else None,
        area_ha=area_ha,
        attributes={name: value for name in columns.rest if (value := _plain(record[name])) is not None},
        **days,
    )


def _plain(value: Any) -> str | int | float | bool | None:
    """A value of a table as JSON has it; None for a missing one."""
    if value is None or (pandas.api.types.is_scalar(value) and pandas.isna(value)):
        return None
    if isinstance(value, date):  # pandas' Timestamp is one too
        return value.isoformat()[:10]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # pandas turns integers with gaps into floats
    return value if isinstance(value, str | int | float | bool) else str(value)


def _in_order(parcel: Parcel) -> bool:
    days = [day for event in EVENTS if (day := getattr(parcel, event)) is not None]
    return days == sorted(days)


def _undated(parcel: Parcel) -> Parcel:
    return replace(parcel, sowing=None, emergence=None, peak=None, harvest=None)


def _unique(parcels: Sequence[Parcel]) -> list[Parcel]:
    """Parcels with unique ids, since parts of one farm may share one; nameless ones are numbered."""
    seen: Counter[str] = Counter()
    unique = []
    for number, parcel in enumerate(parcels):
        name = parcel.id or str(number)
        seen[name] += 1
        unique.append(replace(parcel, id=name if seen[name] == 1 else f"{name}-{seen[name]}"))
    return unique


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
    notes: list[str] = []
    geometry = shapely.force_2d(np.asarray(table.geometry.array))
    present = ~(shapely.is_missing(geometry) | shapely.is_empty(geometry))
    invalid = present & ~shapely.is_valid(geometry)
    geometry = geometry.copy()
    geometry[invalid] = shapely.make_valid(geometry[invalid])
    geometry = [_surface(one) if one is not None else None for one in geometry]
    solid = np.array([one is not None and one.area > 0 for one in geometry], bool)
    if invalid.any():
        notes.append(f"repaired {int(invalid.sum())} invalid outlines")
    if not solid.all():
        notes.append(f"left out {int((~solid).sum())} features without area")
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

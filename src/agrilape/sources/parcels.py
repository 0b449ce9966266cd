"""Field parcels from vector files: GeoPackage, GeoJSON, GeoParquet, shapefile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import shapely
from shapely import Geometry

from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.sources.crops import plain_crop, unnamed_code
from agrilape.sources.dates import parse_date
from agrilape.sources.scene import Parcel
from agrilape.sources.vectors import polygons_only, read_near

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
LISTED_CODES = 10  # of the unnamed ones, the most frequent


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
    table, notes = read_near(path, georeference)
    table, repairs = polygons_only(table)
    notes += repairs
    outlines = georeference.to_pixels(np.asarray(table.geometry.array))
    image = shapely.box(0, 0, georeference.width, georeference.height)
    touching = np.flatnonzero(shapely.area(shapely.intersection(outlines, image)) > 0)
    if not touching.size:
        raise DataError(
            f"{path} and the image do not overlap",
            "check that both show the same place and that both have their true coordinate system",
        )
    areas = georeference.areas_ha(np.asarray(table.geometry.array[touching])).tolist()
    parcels, unnamed = _parcels(table.iloc[touching], outlines[touching], areas, crop_column, crops)
    if unnamed:
        listed = ", ".join(code for code, _ in unnamed.most_common(LISTED_CODES))
        notes.append(f"the crop of {unnamed.total()} parcels is unknown: crops.csv has no name for {listed}")
    parcels, repeated = _once(parcels)
    if repeated:
        notes.append(f"left out {repeated} parcels that repeat an outline")
    disordered = sum(not _in_order(parcel) for parcel in parcels)
    if disordered:
        notes.append(f"left out the dates of {disordered} parcels, which are out of order")
    parcels = [parcel if _in_order(parcel) else _undated(parcel) for parcel in parcels]
    return ParcelTable(tuple(_unique(parcels)), tuple(f"{path.name}: {note}" for note in notes))


def _parcels(
    table: Any,
    outlines: Any,
    areas: Sequence[float],
    crop_column: str | None,
    crops: Mapping[str, str] | None,
) -> tuple[list[Parcel], Counter[str]]:
    """Parcels from the rows of a table, and crop codes that have no name."""
    facts = table.drop(columns=table.geometry.name)
    columns = _Columns.among([str(name) for name in facts.columns], crop_column)
    records = facts.to_dict("records")
    parcels = [_parcel(*row, columns, crops) for row in zip(records, outlines, areas, strict=True)]
    said = [record[columns.crop] for record in records] if columns.crop else []
    return parcels, Counter(code for name in said if (code := unnamed_code(name, crops)))


def _once(parcels: Sequence[Parcel]) -> tuple[list[Parcel], int]:
    """Parcels with each outline once, and how many were left out; two crops on one outline are unknown."""
    kept: dict[bytes, Parcel] = {}
    shapes = shapely.to_wkb(shapely.normalize([parcel.outline for parcel in parcels]))
    for shape, parcel in zip(shapes, parcels, strict=True):
        first = kept.setdefault(shape, parcel)
        if first.crop != parcel.crop:
            kept[shape] = replace(first, crop=None)
    return list(kept.values()), len(parcels) - len(kept)


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
        name = name if seen[name] == 1 else f"{name}-{seen[name]}"
        unique.append(parcel if name == parcel.id else replace(parcel, id=name))
    return unique

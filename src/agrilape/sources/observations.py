"""Points with dated observations: growth stages, sowing and harvest, crops, whole series."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import shapely

from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference, parse_crs
from agrilape.sources.crops import plain_crop
from agrilape.sources.dates import parse_date
from agrilape.sources.scene import Observation
from agrilape.sources.vectors import read_vector

OBSERVATION_FILES = tuple(
    f"observations{suffix}" for suffix in (".csv", ".csv.gz", ".geojson", ".gpkg", ".parquet")
)
# Kind of observation -> columns that hold it, in lower case.
_KINDS = {
    "bbch": ("bbch", "growth_stage", "bbch rating", "bbch_rating"),
    "leaf_area_index": ("leaf_area_index", "lai", "glai"),
    "crop": ("crop", "crop_name", "crop_code", "label"),
    "land_use": ("land_use", "landuse"),
}
_EVENTS = {
    "sowing": ("sowing_date", "sowing", "planting_date"),
    "harvest": ("harvest_date", "harvest"),
}
_DATES = ("date", "observed", "datetime", "time", "day")
_UNTIL = ("until", "end", "end_date")
_PLACES = (("longitude", "latitude"), ("lon", "lat"), ("x", "y"))


@dataclass(frozen=True)
class PointSeries:
    """Measurements of one labelled point over time, without an image.

    Attributes:
        id: Name of the point in its file.
        label: What grows there, in lower case; None if unknown.
        longitude: In degrees, WGS 84.
        latitude: Likewise.
        dates: Dates in order.
        values: Values of each measured quantity, one per date, by its role (`red`, `ndvi`); NaN for none.
    """

    id: str
    label: str | None
    longitude: float
    latitude: float
    dates: tuple[date, ...]
    values: Mapping[str, tuple[float, ...]]


def read_observations(
    path: Path, georeference: Georeference, crops: Mapping[str, str] | None = None
) -> tuple[tuple[Observation, ...], tuple[str, ...]]:
    """Labelled points inside an image, in its pixel coordinates, with notes on what was left out.

    A row may hold one observation (`kind`, `value`, `date`) or a column for each: `bbch` or `growth_stage`,
    `lai`, `crop` or `label`, `land_use`, `sowing_date`, `harvest_date`. A growth stage or leaf area without a
    date says nothing and is left out.

    Args:
        path: A CSV file with longitude and latitude (or x and y in the image's CRS), or a vector file.
        georeference: Grid of the image.
        crops: The user's crop names by code.

    Raises:
        DataError: The file is unreadable or has no places.
    """
    points = _points(path, georeference)
    pixels = georeference.to_pixels(shapely.centroid(np.asarray(points.geometry.array)))
    rows = points.drop(columns=points.geometry.name).rename(columns=lambda name: str(name).strip().lower())
    found: list[Observation] = []
    undated = unplaced = 0
    for record, place in zip(rows.to_dict("records"), pixels, strict=True):
        if place is None or place.is_empty or np.isnan(place.x):
            unplaced += 1
            continue
        if not _inside(place.x, place.y, georeference):
            continue
        for seen in _observed(record, place.x, place.y, crops):
            if seen.observed is None and seen.kind in {"bbch", "leaf_area_index"}:
                undated += 1
            else:
                found.append(seen)
    lacking = {"observations without a date": undated, "rows without a place": unplaced}
    notes = (f"{path.name}: left out {number} {what}" for what, number in lacking.items() if number)
    return tuple(found), tuple(notes)


def read_point_series(path: Path) -> tuple[PointSeries, ...]:
    """Series at points, from a CSV file with one row per point and date, in order of their ids.

    Columns: `id`, `longitude`, `latitude`, `date`, perhaps `label`; every other numeric one is a measurement.

    Raises:
        DataError: The file is unreadable, or a column is missing.
    """
    table = _read_csv(path)
    missing = {"id", "longitude", "latitude", "date"} - set(table.columns)
    if missing:
        raise DataError(f"{path} lacks the columns {', '.join(sorted(missing))}", "write one row per date")
    table["date"] = [parse_date(text) for text in table["date"]]
    table = table.dropna(subset=["date"]).sort_values(["id", "date"], kind="stable")
    known = {"id", "longitude", "latitude", "date", "label"}
    measured = [str(name) for name in table.select_dtypes("number").columns if name not in known]
    return tuple(_series(str(name), rows, measured) for name, rows in table.groupby("id"))


def _series(name: str, rows: Any, measured: Sequence[str]) -> PointSeries:
    return PointSeries(
        id=name,
        label=plain_crop(rows["label"].iloc[0]) if "label" in rows else None,
        longitude=float(rows["longitude"].iloc[0]),
        latitude=float(rows["latitude"].iloc[0]),
        dates=tuple(rows["date"]),
        values={column: tuple(rows[column].astype(float)) for column in measured},
    )


def _points(path: Path, georeference: Georeference) -> Any:
    """The file's rows with their places in the image's CRS."""
    target = parse_crs(georeference.crs)
    if ".csv" not in (suffix.lower() for suffix in path.suffixes):
        return read_vector(path).to_crs(target)
    table = _read_csv(path)
    columns = next(((x, y) for x, y in _PLACES if {x, y} <= set(table.columns)), None)
    if columns is None:
        raise DataError(
            f"{path} has no columns longitude and latitude", "add them, or x and y in the CRS of the image"
        )
    x, y = (pandas.to_numeric(table[column], errors="coerce") for column in columns)
    crs = target if columns == ("x", "y") else "OGC:CRS84"
    return geopandas.GeoDataFrame(table, geometry=geopandas.points_from_xy(x, y), crs=crs).to_crs(target)


def _read_csv(path: Path) -> Any:
    try:
        table = pandas.read_csv(path, sep=None, engine="python", encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise DataError(f"{path} is not a readable table: {error}", "save it as CSV in UTF-8") from error
    return table.rename(columns=lambda name: str(name).strip().lower())


def _observed(
    record: Mapping[str, Any], x: float, y: float, crops: Mapping[str, str] | None
) -> Iterator[Observation]:
    """All that one row says of a point."""
    day, until = (parse_date(_first(record, columns)) for columns in (_DATES, _UNTIL))
    kind = str(record["kind"]).strip().lower() if {"kind", "value"} <= set(record) else None
    if kind in _EVENTS:
        yield Observation(x, y, kind, "", parse_date(record["value"]) or day)
        return
    if kind is not None:
        said = {kind: record["value"]}
    else:
        said = {kind: _first(record, columns) for kind, columns in _KINDS.items()}
    for kind, value in said.items():
        plain = _value(kind, value, crops)
        if plain is not None:
            yield Observation(x, y, kind, plain, day, until)
    for kind, columns in _EVENTS.items():
        if (on := parse_date(_first(record, columns))) is not None:
            yield Observation(x, y, kind, _value("crop", said.get("crop"), crops) or "", on)


def _value(kind: str, value: Any, crops: Mapping[str, str] | None) -> str | float | None:
    """A number of the quantities, a plain name of the rest; None for nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if kind not in {"bbch", "leaf_area_index"}:
        return plain_crop(value, crops)
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _first(record: Mapping[str, Any], columns: Sequence[str]) -> Any:
    return next((record[name] for name in columns if name in record), None)


def _inside(x: float, y: float, georeference: Georeference) -> bool:
    return 0 <= x < georeference.width and 0 <= y < georeference.height

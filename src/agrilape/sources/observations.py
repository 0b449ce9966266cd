"""Points with dated observations: growth stages, sowing and harvest, crops, whole series."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from agrilape.io.csv_text import read_csv
from agrilape.sources.columns import first_of, is_nothing, plain_name, read_numbers
from agrilape.sources.crop_names import plain_crop
from agrilape.sources.date_columns import DateOrder, read_dates
from agrilape.sources.scene import Observation
from agrilape.sources.vectors import read_vector

OBSERVATION_FILES = tuple(
    f"observations{suffix}" for suffix in (".csv", ".csv.gz", ".geojson", ".gpkg", ".parquet")
)
# Kind of observation -> columns that hold it, in lower case.
_KINDS = {
    "bbch": ("bbch", "bbch_rating", "growth_stage"),
    "leaf_area_index": ("leaf_area_index", "lai", "glai"),
    "crop": ("crop", "crop_name", "crop_code", "label"),
    "land_use": ("land_use", "landuse"),
}
_EVENTS = {
    "sowing": ("sowing_date", "sowing", "planting_date"),
    "harvest": ("harvest_date", "harvest"),
}
_QUANTITIES = ("bbch", "leaf_area_index")
_DATES = ("date", "observed", "datetime", "time", "day")
_UNTIL = ("until", "end", "end_date")
IN_PIXELS = ("column", "row")
_PLACES = (("longitude", "latitude"), ("lon", "lat"), ("x", "y"), IN_PIXELS)


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
    path: Path,
    georeference: Georeference,
    crops: Mapping[str, str] | None = None,
    order: DateOrder | None = None,
) -> tuple[tuple[Observation, ...], tuple[str, ...]]:
    """Labelled points inside an image, in its pixel coordinates, with notes on what was skipped.

    A row may hold one observation (`kind`, `value`, `date`) or a column for each: `bbch` or `growth_stage`,
    `lai`, `crop` or `label`, `land_use`, `sowing_date`, `harvest_date`. A growth stage or leaf area without a
    date says nothing and is skipped.

    Args:
        path: A CSV file with longitude and latitude, or x and y in the image's CRS, or column and row in its
            pixels (edges: the centre of the first one is 0.5, 0.5); or a vector file.
        georeference: Grid of the image.
        crops: The user's crop names by code.
        order: Order of day and month in dates such as 05/06/2021; None to find out.

    Raises:
        DataError: The file is unreadable or has no places.
    """
    rows, pixels, said = _points(path, georeference)
    rows, strange = _understood(rows, order)
    said += strange
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
    said += [f"skipped {number} {what}" for what, number in lacking.items() if number]
    return tuple(found), tuple(f"{path.name}: {one}" for one in said)


def _understood(rows: Any, order: DateOrder | None) -> tuple[Any, list[str]]:
    """A table with its columns of dates and numbers read as such, and notes on what was not understood."""
    notes: list[str] = []
    timed = {*_DATES, *_UNTIL, *(name for names in _EVENTS.values() for name in names)}
    for name in [column for column in rows.columns if column in timed]:
        dates = read_dates(name, rows[name].tolist(), order)
        rows[name] = np.array(dates.days, object)
        notes += list(dates.notes)
    for name in [column for kind in _QUANTITIES for column in _KINDS[kind] if column in rows.columns]:
        numbers, strange = read_numbers(name, rows[name].tolist())
        rows[name] = np.array(numbers, object)
        notes += strange
    if {"kind", "value"} <= set(rows.columns):
        kinds = [str(kind).strip().lower() for kind in rows["kind"]]
        values = rows["value"].tolist()
        for chosen, read in ((set(_EVENTS), _event_days(order)), (set(_QUANTITIES), _numbers_of)):
            at = [index for index, kind in enumerate(kinds) if kind in chosen]
            known, doubts = read([values[index] for index in at])
            notes += doubts
            for index, value in zip(at, known, strict=True):
                values[index] = value
        rows["value"] = np.array(values, object)
    return rows, notes


def _event_days(order: DateOrder | None) -> Callable[[list[Any]], tuple[Sequence[Any], Sequence[str]]]:
    def read(values: list[Any]) -> tuple[Sequence[Any], Sequence[str]]:
        dates = read_dates("value", values, order)
        return dates.days, dates.notes

    return read


def _numbers_of(values: list[Any]) -> tuple[Sequence[Any], Sequence[str]]:
    return read_numbers("value", values)


def read_point_series(path: Path) -> tuple[PointSeries, ...]:
    """Series at points, from a CSV file with one row per point and date, in order of their ids.

    Columns: `id`, `longitude`, `latitude`, `date`, perhaps `label`; every other numeric one is a measurement.

    Raises:
        DataError: The file is unreadable, or a column is missing.
    """
    table, _ = _read_csv(path)
    missing = {"id", "longitude", "latitude", "date"} - set(table.columns)
    if missing:
        raise DataError(f"{path} lacks the columns {', '.join(sorted(missing))}", "write one row per date")
    table["date"] = np.array(read_dates("date", table["date"].tolist()).days, object)
    table = table.dropna(subset=["date"]).sort_values(["id", "date"], kind="stable")
    known = {"id", "longitude", "latitude", "date", "label"}
    measured = []
    for name in [str(column) for column in table.columns if column not in known]:
        numbers, strange = read_numbers(name, table[name].tolist())
        if not strange and any(number is not None for number in numbers):
            table[name] = numbers
            measured.append(name)
    for name in ("longitude", "latitude"):
        table[name] = read_numbers(name, table[name].tolist())[0]
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


def _points(path: Path, georeference: Georeference) -> tuple[Any, Any, list[str]]:
    """The file's rows, their places in pixels, and notes."""
    target = parse_crs(georeference.crs)
    if ".csv" not in (suffix.lower() for suffix in path.suffixes):
        points = read_vector(path).to_crs(target)
        pixels = georeference.to_pixels(shapely.centroid(np.asarray(points.geometry.array)))
        return points.drop(columns=points.geometry.name).rename(columns=plain_name), pixels, []
    table, notes = _read_csv(path)
    columns = next(((x, y) for x, y in _PLACES if {x, y} <= set(table.columns)), None)
    if columns is None:
        raise DataError(
            f"{path} has no columns longitude and latitude",
            "add them, or x and y in the CRS of the image, or column and row in its pixels",
        )
    x, y = (_coordinates(column, table[column].tolist(), notes) for column in columns)
    places = geopandas.points_from_xy(x, y)
    if columns == IN_PIXELS:
        return table, np.asarray(places), notes
    crs = target if columns == ("x", "y") else "OGC:CRS84"
    on_map = geopandas.GeoSeries(places, crs=crs).to_crs(target)
    return table, georeference.to_pixels(np.asarray(on_map.array)), notes


def _coordinates(name: str, values: Sequence[object], notes: list[str]) -> list[float]:
    numbers, strange = read_numbers(name, values)
    notes += strange
    return [math.nan if number is None else number for number in numbers]


def _read_csv(path: Path) -> tuple[Any, list[str]]:
    """A table of texts by plain names of its columns, None in empty cells, and notes."""
    read = read_csv(path)
    rows = [{name: None if is_nothing(cell) else cell for name, cell in row.items()} for row in read.rows]
    table = pandas.DataFrame(rows, columns=list(read.columns), dtype=object)
    return table.rename(columns=plain_name), list(read.notes)


def _observed(
    record: Mapping[str, Any], x: float, y: float, crops: Mapping[str, str] | None
) -> Iterator[Observation]:
    """All that one row says of a point."""
    day, until = (first_of(record, columns) for columns in (_DATES, _UNTIL))
    kind = str(record["kind"]).strip().lower() if {"kind", "value"} <= set(record) else None
    if kind in _EVENTS:
        yield Observation(x, y, kind, "", record["value"] or day)
        return
    if kind is not None:
        said = {kind: record["value"]}
    else:
        said = {kind: first_of(record, columns) for kind, columns in _KINDS.items()}
    for kind, value in said.items():
        plain = _value(kind, value, crops)
        if plain is not None:
            yield Observation(x, y, kind, plain, day, until)
    for kind, columns in _EVENTS.items():
        if (on := first_of(record, columns)) is not None:
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


def _inside(x: float, y: float, georeference: Georeference) -> bool:
    return 0 <= x < georeference.width and 0 <= y < georeference.height

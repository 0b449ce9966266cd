"""Places to ask about, from a table: survey points or parcels, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import shapely

from agrilape.errors import DataError
from agrilape.io.csv_text import read_csv
from agrilape.sources.columns import known_column, read_numbers
from agrilape.sources.vectors import VECTOR_SUFFIXES, read_vector

WGS84 = "OGC:CRS84"
TABLE_SUFFIXES = {".csv", ".tsv", ".txt"}
_LONGITUDE = ("longitude", "lon", "long", "lng", "x_wgs84", "gps_lon", "point_x", "x")
_LATITUDE = ("latitude", "lat", "y_wgs84", "gps_lat", "point_y", "y")


def read_places(path: Path) -> tuple[Any, list[str]]:
    """A table with a geometry in each row, and notes.

    Args:
        path: GeoPackage, GeoJSON, GeoParquet, shapefile or other vector file with points or parcels; or CSV
            with columns for longitude and latitude in degrees.

    Returns:
        A GeoDataFrame with all columns and rows of the file in their order; rows without a place have an
        empty geometry.

    Raises:
        DataError: The file cannot be read, has no places, or is of another kind.
    """
    suffix = path.suffix.lower()
    if suffix in TABLE_SUFFIXES or path.name.lower().endswith(".csv.gz"):
        table, notes = _of_csv(path)
    elif suffix in VECTOR_SUFFIXES:
        table, notes = read_vector(path).reset_index(drop=True), []
    else:
        raise DataError(
            f"{path} is no table of places",
            "give a GeoPackage, GeoJSON, GeoParquet, or a CSV with lon and lat",
        )
    if table.empty:
        raise DataError(f"{path} holds no places", "give a row for each place")
    geometry = np.array([shapely.Point() if one is None else one for one in table.geometry], dtype=object)
    return table.set_geometry(geopandas.GeoSeries(geometry, index=table.index, crs=table.crs)), notes


def points_of(table: Any, crs: str) -> list[tuple[float, float] | None]:
    """A point of each row in a coordinate system; of a parcel one inside it; None where there is none."""
    inside = table.geometry.representative_point().to_crs(crs)
    return [
        None if one.is_empty or not np.isfinite([one.x, one.y]).all() else (one.x, one.y) for one in inside
    ]


def _of_csv(path: Path) -> tuple[Any, list[str]]:
    read = read_csv(path)
    columns = [known_column(read.columns, names) for names in (_LONGITUDE, _LATITUDE)]
    if None in columns:
        raise DataError(
            f"{path} has no columns for longitude and latitude, but {', '.join(read.columns)}",
            "name them lon and lat, in degrees",
        )
    table = pandas.DataFrame(list(read.rows), columns=list(read.columns), dtype=object)
    notes = list(read.notes)
    degrees = []
    for name in columns:
        numbers, strange = read_numbers(str(name), table[name].tolist())
        degrees.append([np.nan if number is None else number for number in numbers])
        notes += strange
    _refuse_metres(path, degrees)
    points = [
        shapely.Point(x, y) if np.isfinite([x, y]).all() else shapely.Point()
        for x, y in zip(*degrees, strict=True)
    ]
    return geopandas.GeoDataFrame(table, geometry=points, crs=WGS84), notes


def _refuse_metres(path: Path, degrees: Sequence[Sequence[float]]) -> None:
    longitudes, latitudes = (np.abs(np.array(one, dtype=float)) for one in degrees)
    if np.nanmax(longitudes, initial=0) > 360 or np.nanmax(latitudes, initial=0) > 90:
        raise DataError(
            f"{path}: its places are no longitudes and latitudes in degrees",
            "swap the columns if they are the wrong way round; keep projected places in a GeoPackage",
        )

"""Stressed parts of fields and what lies between fields, from vector files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from agrilape.geo.georeference import Georeference
from agrilape.sources.columns import is_nothing, known_column, plain_name, read_number
from agrilape.sources.date_columns import DateOrder, read_dates
from agrilape.sources.scene import Zone
from agrilape.sources.vectors import ZONE_LAYERS, layers_of, polygons_only, read_near

_NAME_COLUMNS = ("cause", "kind", "name", "class", "label")
_SINCE_COLUMNS = ("onset_date", "onset", "since", "date")


def read_zones(
    path: Path, georeference: Georeference, order: DateOrder | None = None
) -> tuple[tuple[Zone, ...], list[str]]:
    """The zones of a file that touch an image, in its pixel coordinates, and notes; none without a layer.

    Columns: `cause`, `kind` or `name` say what it is; `parcel_id`, `share` and `onset_date` may be there.

    Args:
        path: A GeoPackage with the layers `stress_zones` or `landcover`, or a vector file of that name.
        georeference: Grid of the image.
        order: Order of day and month in dates such as 05/06/2021; None to find out.

    Raises:
        DataError: A layer cannot be read or has no CRS.
    """
    layers = {name.lower(): name for name in layers_of(path) if name.lower() in ZONE_LAYERS}
    if path.stem.lower() in ZONE_LAYERS:
        layers = {path.stem.lower(): next(iter(layers_of(path)), "")}
    zones: list[Zone] = []
    notes: list[str] = []
    for name, layer in layers.items():
        found, said = _zones(path, layer or None, ZONE_LAYERS[name], georeference, order)
        zones += found
        notes += [f"{path.name}: {one}" for one in said]
    return tuple(zones), notes


def _zones(
    path: Path, layer: str | None, kind: str, georeference: Georeference, order: DateOrder | None
) -> tuple[list[Zone], list[str]]:
    table, notes = read_near(path, georeference, layer)
    table, repairs = polygons_only(table)
    notes += repairs
    if (column := known_column(list(map(str, table.columns)), _SINCE_COLUMNS)) is not None:
        dates = read_dates(column, table[column].tolist(), order)
        table = table.assign(**{column: list(dates.days)})
        notes += dates.notes
    outlines = georeference.to_pixels(np.asarray(table.geometry.array))
    seen = shapely.intersects(outlines, shapely.box(0, 0, georeference.width, georeference.height))
    records = table.drop(columns=table.geometry.name).to_dict("records")
    rows = zip(records, outlines, seen, strict=True)
    return [_zone(record, outline, kind) for record, outline, inside in rows if inside], notes


def _zone(record: Mapping[str, Any], outline: shapely.Geometry, kind: str) -> Zone:
    facts = {plain_name(name): value for name, value in record.items() if not is_nothing(value)}

    def first(columns: tuple[str, ...]) -> Any:
        name = known_column(facts, columns)
        return None if name is None else facts[name]

    return Zone(
        kind=kind,
        name=str(first(_NAME_COLUMNS) or kind).lower().replace("_", " "),
        outline=outline,
        parcel=None if (parcel := first(("parcel_id", "parcel"))) is None else str(parcel),
        share=read_number(first(("share",))),
        since=first(_SINCE_COLUMNS),
    )

"""Stressed parts of fields and what lies between fields, from vector files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import shapely

from agrilape.geo.georeference import Georeference
from agrilape.sources.dates import parse_date
from agrilape.sources.scene import Zone
from agrilape.sources.vectors import ZONE_LAYERS, layers_of, polygons_only, read_near

_NAME_COLUMNS = ("cause", "kind", "name", "class", "label")
_SINCE_COLUMNS = ("onset_date", "onset", "since", "date")


def read_zones(path: Path, georeference: Georeference) -> tuple[Zone, ...]:
    """The zones of a file that touch an image, in its pixel coordinates; none if it has no such layer.

    Columns: `cause`, `kind` or `name` say what it is; `parcel_id`, `share` and `onset_date` may be there.

    Args:
        path: A GeoPackage with the layers `stress_zones` or `landcover`, or a vector file of that name.
        georeference: Grid of the image.

    Raises:
        DataError: A layer cannot be read or has no CRS.
    """
    layers = {name: name for name in layers_of(path) if name in ZONE_LAYERS}
    if path.stem in ZONE_LAYERS:
        layers = {path.stem: next(iter(layers_of(path)), "")}
    return tuple(
        zone
        for name, layer in layers.items()
        for zone in _zones(path, layer or None, ZONE_LAYERS[name], georeference)
    )


def _zones(path: Path, layer: str | None, kind: str, georeference: Georeference) -> list[Zone]:
    table, _ = read_near(path, georeference, layer)
    table, _ = polygons_only(table)
    outlines = georeference.to_pixels(np.asarray(table.geometry.array))
    seen = shapely.intersects(outlines, shapely.box(0, 0, georeference.width, georeference.height))
    records = table.drop(columns=table.geometry.name).to_dict("records")
    rows = zip(records, outlines, seen, strict=True)
    return [_zone(record, outline, kind) for record, outline, inside in rows if inside]


def _zone(record: Mapping[str, Any], outline: shapely.Geometry, kind: str) -> Zone:
    facts = {name.lower(): value for name, value in record.items() if not pandas.isna(value)}

    def first(columns: tuple[str, ...]) -> Any:
        return next((facts[name] for name in columns if name in facts), None)

    return Zone(
        kind=kind,
        name=str(first(_NAME_COLUMNS) or kind).lower().replace("_", " "),
        outline=outline,
        parcel=None if (parcel := first(("parcel_id", "parcel"))) is None else str(parcel),
        share=None if (share := first(("share",))) is None else float(share),
        since=parse_date(first(_SINCE_COLUMNS)),
    )

"""The truth of a scene as vector layers on the map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import date, timedelta
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pandas.api.extensions import ExtensionArray
from shapely import Geometry

from agrilape.geo.georeference import Georeference
from agrilape.simulate.farmland import Farmland
from agrilape.simulate.phenology import Dates


def truth_layers(farmland: Farmland, grid: Georeference) -> dict[str, gpd.GeoDataFrame]:
    """The layers `parcels`, `landcover` and `stress_zones`.

    Besides crop, dates and area, a parcel has the direction of its rows (degrees clockwise from grid north, 0
    to 180) and whether a centre pivot waters it. `green_from_date` and `green_until_date` are the first and
    the last day of the scene's calendar with an NDVI of at least 0.5.

    Args:
        farmland: What grows where.
        grid: Where the scene lies.
    """
    ids = [f"p{number:04d}" for number in range(1, len(farmland.crops) + 1)]
    plots, year = farmland.landscape.plots, farmland.year
    parcels: dict[str, Any] = {"parcel_id": ids, "crop": farmland.crops}
    for kind in (field.name for field in fields(Dates)):
        parcels[f"{kind}_date"] = _dates(year, [getattr(dates, kind) for dates in farmland.dates])
    parcels |= {
        "area_ha": [round(plot.outline.area / 1e4, 4) for plot in plots],
        "row_azimuth_deg": [round(float(90 - np.degrees(plot.azimuth)) % 180, 1) for plot in plots],
        "centre_pivot": [plot.pivot for plot in plots],
    }
    cover = [(k, g) for k, v in farmland.landscape.cover.items() if k not in ("tiles", "metal") for g in v]
    stress = {
        "parcel_id": [ids[zone.plot] for zone in farmland.zones],
        "cause": [zone.cause for zone in farmland.zones],
        "share": [zone.share for zone in farmland.zones],
        "onset_date": _dates(year, [zone.onset for zone in farmland.zones]),
    }
    return {
        "parcels": _layer(parcels, (plot.outline for plot in plots), grid),
        "landcover": _layer({"kind": [kind for kind, _ in cover]}, (outline for _, outline in cover), grid),
        "stress_zones": _layer(stress, (zone.outline for zone in farmland.zones), grid),
    }


def calendar_date(year: int, day: int) -> date:
    """The date of a day of the year; below 1 it lies in the year before."""
    return date(year, 1, 1) + timedelta(days=day - 1)


def _dates(year: int, days: Sequence[int | None]) -> ExtensionArray:
    """A column that GeoPackage stores as dates, not as times."""
    return pd.array([day and calendar_date(year, day) for day in days], dtype="date32[pyarrow]")


def _layer(columns: Mapping[str, Any], outlines: Iterable[Geometry], grid: Georeference) -> gpd.GeoDataFrame:
    """Outlines in scene metres, moved to their place on the map."""
    corner = np.array([grid.transform.c, grid.transform.f + grid.height * grid.transform.e])
    placed = shapely.transform(np.array(list(outlines), dtype=object), lambda xy: xy + corner)
    return gpd.GeoDataFrame(columns, geometry=placed, crs=grid.crs)

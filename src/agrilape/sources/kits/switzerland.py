"""Sentinel-2 series of winter wheat with growth stages rated in the field, 2022 (Graf et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import shapely
from pyproj import Transformer

from agrilape.geo.georeference import Georeference
from agrilape.geo.timewindow import TimeWindow
from agrilape.io.csv_text import read_csv
from agrilape.sources.dates import parse_date
from agrilape.sources.folder import series_scene
from agrilape.sources.parcels import read_parcels
from agrilape.sources.raster import inspect_raster
from agrilape.sources.scene import Observation, Scene
from agrilape.sources.series import assemble

SITES = ("Strickhof", "SwissFutureFarm")
SEASON = TimeWindow(date(2022, 2, 15), date(2022, 8, 15))
CLEAR = {"scl": (4, 5)}  # the kit's own rule: some dates are cloudy although their authors call them valid
MEASURED = (("insitu_bbch.csv", "BBCH Rating", "bbch"), ("insitu_glai.csv", "lai", "leaf_area_index"))


def wheat_bbch2022(folder: Path) -> Iterator[Scene]:
    """One scene per site. Ground outside the parcels was blanked: labels hold in `region` only."""
    for site in SITES:
        files = [inspect_raster(path) for path in sorted((folder / site).glob("*.tif"))]
        series = assemble(files, CLEAR)
        georeference = series.grid.georeference
        assert georeference is not None
        table = read_parcels(folder / "parcels.gpkg", georeference)
        meta = {
            "sensor": "Sentinel-2 MSI",
            "licence": "GPL-3.0; contains modified Copernicus Sentinel data 2022",
            "citation": "Graf, Merz, Walter, Aasen (2023), doi:10.1016/j.rse.2023.113860",
        }
        yield series_scene(
            f"ch/{site.lower()}", folder.name, series, window=SEASON, parcels=table.parcels,
            region=shapely.union_all([parcel.outline for parcel in table.parcels]),
            observations=tuple(_observations(folder, site, georeference)), meta=meta,
        )  # fmt: skip


def _observations(folder: Path, site: str, georeference: Georeference) -> Iterator[Observation]:
    to_map = Transformer.from_crs("OGC:CRS84", georeference.crs, always_xy=True)
    for name, column, kind in MEASURED:
        for row in read_csv(folder / name).rows:
            if row["location"] != site or not row[column]:
                continue
            place = georeference.to_normalised(*to_map.transform(float(row["lon"]), float(row["lat"])))
            x, y = place.x * georeference.width, place.y * georeference.height
            yield Observation(x, y, kind, float(row[column]), parse_date(row["date"]))

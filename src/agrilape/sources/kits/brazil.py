"""Season-long NDVI of Bahia (CBERS-4, inSitu) and six years of Mato Grosso (MODIS, dtwSat)."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

from pyproj import Transformer

from agrilape.geo.timewindow import TimeWindow
from agrilape.sources.folder import series_scene
from agrilape.sources.layers import RasterFile
from agrilape.sources.raster import inspect_raster
from agrilape.sources.scene import Observation, Scene
from agrilape.sources.series import assemble


def cbers4_ndvi(folder: Path) -> Iterator[Scene]:
    """One scene of 23 sixteen-day composites, dated by their first day, with land use at points."""
    series = assemble([inspect_raster(folder / "ndvi_23x16d_64m.tif")])
    window = TimeWindow(date(2018, 8, 29), date(2019, 8, 28))
    georeference = series.grid.georeference
    assert georeference is not None
    to_map = Transformer.from_crs("OGC:CRS84", georeference.crs, always_xy=True)
    observations = []
    for feature in json.loads((folder / "points.geojson").read_text(encoding="utf-8"))["features"]:
        place = georeference.to_normalised(*to_map.transform(*feature["geometry"]["coordinates"]))
        x, y = place.x * georeference.width, place.y * georeference.height
        label = feature["properties"]["label"].lower()
        observations.append(Observation(x, y, "land_use", label, window.start, window.end))
    meta = {
        "sensor": "CBERS-4 AWFI",
        "licence": "GPL-2 (inSitu); CBERS-4 data: INPE, CC BY-SA",
        "citation": "Picoli et al. (2020), ISPRS Annals; Camara et al., inSitu, INPE",
    }
    yield series_scene(
        "br/west-bahia", folder.name, series, window=window, observations=tuple(observations),
        fully_labelled=False, meta=meta,
    )  # fmt: skip


def modis_mato_grosso(folder: Path) -> Iterator[Scene]:
    """One scene per season (September to August) of the same 27 x 37 pixels, with pixels' crop rotations."""
    files = [inspect_raster(path) for path in sorted(folder.glob("dtwsat_*_231m.tif"))]
    with (folder / "dtwsat_samples.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    for start, end in sorted({(row["from"], row["to"]) for row in rows}):
        first, last = date.fromisoformat(start), date.fromisoformat(end)
        series = assemble([_between(file, first, last) for file in files])
        observations = tuple(
            Observation(
                int(row["col"]) + 0.5, int(row["row"]) + 0.5, "rotation", _plain(row["label"]), first, last
            )
            for row in rows
            if row["from"] == start
        )
        meta = {
            "group": "br/mato-grosso",
            "season": f"{first.year}/{last.year}",
            "sensor": "MODIS MOD13Q1",
            "licence": "GPL-3 or later (dtwSat); MODIS: NASA LP DAAC",
            "citation": "Maus et al. (2019), Journal of Statistical Software 88(5)",
        }
        yield series_scene(
            f"br/mato-grosso-{first.year}", folder.name, series, window=TimeWindow(first, last),
            observations=observations, fully_labelled=False, meta=meta,
        )  # fmt: skip


def _between(file: RasterFile, first: date, last: date) -> RasterFile:
    return replace(file, dated=tuple((day, band) for day, band in file.dated if first <= day < last))


def _plain(label: str) -> str:
    """`Soybean-millet` as `soybean, then millet`: two crops of one season."""
    return label.lower().replace("-", ", then ")

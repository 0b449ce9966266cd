"""Season-long NDVI of Bahia (CBERS-4, inSitu) and six years of Mato Grosso (MODIS, dtwSat)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

from pyproj import Transformer

from agrilape.geo.timewindow import TimeWindow
from agrilape.io.csv_text import read_csv
from agrilape.io.json_text import read_json_object
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
    for feature in read_json_object(folder / "points.geojson")["features"]:
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
        exhaustively_labelled=False, meta=meta,
    )  # fmt: skip


def modis_mato_grosso(folder: Path) -> Iterator[Scene]:
    """The same 27 x 37 pixels season by season (September to August), then as pairs of successive seasons.

    Labels are the crop rotation of a pixel in one season; a pair shows it from one year to the next.
    """
    files = [inspect_raster(path) for path in sorted(folder.glob("dtwsat_*_231m.tif"))]
    rows = read_csv(folder / "dtwsat_samples.csv").rows
    seasons = sorted({(row["from"], row["to"]) for row in rows})
    for shown in [(season,) for season in seasons] + list(pairwise(seasons)):
        yield _mato_grosso(folder.name, files, shown, rows)


def _mato_grosso(
    source: str,
    files: Sequence[RasterFile],
    seasons: Sequence[tuple[str, str]],
    rows: Sequence[Mapping[str, str]],
) -> Scene:
    """One scene of successive seasons, given by their first and last days."""
    first, last = date.fromisoformat(seasons[0][0]), date.fromisoformat(seasons[-1][1])
    observations = tuple(
        Observation(
            int(row["col"]) + 0.5, int(row["row"]) + 0.5, "rotation", _plain(row["label"]),
            date.fromisoformat(row["from"]), date.fromisoformat(row["to"]),
        )
        for row in rows
        if (row["from"], row["to"]) in seasons
    )  # fmt: skip
    meta = {
        "group": "br/mato-grosso",
        "season": f"{first.year}/{last.year}",
        "sensor": "MODIS MOD13Q1",
        "licence": "GPL-3 or later (dtwSat); MODIS: NASA LP DAAC",
        "citation": "Maus et al. (2019), Journal of Statistical Software 88(5)",
    }
    name = f"br/mato-grosso-{first.year}" + (f"-{last.year}" if len(seasons) > 1 else "")
    return series_scene(
        name, source, assemble([_between(file, first, last) for file in files]),
        window=TimeWindow(first, last), observations=observations, exhaustively_labelled=False, meta=meta,
    )  # fmt: skip


def _between(file: RasterFile, first: date, last: date) -> RasterFile:
    return replace(file, dated=tuple(one for one in file.dated if first <= one[0] < last))


def _plain(label: str) -> str:
    """`Soybean-millet` as `soybean, then millet`: two crops of one season."""
    return label.lower().replace("-", ", then ")

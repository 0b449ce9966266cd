"""Sentinel-2 series of 2018 over Languedoc with partly labelled parcels (cropmaps; EuroCrops)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from agrilape.geo.timewindow import TimeWindow
from agrilape.sources.folder import series_scene
from agrilape.sources.parcels import read_parcels
from agrilape.sources.raster import inspect_raster
from agrilape.sources.scene import Scene
from agrilape.sources.series import assemble


def sentinel2_2018(folder: Path) -> Iterator[Scene]:
    """The one place on its dates, 10 m grid, clouds masked by the scene classification.

    Only a subset of the visible fields is labelled.
    """
    series = assemble([inspect_raster(path) for path in sorted(folder.glob("*_[12]0m.tif"))])
    georeference = series.grid.georeference
    assert georeference is not None
    table = read_parcels(folder / "parcels.gpkg", georeference)
    meta = {
        "sensor": "Sentinel-2 MSI",
        "licence": "contains modified Copernicus Sentinel data 2018; GPL-3.0 (cropmaps); EuroCrops CC BY 4.0",
        "citation": "Schneider et al. (2023) EuroCrops, Scientific Data",
    }
    yield series_scene(
        "fr/languedoc", folder.name, series, window=TimeWindow(date(2018, 1, 1), date(2018, 12, 31)),
        parcels=table.parcels, exhaustively_labelled=False, meta=meta,
    )  # fmt: skip

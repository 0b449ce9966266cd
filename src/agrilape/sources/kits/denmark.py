"""Sentinel-2 and declared parcels of Jutland, 2016 (Rieke 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import shapely

from agrilape.sources.folder import series_scene
from agrilape.sources.parcels import read_parcels
from agrilape.sources.raster import inspect_raster
from agrilape.sources.scene import Parcel, Scene
from agrilape.sources.series import assemble

SPLIT_X = 515_400.0  # easting at which the authors of the kit keep a part out; parcels are cut there
EDGE = 0.5  # pixels within which an outline that was cut at the image's edge ends


def sentinel2_lpis2016(folder: Path) -> Iterator[Scene]:
    """The one image with its parcels, all of which are declared; the date is not recorded.

    Parcels were cut at the image's edge: those have `clipped` among their attributes and no area.
    """
    series = assemble([inspect_raster(folder / "s2_rgb_10m.tif")])
    georeference = series.grid.georeference
    assert georeference is not None
    table = read_parcels(folder / "parcels.gpkg", georeference, crop_column="crop_en")
    frame = shapely.box(EDGE, EDGE, georeference.width - EDGE, georeference.height - EDGE)
    middle = georeference.extent.centroid.x
    meta = {
        "group": "dk-west" if middle < SPLIT_X else "dk-east",
        "sensor": "Sentinel-2 MSI",
        "licence": "contains modified Copernicus Sentinel data 2016; parcels: Danish Agricultural Agency",
        "citation": "Rieke (2017), MSc thesis, University of Jena",
    }
    yield series_scene(
        "dk/jutland", folder.name, series, window=None,
        parcels=tuple(_mark_clipped(parcel, frame) for parcel in table.parcels), meta=meta,
    )  # fmt: skip


def _mark_clipped(parcel: Parcel, frame: shapely.Polygon) -> Parcel:
    if frame.covers(parcel.outline):
        return parcel
    return replace(parcel, area_ha=None, attributes={**parcel.attributes, "clipped": True})

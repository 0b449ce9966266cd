"""A scene as ordinary files: one GeoTIFF per date, a GeoPackage of the truth, and a small JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from agrilape.geo.georeference import Georeference
from agrilape.simulate.canvas import Floats
from agrilape.simulate.spectra import BANDS

SCALE = 10_000
"""Stored value of reflectance 1."""
MASK_BAND = "cloud_mask"


def write_image(
    folder: Path, acquired: date, reflectance: Floats, mask: NDArray[np.bool_] | None, grid: Georeference
) -> None:
    """Write one date as `YYYYMMDD.tif`: uint16 reflectance x 10,000 (0 = no data) and the cloud mask.

    Args:
        folder: Where to.
        acquired: Acquisition date.
        reflectance: `[4, H, W]` in 0-1, in the order of `spectra.BANDS`.
        mask: Pixels under cloud or in its shadow, `[H, W]`, stored as 1; None for a clear sky.
        grid: Where the pixels lie.
    """
    values = np.clip(np.rint(reflectance * SCALE), 1, 20_000).astype(np.uint16)
    cloudy = (
        np.zeros((1, grid.height, grid.width), np.uint16) if mask is None else mask[None].astype(np.uint16)
    )
    profile = {
        "driver": "GTiff", "dtype": "uint16", "nodata": 0, "count": len(BANDS) + 1, "crs": grid.crs,
        "transform": grid.transform, "height": grid.height, "width": grid.width, "interleave": "band",
        "compress": "deflate", "predictor": 2, "zlevel": 1,
        "tiled": True, "blockxsize": 256, "blockysize": 256,
    }  # fmt: skip
    with MemoryFile() as file:
        with file.open(**profile) as raster:
            raster.write(np.concatenate([values, cloudy]))
            raster.descriptions = (*BANDS, MASK_BAND)
            raster.scales = (*[1 / SCALE] * len(BANDS), 1.0)
            raster.update_tags(ACQUISITION_DATE=acquired.isoformat(), SENSOR="simulated")
        # By way of memory, since GDAL does not say when the last blocks of a small file find no room.
        (folder / f"{acquired:%Y%m%d}.tif").write_bytes(file.read())


def write_truth(path: Path, layers: Mapping[str, gpd.GeoDataFrame]) -> None:
    """Write the layers of a GeoPackage; the same layers give the same bytes."""
    pyogrio.set_gdal_config_options(
        {"OGR_CURRENT_DATE": "2000-01-01T00:00:00Z", "OGR_SQLITE_SYNCHRONOUS": "OFF"}
    )
    try:
        for name, layer in layers.items():
            layer.to_file(path, layer=name, driver="GPKG", use_arrow=True)
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None, "OGR_SQLITE_SYNCHRONOUS": None})


def write_json(path: Path, facts: Mapping[str, Any]) -> None:
    """Write facts about the scene, keys in order."""
    path.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")

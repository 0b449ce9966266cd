"""Small rasters and parcels with a true place on the map."""

from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from agrilape.geo.georeference import Georeference
from agrilape.sources import PixelWindow

TRANSFORM = Affine(10, 0, 600_000, 0, -10, 5_400_000)
SIZE = 96


@pytest.fixture
def grid() -> Georeference:
    return Georeference("EPSG:32632", TRANSFORM, SIZE, SIZE)


def reflectance(seed: int = 0, bands: int = 4, size: int = SIZE) -> np.ndarray:
    """Stored numbers of a Sentinel-2-like image, none of them 0."""
    return np.random.default_rng(seed).integers(100, 4000, (bands, size, size), dtype=np.uint16)


@pytest.fixture
def write_raster(tmp_path: Path) -> Callable[..., Path]:
    def write(
        name="image.tif", values=None, names=("B02", "B03", "B04", "B08"), tags=None, scales=None, **profile
    ):
        values = reflectance() if values is None else values
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        profile = {
            "driver": "GTiff", "crs": "EPSG:32632", "transform": TRANSFORM, "dtype": values.dtype,
            "count": values.shape[0], "height": values.shape[1], "width": values.shape[2],
        } | profile  # fmt: skip
        with rasterio.open(path, "w", **profile) as raster:
            raster.write(values)
            if names:
                raster.descriptions = names
            if tags:
                raster.update_tags(**tags)
            if scales:
                raster.scales, raster.offsets = scales
        return path

    return write


def field(left: float, top: float, right: float, bottom: float) -> shapely.Polygon:
    """A field on the map, given by its pixels."""
    return shapely.transform(
        shapely.box(left, top, right, bottom), lambda xy: xy * [10, -10] + [600_000, 5_400_000]
    )


@pytest.fixture
def write_parcels(tmp_path: Path) -> Callable[..., Path]:
    def write(name="parcels.gpkg", geometry=None, crs="EPSG:32632", to=None, layer=None, **columns):
        geometry = [field(10, 10, 40, 30), field(50, 50, 90, 80)] if geometry is None else geometry
        if not columns:
            columns = {"parcel_id": ["a", "b"], "crop": ["Winter_Wheat", "maize"]}
        table = geopandas.GeoDataFrame(columns, geometry=geometry, crs=crs)
        table = table.to_crs(to) if to else table
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            table.to_parquet(path)
        else:
            table.to_file(path, **({"layer": layer} if layer else {}))
        return path

    return write


def window_of(frame, bands):
    """All pixels of a frame."""
    return frame.read(PixelWindow(0, 0, frame.grid.width, frame.grid.height), bands)

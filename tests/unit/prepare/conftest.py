"""Tiny scenes in memory, with answers that can be worked out by hand."""

from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pytest
import shapely
from affine import Affine

from agrilape.config.recipe import DatasetConfig
from agrilape.geo.georeference import Georeference
from agrilape.geo.timewindow import TimeWindow
from agrilape.sources.scene import Parcel, Scene

SIDE = 128
SEASON = TimeWindow(date(2022, 1, 1), date(2022, 12, 31))


@dataclass(frozen=True)
class FakeFrame:
    """One acquisition held as an array; its picture says which row and column each pixel is."""

    acquired: date | None
    ndvi: np.ndarray = field(repr=False)
    bands: tuple[str, ...] = ("blue", "green", "red", "nir", "ndvi")

    def read(self, window, bands):
        rows = slice(window.row, window.row + window.height)
        return np.stack([self.ndvi[rows, window.column : window.column + window.width]] * len(bands))

    def picture(self, window, composite):
        rows, columns = np.mgrid[: window.height, : window.width].astype(np.uint8)
        return np.stack([rows + window.row % 256, columns + window.column % 256, 0 * rows], -1).astype(
            np.uint8
        )


@pytest.fixture
def make_scene():
    """Scenes of one undated clear frame, or of one frame per NDVI image, 30 days apart."""

    def build(name="s", parcels=(), ndvi=None, size=SIDE, easting=None, **facts):
        dates = [None] if ndvi is None else [SEASON.start + timedelta(days=30 * i) for i in range(len(ndvi))]
        images = [np.full((size, size), 0.5, np.float32)] if ndvi is None else ndvi
        frames = tuple(FakeFrame(day, image) for day, image in zip(dates, images, strict=True))
        if easting is not None:
            transform = Affine(10, 0, easting, 0, -10, 5_000_000)
            facts["georeference"] = Georeference("EPSG:32632", transform, size, size)
        window = None if ndvi is None else SEASON
        return Scene(name, "fake", frames, size, size, window=window, parcels=tuple(parcels), **facts)

    return build


@pytest.fixture
def config():
    def build(**settings):
        return DatasetConfig.model_validate(
            {
                "source": {"kind": "simulate"},
                "tasks": ["field_at_point"],
                "chip": 64,
                "overlap": 0,
                **settings,
            }
        )

    return build


@pytest.fixture
def maize():
    return Parcel("m", shapely.box(10, 10, 50, 40), "maize", area_ha=12.0)

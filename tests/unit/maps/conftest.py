"""Scenes in memory: coloured rectangles on bare ground."""

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pytest
import shapely

from agrilape.sources.scene import Parcel, Scene

BARE = (120, 120, 120)
COLOURS = {"maize": (220, 60, 30), "oats": (40, 200, 60), "rye": (30, 60, 230)}


@dataclass(frozen=True)
class Picture:
    """An acquisition of flat colours; its NDVI is given, NaN where it sees nothing."""

    pixels: np.ndarray = field(repr=False)
    ndvi: np.ndarray = field(repr=False)
    acquired: date | None = None
    bands: tuple[str, ...] = ("red", "nir")

    def read(self, window, bands):
        left, top, width, height = window
        ndvi = self.ndvi[top : top + height, left : left + width]
        values = {"red": (1 - ndvi) / 2, "nir": (1 + ndvi) / 2}
        return np.stack([values[band] for band in bands])

    def picture(self, window, composite):
        left, top, width, height = window
        return self.pixels[top : top + height, left : left + width]


def painted(fields, side):
    pixels = np.full((side, side, 3), BARE, np.uint8)
    for (left, top, right, bottom), crop in fields:
        pixels[max(top, 0) : bottom, max(left, 0) : right] = COLOURS[crop]
    return pixels


@pytest.fixture
def make_scene():
    def build(fields, side=96, ndvi=((None, 0.5),), **facts):
        pixels = painted(fields, side)
        frames = tuple(
            Picture(pixels, np.broadcast_to(np.asarray(values, np.float32), (side, side)), day)
            for day, values in ndvi
        )
        parcels = tuple(
            Parcel(f"p{number}", shapely.box(*edges), crop) for number, (edges, crop) in enumerate(fields)
        )
        return Scene("s", "fake", frames, side, side, **{"parcels": parcels, **facts})

    return build


FIELDS = [
    ((4, 4, 34, 30), "maize"), ((40, 6, 66, 40), "oats"),
    ((70, 50, 92, 90), "maize"), ((8, 48, 50, 88), "rye"),
]  # fmt: skip


@pytest.fixture
def four_fields():
    return FIELDS

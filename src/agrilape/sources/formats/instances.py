"""Outlines of fields from rasters that hold a number for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from shapely.geometry import shape


def instance_outlines(numbers: NDArray[Any]) -> Iterator[tuple[int, shapely.Geometry]]:
    """Number and outline, in pixels, of each field, in order of number; 0 is no field.

    Args:
        numbers: Field of each pixel, `[height, width]`. All pieces of one number are one field.
    """
    known = np.unique(numbers)
    ranks = np.searchsorted(known, numbers).astype(np.int32)  # small whatever the numbers are
    parts: dict[int, list[shapely.Geometry]] = {}
    for outline, rank in rasterio.features.shapes(ranks, mask=numbers > 0, connectivity=4):
        parts.setdefault(int(known[int(rank)]), []).append(shape(outline))
    for number, pieces in sorted(parts.items()):
        yield number, shapely.union_all(pieces)

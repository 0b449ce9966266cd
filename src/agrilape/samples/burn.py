"""Outlines on a grid of pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely import Geometry

_POLYGON = 3  # GEOS type number


def burn(
    outlines: Sequence[Geometry], values: Sequence[int], shape: tuple[int, int], transform: Affine
) -> NDArray[np.int32]:
    """The value of the outline at each pixel, `[height, width]`; of several the last one's, 0 for none.

    Args:
        outlines: Polygons in any coordinates.
        values: One for each, above 0.
        shape: Height and width.
        transform: From pixels to the outlines' coordinates.
    """
    from rasterio.features import rasterize  # not where only prepared samples are read

    if not outlines:
        return np.zeros(shape, np.int32)
    pairs = zip(_as_json(outlines), values, strict=True)
    burnt: NDArray[np.int32] = rasterize(pairs, shape, transform=transform, dtype="int32", fill=0)
    return burnt


def _as_json(outlines: Sequence[Geometry]) -> Iterator[Any]:
    """Simple polygons as GeoJSON: all at once, in a third of the time that each takes by itself."""
    every = np.array(outlines, object)
    simple = (shapely.get_type_id(every) == _POLYGON) & (shapely.get_num_interior_rings(every) == 0)
    ends = np.cumsum(shapely.get_num_coordinates(every))
    corners = np.split(shapely.get_coordinates(every), ends[:-1])
    for outline, plain, ring in zip(outlines, simple.tolist(), corners, strict=True):
        yield {"type": "Polygon", "coordinates": [ring.tolist()]} if plain else outline

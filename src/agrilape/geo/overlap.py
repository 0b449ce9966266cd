"""Do images or outlines share ground?"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Geometry

from agrilape.geo.georeference import Georeference

TOLERANCE = 0.01  # share of an area or distance that rounding to whole pixels may cost


def footprint(georeference: Georeference) -> Geometry:
    """Outline of an image in WGS 84 longitude and latitude."""
    to_degrees = _to_degrees(georeference.crs)
    return shapely.transform(
        georeference.extent, lambda xy: np.column_stack(to_degrees.transform(xy[:, 0], xy[:, 1]))
    )


@lru_cache(maxsize=64)
def _to_degrees(crs: str) -> Any:
    from pyproj import Transformer  # not where only prepared samples are read

    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def overlap(ours: NDArray[np.object_], theirs: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Do outlines, pair by pair, share more than rounding?"""
    shared = shapely.area(shapely.intersection(ours, theirs))
    found: NDArray[np.bool_] = shared > TOLERANCE * np.minimum(shapely.area(ours), shapely.area(theirs))
    return found

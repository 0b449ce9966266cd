"""Outlines on a grid of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Geometry

Numbers = NDArray[np.intp]


def rasterize(
    outlines: Sequence[Geometry], values: Sequence[int], shape: tuple[int, int]
) -> NDArray[np.int32]:
    """The value of the outline at each pixel, `[height, width]`; of several the last one's, 0 for none.

    A pixel is inside if its centre is, or lies on an upper or left edge. rasterio's `rasterize` has the same
    pixels, but opens two data sets at each call, which for a chip takes longer than all the rest.

    Args:
        outlines: Polygons, in pixels.
        values: One for each, above 0.
        shape: Height and width.
    """
    height, width = shape
    runs = _runs(outlines, height)
    starts, ends = (np.clip(edge, 0, width) for edge in (runs.start, runs.end))
    lengths = np.maximum(ends - starts, 0)
    before = np.cumsum(lengths) - lengths
    pixels = np.repeat(runs.row * width + starts - before, lengths) + np.arange(lengths.sum())
    grid = np.zeros(height * width, np.int32)
    grid[pixels] = np.repeat(np.asarray(values, np.int32)[runs.owner], lengths)  # the last of several stays
    return grid.reshape(shape)


class _Runs(NamedTuple):
    """Runs of pixels, outline by outline: whose each is, its row, its first column and the one after it."""

    owner: Numbers
    row: Numbers
    start: Numbers
    end: Numbers


def _runs(outlines: Sequence[Geometry], height: int) -> _Runs:
    """Pixels whose centres are inside, by the even-odd rule and with the ties of GDAL's polygon fill."""
    owner, (x1, y1), (x2, y2) = _edges(outlines)
    # A row is crossed by the edges around its centres, their upper ends included.
    first, last = (
        np.clip(np.ceil(end(y1, y2) - 0.5), 0, height).astype(np.intp) for end in (np.minimum, np.maximum)
    )
    count = last - first
    edge = np.repeat(np.arange(len(owner)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - last, count)
    down = y1 < y2
    left, right, top, bottom = (
        np.where(down, *ends)[edge] for ends in ((x1, x2), (x2, x1), (y1, y2), (y2, y1))
    )
    column = np.floor((row + 0.5 - top) * (right - left) / (bottom - top) + left + 0.5).astype(np.intp)
    order = np.lexsort((column, row, owner[edge]))
    enter, leave = order[::2], order[1::2]
    return _Runs(owner[edge[enter]], row[enter], column[enter], column[leave])


def _edges(outlines: Sequence[Geometry]) -> tuple[Numbers, NDArray[np.float64], NDArray[np.float64]]:
    """Edges of outlines, holes and further parts included: outline's number, both ends `[2, edges]`."""
    parts, outline = shapely.get_parts(np.asarray(outlines, object), return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    corners, ring = shapely.get_coordinates(rings, return_index=True)
    edge = np.flatnonzero(ring[1:] == ring[:-1])
    return outline[part[ring[edge]]], corners[edge].T, corners[edge + 1].T

"""From what overlapping tiles saw to the objects of the whole scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely import Geometry

from agrilape.sources.scene import PixelWindow

AGREEMENT = 0.5
"""Intersection over union, on the ground that both tiles see, from which two outlines are one object."""


@dataclass(frozen=True)
class Piece:
    """What one tile saw of an object.

    Attributes:
        outline: In pixel coordinates of the scene.
        tile: The tile.
    """

    outline: Geometry
    tile: PixelWindow


@dataclass(frozen=True)
class Whole:
    """An object of the scene.

    Attributes:
        outline: In pixel coordinates of the scene.
        tiles: Number of tiles that saw it.
    """

    outline: Geometry
    tiles: int


def merge(pieces: Sequence[Piece], agreement: float = AGREEMENT) -> list[Whole]:
    """Join the pieces of each object.

    Two outlines are compared only on the ground that both tiles see, where they should be the same: a field
    seen twice and a field cut in two by a tile's edge are then one case. Outlines that agree there are
    joined, and so is whatever agrees with one of them: boxes to their common box, others to their union.
    Nothing is joined across tiles that do not overlap, for they have no common ground.

    Args:
        pieces: What the tiles saw, in any order.
        agreement: Least intersection over union on the common ground, in (0, 1].

    Returns:
        Objects from north to south, then west to east, of the image.
    """
    pieces = [piece for piece in pieces if piece.outline.area > 0]
    if not pieces:
        return []
    outlines = np.array([piece.outline for piece in pieces])
    count, labels = _components(len(pieces), *_agreeing(outlines, _views(pieces), agreement))
    wholes = []
    for label in range(count):
        members = np.flatnonzero(labels == label)
        wholes.append(Whole(_join(outlines[members]), len({pieces[i].tile for i in members})))
    return sorted(wholes, key=lambda whole: _reading_order(whole.outline))


def _reading_order(outline: Geometry) -> tuple[float, ...]:
    """North to south, then west to east; by the far edges where the near ones are equal."""
    left, top, right, bottom = outline.bounds
    return top, left, bottom, right


def _views(pieces: Sequence[Piece]) -> NDArray[np.object_]:
    """The ground that each piece's tile sees."""
    tiles = np.array([piece.tile for piece in pieces], dtype=float)
    left, top, width, height = tiles.T
    views: NDArray[np.object_] = shapely.box(left, top, left + width, top + height)
    return views


def _agreeing(
    outlines: NDArray[np.object_], views: NDArray[np.object_], agreement: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of pieces that look alike where both tiles see."""
    left, right = shapely.STRtree(outlines).query(outlines, predicate="intersects")
    left, right = left[left < right], right[left < right]
    common = shapely.intersection(views[left], views[right])
    a, b = shapely.intersection(outlines[left], common), shapely.intersection(outlines[right], common)
    shared = shapely.area(shapely.intersection(a, b))
    alike = (shared > 0) & (shared >= agreement * (shapely.area(a) + shapely.area(b) - shared))
    return left[alike], right[alike]


def _components(count: int, left: NDArray[np.intp], right: NDArray[np.intp]) -> tuple[int, NDArray[np.int32]]:
    links = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(count, count))
    number, labels = connected_components(links, directed=False)
    return int(number), labels


def _join(outlines: NDArray[np.object_]) -> Geometry:
    """One outline of several: boxes stay a box."""
    boxes = np.allclose(shapely.area(outlines), shapely.area(shapely.envelope(outlines)), rtol=1e-9)
    return shapely.box(*shapely.total_bounds(outlines)) if boxes else shapely.union_all(outlines)

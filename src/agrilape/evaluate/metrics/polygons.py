"""Overlap of outlines and of rotated boxes, through shapely."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely import Geometry

from agrilape.evaluate.metrics.arrays import Floats, divide, floats
from agrilape.evaluate.metrics.matching import Pairs

Geometries = NDArray[np.object_]


def as_geometries(geometries: Iterable[Geometry | None]) -> Geometries:
    """Valid areal geometries; what encloses nothing (None, a point, a line) becomes an empty polygon."""
    array: Any = np.array(list(geometries), dtype=object)
    if array.size == 0:
        return np.empty(0, dtype=object)
    array[np.array([geometry is None for geometry in array])] = shapely.Polygon()
    valid: Geometries = shapely.buffer(shapely.make_valid(array), 0)
    return valid


def scaled(geometries: Sequence[Geometry], size: ArrayLike) -> list[Geometry]:
    """Geometries with their coordinates multiplied by a width and a height."""
    factors = floats(size)
    return [shapely.transform(geometry, lambda xy: xy * factors) for geometry in geometries]


def rotated_boxes(boxes: ArrayLike) -> Geometries:
    """Polygons of boxes `[N, 5]`: edges (left, top, right, bottom) turned by degrees about the box's centre.

    The turn is clockwise as seen (from x towards y, with y down). IoU does not depend on the sense as long as
    both sides use the same.

    Raises:
        ValueError: If the boxes have other than 5 numbers.
    """
    array = floats(boxes)
    if array.size == 0:
        return np.empty(0, dtype=object)
    if array.ndim != 2 or array.shape[1] != 5:
        raise ValueError(f"rotated boxes are (left, top, right, bottom, degrees), got shape {array.shape}")
    low, high, angle = array[:, :2], array[:, 2:4], np.deg2rad(array[:, 4])
    centre, half = (low + high) / 2, np.clip(high - low, 0, None) / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half[:, None, :]
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x = corners[..., 0] * cos - corners[..., 1] * sin
    y = corners[..., 0] * sin + corners[..., 1] * cos
    polygons: Geometries = shapely.polygons(np.stack([x, y], axis=-1) + centre[:, None, :])
    return polygons


def polygon_iou(a: Sequence[Geometry | None], b: Sequence[Geometry | None]) -> Floats:
    """IoU, 0 to 1, of geometries paired one to one; None scores 0, self-crossing outlines are repaired."""
    left, right = as_geometries(a), as_geometries(b)
    return _ratio(left, right) if len(left) else np.zeros(0)


def polygon_iou_matrices(
    pairs: Sequence[tuple[Sequence[Geometry | None], Sequence[Geometry | None]]],
) -> list[Floats]:
    """The IoU matrix `[P, T]` of each sample's geometries, all at once; disjoint pairs cost little."""
    if not pairs:
        return []
    left, right = (as_geometries(one for pair in pairs for one in pair[side]) for side in (0, 1))
    sizes = np.array([(len(a), len(b)) for a, b in pairs])
    starts = np.cumsum(sizes, axis=0) - sizes
    places = list(zip(starts.tolist(), sizes.tolist(), strict=True))
    rows = np.concatenate([p + np.repeat(np.arange(a), b) for (p, _), (a, b) in places])
    columns = np.concatenate([t + np.tile(np.arange(b), a) for (_, t), (a, b) in places])
    iou = np.zeros(len(rows))
    if len(rows):
        near = _touch(shapely.bounds(left)[rows], shapely.bounds(right)[columns])
        iou[near] = _ratio(left[rows[near]], right[columns[near]])
    parts = np.split(iou, np.cumsum(sizes.prod(axis=1))[:-1])
    return [part.reshape(size) for part, size in zip(parts, sizes, strict=True)]


def overlapping(a: Sequence[Geometry | None], b: Sequence[Geometry | None]) -> Pairs:
    """Which geometries of two maps overlap, with their IoU, however many there are."""
    left, right = as_geometries(a), as_geometries(b)
    rows, columns = shapely.STRtree(right).query(left, predicate="intersects")
    return Pairs(rows, columns, _ratio(left[rows], right[columns]), (len(left), len(right)))


def _touch(a: Floats, b: Floats) -> NDArray[np.bool_]:
    """Do bounds `[N, 4]` overlap, pair by pair? Those of nothing are NaN and do not."""
    return np.asarray((a[:, :2] <= b[:, 2:]).all(axis=1) & (b[:, :2] <= a[:, 2:]).all(axis=1), dtype=np.bool_)


def _ratio(a: Geometries, b: Geometries) -> Floats:
    shared = shapely.area(shapely.intersection(a, b))
    union = shapely.area(a) + shapely.area(b) - shared
    return divide(shared, union)

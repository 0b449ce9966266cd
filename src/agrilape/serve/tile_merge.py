"""From what overlapping tiles saw to the objects of the whole scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely import Geometry

from agrilape.evaluate.metrics.arrays import Floats, divide, floats
from agrilape.evaluate.metrics.boxes import box_area, box_iou
from agrilape.evaluate.metrics.polygons import polygon_iou
from agrilape.sources.scene import PixelWindow

Geometries: TypeAlias = NDArray[np.object_]
Indices: TypeAlias = NDArray[np.intp]
AGREEMENT = 0.5
"""Intersection over union, on the ground that both tiles see, from which two outlines are one object."""
FILLED = 0.95
"""Share of a tile from which an outline fills it, and has no edge of its own in it."""
SURE = 0.8
"""Agreement that such an outline needs: what covers half of the common ground agrees with it by chance."""


@dataclass(frozen=True)
class TileObject:
    """What one tile saw of an object.

    Attributes:
        outline: In pixel coordinates of the scene.
        tile: The tile.
        confidence: How sure its answer was of it, in [0, 1].
    """

    outline: Geometry
    tile: PixelWindow
    confidence: float = 1.0


@dataclass(frozen=True)
class MergedObject:
    """An object of the scene.

    Attributes:
        outline: In pixel coordinates of the scene.
        tiles: Number of tiles that saw it.
        confidence: That of the surest tile, times the share of the views of its ground that found it.
    """

    outline: Geometry
    tiles: int
    confidence: float = 1.0


def merge(
    pieces: Sequence[TileObject], agreement: float = AGREEMENT, asked: Sequence[PixelWindow] = ()
) -> list[MergedObject]:
    """Join the pieces of each object.

    Two outlines are compared only on the ground that both tiles see, where they should be the same: a field
    seen twice and a field cut in two by a tile's edge are then one case. Outlines that agree there are
    joined, the surest first, and so is whatever agrees with one of them; but a tile tells its objects apart,
    so two outlines of one tile that differ are never joined by a chain through others. Boxes are joined to
    their common box, others to their union. Nothing is joined across tiles that do not overlap, unless by
    what lies between, for they have no common ground.

    Args:
        pieces: What the tiles saw, in any order.
        agreement: Least intersection over union on the common ground, in (0, 1].
        asked: All tiles that were asked: one that shows the ground of an object and did not name it speaks
            against it. None: those that named anything.

    Returns:
        Objects from north to south, then west to east, of the image.
    """
    pieces = sorted((piece for piece in pieces if piece.outline.area > 0), key=_place)
    if not pieces:
        return []
    outlines, tiles = np.array([piece.outline for piece in pieces]), [piece.tile for piece in pieces]
    boxes = np.isclose(shapely.area(outlines), shapely.area(shapely.envelope(outlines)), rtol=1e-9)
    groups = _groups(outlines, boxes, tiles, agreement)
    joined = np.array([_join(outlines[members], bool(boxes[members].all())) for members in groups])
    saw = [{tiles[number] for number in members} for members in groups]
    surest = floats([max(pieces[number].confidence for number in members) for members in groups])
    votes = _votes(joined, saw, asked or list(dict.fromkeys(tiles)))
    wholes = map(MergedObject, joined, map(len, saw), (surest * votes).tolist())
    return sorted(wholes, key=lambda whole: _reading_order(whole.outline))


def _votes(outlines: Geometries, saw: Sequence[set[PixelWindow]], asked: Sequence[PixelWindow]) -> Floats:
    """Of all views that tiles had of the ground of each outline, the share of those that found it, `[N]`."""
    views = shapely.box(*_views(asked).T)
    whole, tile = shapely.STRtree(views).query(outlines, predicate="intersects")
    ground = shapely.area(shapely.intersection(outlines[whole], views[tile]))
    found = np.array([asked[t] in saw[w] for w, t in zip(whole, tile, strict=True)])
    seen, named = (np.bincount(whole, weights, len(outlines)) for weights in (ground, ground * found))
    return divide(named, seen)


def _place(piece: TileObject) -> tuple[float, ...]:
    """An order that does not depend on that of the answers."""
    return (*_reading_order(piece.outline), *piece.tile)


def _reading_order(outline: Geometry) -> tuple[float, ...]:
    """North to south, then west to east; by the far edges where the near ones are equal."""
    left, top, right, bottom = outline.bounds
    return top, left, bottom, right


def _groups(
    outlines: Geometries, boxes: NDArray[np.bool_], tiles: Sequence[PixelWindow], agreement: float
) -> list[Indices]:
    """Members of each object."""
    left, right, strength = _links(outlines, boxes, tiles, agreement)
    labels = _components(len(outlines), left, right)
    chains = _split(labels)
    doubtful = np.array([len({tiles[i] for i in members}) < len(members) for members in chains])
    if not doubtful.any():
        return chains
    chosen = doubtful[labels[left]]
    parts = _told_apart(left[chosen], right[chosen], strength[chosen], tiles)
    return [*(chain for chain, doubt in zip(chains, doubtful, strict=True) if not doubt), *parts]


def _links(
    outlines: Geometries, boxes: NDArray[np.bool_], tiles: Sequence[PixelWindow], agreement: float
) -> tuple[Indices, Indices, Floats]:
    """Pairs of pieces that look alike where both tiles see, and their intersection over union there."""
    left, right = shapely.STRtree(outlines).query(outlines, predicate="intersects")
    left, right = left[left < right], right[left < right]
    views = _views(tiles)
    iou = np.empty(len(left))
    plain = boxes[left] & boxes[right]
    for chosen, compare in ((plain, _box_agreement), (~plain, _agreement)):
        a, b = left[chosen], right[chosen]
        iou[chosen] = compare(outlines[a], outlines[b], _common(views[a], views[b]))
    filled = shapely.area(outlines) >= FILLED * box_area(views)
    needed = np.where(filled[left] | filled[right], max(agreement, SURE), agreement)
    alike = (iou > 0) & (iou >= needed)
    return left[alike], right[alike], iou[alike]


def _views(tiles: Sequence[PixelWindow]) -> Floats:
    """The ground that each tile sees, `[N, 4]`."""
    left, top, width, height = np.array(tiles, dtype=float).T
    return np.stack([left, top, left + width, top + height], axis=1)


def _common(a: Floats, b: Floats) -> Floats:
    """The ground that both of two views see, `[P, 4]`; without area where there is none."""
    low = np.maximum(a[:, :2], b[:, :2])
    return np.hstack([low, np.maximum(low, np.minimum(a[:, 2:], b[:, 2:]))])


def _agreement(a: Geometries, b: Geometries, ground: Floats) -> Floats:
    """Intersection over union of outlines on their ground."""
    frame = shapely.box(*ground.T)
    return polygon_iou(list(shapely.intersection(a, frame)), list(shapely.intersection(b, frame)))


def _box_agreement(a: Geometries, b: Geometries, ground: Floats) -> Floats:
    """Likewise of boxes, a hundred times as fast."""
    return box_iou(_common(shapely.bounds(a), ground), _common(shapely.bounds(b), ground))


def _components(count: int, left: Indices, right: Indices) -> NDArray[np.int32]:
    """Label of each piece, the same where links lead from one to the other."""
    links = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1])


def _split(labels: NDArray[np.int32]) -> list[Indices]:
    """Members of each label, in order of label."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _told_apart(
    left: Indices, right: Indices, strength: Floats, tiles: Sequence[PixelWindow]
) -> list[Indices]:
    """Groups made by the surest links first that hold no two pieces of one tile, unless these are alike."""
    alike = set(zip(left.tolist(), right.tolist(), strict=True))
    group = {piece: {tiles[piece]: [piece]} for pair in alike for piece in pair}
    group_of = {piece: piece for piece in group}
    for number in np.argsort(-np.round(strength, 9), kind="stable"):
        a, b = group_of[int(left[number])], group_of[int(right[number])]
        if len(group[a]) < len(group[b]):
            a, b = b, a
        if a == b or any(
            (min(one, other), max(one, other)) not in alike
            for tile in group[b].keys() & group[a].keys()
            for one in group[a][tile]
            for other in group[b][tile]
        ):
            continue
        for tile, members in group.pop(b).items():
            group[a].setdefault(tile, []).extend(members)
            group_of |= dict.fromkeys(members, a)
    return [np.sort(np.concatenate(list(found.values()))) for found in group.values()]


def _join(outlines: Geometries, boxes: bool) -> Geometry:
    """One outline of several: boxes stay a box."""
    return shapely.box(*shapely.total_bounds(outlines)) if boxes else shapely.union_all(outlines)

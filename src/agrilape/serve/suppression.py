"""Of objects that claim the same ground, the surest stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import shapely

from agrilape.serve.tile_merge import MergedObject

SAME = 0.5
"""Intersection over union from which two objects are one."""
TAKEN = 0.8
"""Share of an object's ground that surer ones may not hold already."""


def suppress(objects: Sequence[MergedObject], room: float) -> list[MergedObject]:
    """Leave out what surer objects already say (non-maximum suppression), and what there is no room for.

    An outline that reaches into a surer one ends at its edge; a box stays a box, for the boxes of fields side
    by side overlap where these are not parallel to the grid. Ground is claimed once all the same: together,
    objects never have more area than the image.

    Args:
        objects: Of one question, in any order; those equally sure are taken in this order.
        room: Area of the image in square pixels.

    Returns:
        Those that are left, in their order.
    """
    outlines = np.array([one.outline for one in objects])
    left, right = shapely.STRtree(outlines).query(outlines, predicate="intersects")
    neighbours = np.split(right, np.searchsorted(left, np.arange(1, len(outlines))))
    kept: dict[int, MergedObject] = {}
    for number in sorted(range(len(objects)), key=lambda i: -objects[i].confidence):
        surer = [kept[i] for i in neighbours[number].tolist() if i in kept]
        rest = _rest(objects[number], surer)
        if rest is not None and rest.outline.area <= room:
            room -= rest.outline.area
            kept[number] = rest
    return [kept[number] for number in sorted(kept)]


def _rest(one: MergedObject, surer: Sequence[MergedObject]) -> MergedObject | None:
    """What is left of an object beside surer ones that touch it; None if these say the same."""
    if not surer:
        return one
    others = np.array([other.outline for other in surer])
    shared = shapely.area(shapely.intersection(one.outline, others))
    union = one.outline.area + shapely.area(others) - shared
    if (shared >= SAME * union).any():
        return None
    taken = shapely.union_all(others)
    free = shapely.difference(one.outline, taken)
    if free.area <= (1 - TAKEN) * one.outline.area:
        return None
    return one if _is_box(one) else replace(one, outline=free)


def _is_box(one: MergedObject) -> bool:
    return bool(np.isclose(one.outline.area, one.outline.envelope.area, rtol=1e-9))

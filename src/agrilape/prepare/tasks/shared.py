"""What several tasks need: which crops leave no doubt, points in fields, facts for scoring and provenance."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import shapely
from shapely import Geometry

from agrilape.geo.shapes import Box, Point
from agrilape.prepare.annotations import ChipAnnotations, VisibleField

MAX_BOXES = 8  # longest list that is asked for; a longer answer teaches little and costs much
POINTS_PER_FIELD = 3  # asked about, in a chip: the same answer from several places teaches a field's extent
SEASONS = {"winter", "spring", "summer"}  # words that crops share without being alike
PAIRS = 6  # of fields that are compared, in a chip


def random_point(area: Geometry, rng: random.Random, attempts: int = 50) -> Point:
    """A random point in an area, by trial; after too many trials, one point that surely lies inside."""
    return random_points(area, rng, 1, attempts)[0]


def random_points(area: Geometry, rng: random.Random, count: int, attempts: int = 50) -> list[Point]:
    """Several random points in an area, each as `random_point` finds it."""
    left, top, right, bottom = area.bounds
    shapely.prepare(area)
    points: list[Point] = []
    missed = 0
    while (missing := count - len(points)) > 0:
        # Every point takes a trial at least, so all that are missing can be tried at once.
        tried = [Point(rng.uniform(left, right), rng.uniform(top, bottom)) for _ in range(missing)]
        for point, inside in zip(tried, shapely.contains_xy(area, tried).tolist(), strict=True):
            missed = 0 if inside else missed + 1
            if inside:
                points.append(point)
            elif missed == attempts:
                points.append(Point(*area.representative_point().coords[0]))
                missed = 0
    return points


def points_in(one: VisibleField, rng: random.Random) -> list[Point]:
    """Several random points in a field."""
    return random_points(one.interior, rng, POINTS_PER_FIELD)


def unambiguous(view: ChipAnnotations) -> Iterator[tuple[str, list[VisibleField]]]:
    """Crops of which every field is clearly visible and, as far as the labels go, listed."""
    if view.crops_known:
        for crop, fields in view.by_crop.items():
            if all(one.clear for one in fields):
                yield crop, fields


def surely_absent(view: ChipAnnotations, crops: Iterable[str]) -> list[str]:
    """Those of some crops that surely do not grow here: no crop that does may be meant by their names.

    `maize` may be meant by `silage maize`, and in German Weizen by Winterweizen; `winter barley` is not meant
    by `winter wheat`.
    """
    if not view.crops_known or not view.by_crop:
        return []
    here = {word for crop in view.by_crop for word in _words(crop)}
    return [
        crop
        for crop in crops
        if not any(word in known or known in word for word in _words(crop) for known in here)
    ]


def _words(crop: str) -> set[str]:
    return set(crop.lower().split()) - SEASONS


def pairs(fields: Sequence[VisibleField], rng: random.Random) -> list[tuple[VisibleField, VisibleField]]:
    """Some random ordered pairs of different fields."""
    every = [(one, other) for one in fields for other in fields if one is not other]
    return rng.sample(every, min(PAIRS, len(every)))


def grid(cells: int) -> list[list[Box]]:
    """The image in so many equal rows and columns."""
    return [
        [Box(column / cells, row / cells, (column + 1) / cells, (row + 1) / cells) for column in range(cells)]
        for row in range(cells)
    ]


def field_truth(one: VisibleField) -> dict[str, Any]:
    """What answers about a field are scored with, and broken down by."""
    known = {"crop": one.crop, "size": one.size, "area_ha": one.area_ha}
    return known if one.hcat is None else known | {"hcat": one.hcat}


def ids(fields: Sequence[VisibleField]) -> list[str]:
    """Parcel ids for provenance."""
    return [one.id for one in fields]

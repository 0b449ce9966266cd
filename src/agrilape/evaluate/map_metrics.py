"""Metrics of whole maps: all fields of a scene, as `agrilape predict` answers for it, against all parcels.

A row of such a task has the outlines of all parcels as its answer, as parts of the unit square of its map.
`truth["ignored"]` lists those that decide nothing, such as parcels of which the map shows less than half: to
miss one is no error, and an answer that matches no parcel is set aside if half of it lies on such ground, as
in COCO's protocol for crowds (Lin et al., 2014).

Answers and parcels are matched one to one by the Hungarian method (`metrics.matching`), so that a parcel
answered twice is found once. Answers less sure than `meta["least"]`, which `predict` leaves out, count in
average precision alone; that takes answers by confidence, as COCO does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Geometry

from agrilape.evaluate.answer_arrays import Rows
from agrilape.evaluate.metric import Columns, Metric, error, mean, sums_of
from agrilape.evaluate.metrics.arrays import Floats, divide, floats
from agrilape.evaluate.metrics.matching import (
    Pairs,
    average_precision_of_counts,
    f1_score,
    greedy_hits,
    match_pairs,
    precision,
    recall,
)
from agrilape.evaluate.metrics.polygons import Geometries, as_geometries, overlapping
from agrilape.evaluate.predictions import Prediction
from agrilape.geo.shapes import Box, Part, Point, Polygon

THRESHOLD = 0.5
"""Least IoU of an answer and the parcel that it finds."""
SET_ASIDE = 0.5
"""Share of an answer on ignored ground from which it is set aside, if it matches no parcel."""
ON_FIELDS = 0.5
"""Share of an answer that must lie in fields for it not to be called off them."""
LEVELS = 101
"""Levels at which confidence is read, in hundredths: their counts add up over maps."""


class MapObjects(NamedTuple):
    """The objects of one map.

    Attributes:
        given: Outlines of the answers.
        wanted: Outlines of the parcels that are to be found.
        ignored: Outlines of parcels that decide nothing.
    """

    given: Geometries
    wanted: Geometries
    ignored: Geometries


def map_objects(row: Prediction) -> MapObjects:
    """The objects of a row's map, in the unit square of its image: of the answers, those sure enough."""
    everything = _all_objects(row)
    return everything._replace(given=everything.given[_is_sure(row, len(everything.given))])


def _all_objects(row: Prediction) -> MapObjects:
    truths = _outlines(row.answer)
    ignored = np.zeros(len(truths), dtype=bool)
    ignored[[int(number) for number in row.truth.get("ignored") or ()]] = True
    return MapObjects(_outlines(row.prediction), truths[~ignored], truths[ignored])


def _is_sure(row: Prediction, places: int) -> NDArray[np.bool_]:
    """Which places of an answer are as sure as it takes, `[P]`; all where that is not known."""
    if len(row.confidence) != places:
        return np.ones(places, dtype=bool)
    return floats(row.confidence) >= float(row.meta.get("least") or 0.0)


def outline_part(outline: Geometry) -> Polygon:
    """An outline as a part of an answer: a ring, on which holes and further pieces hang as closed rings.

    Args:
        outline: A polygon or several, in the unit square of the map.

    Raises:
        ValueError: It encloses nothing.
    """
    rings = shapely.get_rings([part for part in shapely.get_parts(outline) if part.area > 0])
    if not len(rings):
        raise ValueError(f"a map holds polygons, not a {outline.geom_type}")
    corners = [shapely.get_coordinates(ring).tolist() for ring in rings]
    path = corners[0][:-1] if len(corners) == 1 else [xy for ring in corners for xy in ring]
    return Polygon(tuple(Point(x, y) for x, y in path))


def _outlines(parts: Sequence[Part]) -> Geometries:
    found = [
        shapely.box(*part) if isinstance(part, Box) else _outline(part)
        for part in parts
        if isinstance(part, Box | Polygon)
    ]
    return as_geometries(found)


def _outline(part: Polygon) -> Geometry:
    """What a ring encloses, less or more what each ring that hangs on it does."""
    first, *more = _rings(part.points)
    outline = shapely.Polygon(first)
    for ring in more:
        outline = shapely.make_valid(outline).symmetric_difference(shapely.make_valid(shapely.Polygon(ring)))
    return outline


def _rings(points: Sequence[Point]) -> Iterator[Sequence[Point]]:
    """Closed rings one after the other; a ring that never closes is the only one."""
    while len(points) >= 3:
        end = next((at for at in range(3, len(points)) if points[at] == points[0]), len(points))
        yield points[:end]
        points = points[end + 1 :]


# --- matches --------------------------------------------------------------------------------------


def _as_they_are(outlines: Geometries) -> Geometries:
    return outlines


def _boxes(outlines: Geometries) -> Geometries:
    return np.asarray(shapely.envelope(outlines), dtype=object)


Form = Callable[[Geometries], Geometries]
"""What is compared of outlines: themselves, or the boxes around them."""


def _pairs(objects: MapObjects, form: Form) -> Pairs:
    return overlapping(list(form(objects.given)), list(form(objects.wanted)))


def _aside(objects: MapObjects) -> NDArray[np.bool_]:
    """Which answers lie on ignored ground."""
    return _shares_in(objects.given, objects.ignored) >= SET_ASIDE


def _shares_in(given: Geometries, ground: Geometries) -> Floats:
    """Share of each outline that lies in any of others, which do not overlap each other."""
    rows, columns = shapely.STRtree(ground).query(given, predicate="intersects")
    shared = shapely.area(shapely.intersection(given[rows], ground[columns]))
    return divide(np.bincount(rows, shared, len(given)), shapely.area(given))


def _matches(form: Form) -> Columns:
    """True positives, answers that count, and parcels of each map, `[N, 3]`."""

    def columns(rows: Rows) -> Floats:
        return floats([_count(map_objects(row), form) for row in rows]).reshape(-1, 3)

    return columns


def _count(objects: MapObjects, form: Form) -> tuple[int, int, int]:
    found = [answer for answer, _ in match_pairs(_pairs(objects, form), THRESHOLD)]
    left = ~_aside(objects)
    left[found] = True
    return len(found), int(left.sum()), len(objects.wanted)


def _ranked(form: Form) -> Columns:
    """Of each map, hits and answers at each level of confidence, and parcels, `[N, 2 LEVELS + 1]`."""

    def columns(rows: Rows) -> Floats:
        return floats([_ranks(row, form) for row in rows]).reshape(-1, 2 * LEVELS + 1)

    return columns


def _ranks(row: Prediction, form: Form) -> Floats:
    objects, confidence = _all_objects(row), floats(row.confidence)
    hits = greedy_hits(_pairs(objects, form), confidence, THRESHOLD)
    counted = hits | ~_aside(objects)
    level = np.clip(np.round(confidence * (LEVELS - 1)), 0, LEVELS - 1).astype(int)
    tallies = [np.bincount(level[chosen], minlength=LEVELS) for chosen in (hits, counted)]
    return floats([*tallies[0], *tallies[1], len(objects.wanted)])


def _average_precision(sums: Floats) -> Floats:
    return average_precision_of_counts(sums[..., :LEVELS], sums[..., LEVELS:-1], sums[..., -1])


def _is_ranked(row: Prediction) -> bool:
    """Do all answers of a map say how sure they are?"""
    places = sum(isinstance(part, Box | Polygon) for part in row.prediction)
    return bool(row.meta.get("ranked")) and len(row.confidence) == places


# --- areas ----------------------------------------------------------------------------------------


def _areas(rows: Rows) -> Floats:
    """Of each map, hectares (without georeference: shares of it), `[N, 5]`.

    The area of all answers together and of all parcels together, what both cover, and the sums of their
    single areas. Ignored ground is taken out of all but the last two, in which a parcel of it has no part.
    """
    return floats([_map_areas(row) for row in rows]).reshape(-1, 5)


def _map_areas(row: Prediction) -> Floats:
    objects = map_objects(row)
    given, wanted = (_ground(side, objects.ignored) for side in (objects.given, objects.wanted))
    rows, columns = shapely.STRtree(wanted).query(given, predicate="intersects")
    both = shapely.area(shapely.intersection(given[rows], wanted[columns]))
    counted = objects.given[~_aside(objects)]
    size = row.ground_m or (100.0, 100.0)
    areas = floats([shapely.area(side).sum() for side in (given, wanted)] + [both.sum()])
    sums = floats([shapely.area(side).sum() for side in (counted, objects.wanted)])
    return np.concatenate([areas, sums]) * size[0] * size[1] / 1e4


def _ground(outlines: Geometries, ignored: Geometries) -> Geometries:
    """The ground of outlines less that which is ignored, in pieces that do not overlap."""
    ground = shapely.union_all(outlines)
    if len(ignored):
        ground = shapely.difference(ground, shapely.union_all(ignored))
    return np.asarray(shapely.get_parts(ground), dtype=object)


def _over(given: Floats, wanted: Floats, both: Floats) -> Floats:
    return divide(given - both, wanted, np.nan)


def _under(wanted: Floats, both: Floats) -> Floats:
    return divide(wanted - both, wanted, np.nan)


def _ratio(given: Floats, wanted: Floats) -> Floats:
    return divide(given, wanted, np.nan)


def _off_fields(rows: Rows) -> Floats:
    """Answers off fields, and answers, of each map, `[N, 2]`."""
    counts = []
    for row in rows:
        given, wanted, ignored = map_objects(row)
        off = _shares_in(given, np.concatenate([wanted, ignored])) < ON_FIELDS
        counts.append((off.sum(), len(given)))
    return floats(counts).reshape(-1, 2)


def _places(rows: Rows) -> Floats:
    """Places of each answer that are sure enough."""
    counts = [sum(isinstance(part, Box | Polygon) for part in row.prediction) for row in rows]
    return floats([_is_sure(row, count).sum() for row, count in zip(rows, counts, strict=True)])


# --- the tasks ------------------------------------------------------------------------------------


def _found(name: str, form: Form) -> tuple[Metric, ...]:
    columns, ranked = _matches(form), _ranked(form)
    return (
        Metric(f"{name}_f1", columns, sums_of(f1_score, 0, 1, 2)),
        Metric(f"{name}_precision", columns, sums_of(precision, 0, 1)),
        Metric(f"{name}_recall", columns, sums_of(recall, 0, 2)),
        Metric(f"{name}_ap", ranked, _average_precision, applies=_is_ranked),
    )


OBJECTS: tuple[Metric, ...] = (
    *_found("box", _boxes),
    *_found("outline", _as_they_are),
    Metric("area_over", _areas, sums_of(_over, 0, 1, 2), lower_is_better=True),
    Metric("area_under", _areas, sums_of(_under, 1, 2), lower_is_better=True),
    Metric("area_ratio", _areas, sums_of(_ratio, 0, 1)),
    Metric("summed_area_ratio", _areas, sums_of(_ratio, 3, 4)),
)
MAP_METRICS: Mapping[str, tuple[Metric, ...]] = {
    "map_fields": (*OBJECTS, Metric("off_fields", _off_fields, lower_is_better=True)),
    "map_crop": OBJECTS,
    "map_absent_crop": (
        mean("refusal_rate", lambda rows: floats(_places(rows) == 0)),
        error("places", _places),
    ),
}
"""Metrics of each task of whole maps, the one that stands for it first."""

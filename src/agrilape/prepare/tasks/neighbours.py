"""What lies beside what: neighbours, and directions on the map and in the image.

Compass points follow true north, so a chip asked about them must not be turned (`oriented`). Directions in
the image turn with it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import numpy as np
import shapely

from agrilape.dataset.prompt_templates import PromptTemplates
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Part, Point
from agrilape.prepare.annotations import ChipAnnotations, VisibleField
from agrilape.prepare.tasks.builder import Draft, builder
from agrilape.prepare.tasks.shared import MAX_BOXES, field_truth, ids, pairs, random_point

GAP_M = 15.0  # a hedge, a track or a ditch lies between neighbours
GAP = 0.03  # of the image, where its ground is not known
FACING = 4.0  # gaps: length along which neighbours face each other at least ...
CORNER = 2.5  # ... and above which two fields that meet at a corner leave doubt
OCTANT = 45.0
SURE = 15.0  # degrees from the middle of an octant within which a direction is beyond doubt
APART = 0.15  # of the image: least distance of two centres that have a direction


@builder
def neighbours(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """Boxes of all fields across no more than a hedge, track or ditch."""
    if not view.complete:
        return
    for one in view.clear_fields:
        beside = neighbours_of(one, view)
        if beside is not None and 1 <= len(beside) <= MAX_BOXES:
            truth = {"crop": one.crop, "count": len(beside), "sizes": [other.size for other in beside]}
            yield Draft(
                {"point": random_point(one.interior, rng)},
                tuple(other.box for other in beside),
                truth,
                {"rule": "fields across a gap of at most a track", "parcels": ids([one, *beside])},
            )


@builder
def direction(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """One of eight compass points, by the geodesic azimuth between the centres."""
    place = view.chip.georeference
    if place is None:
        return
    for one, other in pairs(view.clear_fields, rng):
        octant = octant_of(azimuth(one, other, place))
        if octant is not None and _apart(one, other):
            yield Draft(
                _two_points(one, other, rng),
                (templates.compass[octant],),
                {"direction": templates.compass[octant], "oriented": True},
                {"rule": "geodesic azimuth between the centres", "parcels": ids([one, other])},
            )


@builder
def relative_position(
    view: ChipAnnotations, rng: random.Random, templates: PromptTemplates
) -> Iterator[Draft]:
    """One of eight sides of the image, by the line between the centres."""
    for one, other in pairs(view.clear_fields, rng):
        octant = octant_of(image_angle(one, other))
        if octant is not None and _apart(one, other):
            yield Draft(
                _two_points(one, other, rng),
                (templates.sides[octant],),
                {"place": templates.sides[octant]},
                {"rule": "line between the centres in the image", "parcels": ids([one, other])},
            )


@builder
def neighbour_crop(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The crop of the only neighbour on one side: compass points on the map, else sides of the image."""
    if not view.complete:
        return
    place = view.chip.georeference
    for one in view.clear_fields:
        beside = neighbours_of(one, view) or []
        angles = [azimuth(one, other, place) if place else image_angle(one, other) for other in beside]
        for other, angle in zip(beside, angles, strict=True):
            octant = octant_of(angle)
            alone = sum(abs(math.remainder(angle - rival, 360)) < OCTANT for rival in angles) == 1
            if octant is None or not alone or not other.crop:
                continue
            side = templates.compass[octant] if place else templates.sides[octant]
            yield Draft(
                {"point": random_point(one.interior, rng), "direction": side},
                (other.crop,),
                field_truth(other) | ({"oriented": True} if place else {"place": side}),
                {"rule": "the only neighbour within an octant", "parcels": ids([one, other])},
                form="" if place else "image",
            )


def neighbours_of(one: VisibleField, view: ChipAnnotations) -> list[VisibleField] | None:
    """Fields beside one, by left edge, then top edge; None where it is not clear which those are."""
    gap = GAP_M / view.ground_m if view.ground_m else GAP
    distances = shapely.distance(one.outline, [other.outline for other in view.fields])
    beside = []
    for index in np.flatnonzero(distances < 2 * gap):
        other = view.fields[index]
        if other is one:
            continue
        facing = one.outline.boundary.intersection(other.outline.buffer(gap)).length / gap
        wide = one.outline.boundary.intersection(other.outline.buffer(2 * gap)).length / gap
        if facing >= FACING and other.clear:
            beside.append(other)
        elif wide > 2 * CORNER:  # a little too far, too short or too hidden to be sure
            return None
    return sorted(beside, key=lambda other: other.box)


def azimuth(one: VisibleField, other: VisibleField, place: Georeference) -> float:
    """Degrees clockwise from true north of the way from one centre to another."""
    return place.azimuth_deg(_centre(one), _centre(other))


def image_angle(one: VisibleField, other: VisibleField) -> float:
    """Degrees clockwise from the top of the image of the way from one centre to another."""
    (x0, y0), (x1, y1) = _centre(one), _centre(other)
    return math.degrees(math.atan2(x1 - x0, y0 - y1)) % 360


def octant_of(angle: float) -> int | None:
    """Number of the octant, clockwise from the top; None for an angle near the border of two."""
    number = round(angle / OCTANT)
    return number % 8 if abs(angle - number * OCTANT) <= SURE else None


def _centre(one: VisibleField) -> Point:
    middle = one.outline.centroid
    return Point(middle.x, middle.y)


def _apart(one: VisibleField, other: VisibleField) -> bool:
    return math.dist(_centre(one), _centre(other)) >= APART


def _two_points(one: VisibleField, other: VisibleField, rng: random.Random) -> dict[str, Part]:
    return {"point": random_point(one.interior, rng), "other": random_point(other.interior, rng)}

"""Crops of one place in one season, and from one year to the next."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from agrilape.dataset.prompt_templates import PromptTemplates
from agrilape.geo.shapes import Part, Point, Span
from agrilape.prepare.annotations import ChipAnnotations
from agrilape.prepare.tasks.builder import Draft, builder

RULE = "labels of two seasons at one point"


class Season(NamedTuple):
    """What was grown at a point in one season."""

    span: Span
    point: Point
    crops: str


@builder
def crops_in_season(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The labelled crop sequence of one season."""
    for season in _seasons(view):
        values: dict[str, Part] = {"point": season.point, "span": season.span}
        yield Draft(values, (season.crops,), {"label": season.crops}, {"rule": "label of the season"})


@builder
def crop_rotation(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The labels of two seasons that follow each other."""
    for values, first, second in _rotations(view):
        label = f"{first}; {second}"
        yield Draft(values, (label,), {"label": label}, {"rule": RULE})


@builder
def same_crop(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """Yes or no, by the labels of two seasons that follow each other."""
    for values, first, second in _rotations(view):
        answer = templates.yes if first == second else templates.no
        yield Draft(values, (answer,), {"yes": first == second}, {"rule": RULE})


def _rotations(view: ChipAnnotations) -> Iterator[tuple[dict[str, Part], str, str]]:
    """The crops of two seasons that follow each other at a point, and what asks for them."""
    places: dict[Point, list[Season]] = {}
    for season in _seasons(view):
        places.setdefault(season.point, []).append(season)
    for point, seasons in places.items():
        for first, second in pairwise(sorted(seasons)):
            values: dict[str, Part] = {"point": point, "first": first.span, "second": second.span}
            yield values, first.crops, second.crops


def _seasons(view: ChipAnnotations) -> Iterator[Season]:
    for spot in view.spots:
        if spot.kind in {"rotation", "crop"} and isinstance(spot.when, Span):
            yield Season(spot.when, spot.point, str(spot.value))

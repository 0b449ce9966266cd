"""The course of a season: peak, green-up, green span, harvest, and how often the land turns green."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from agrilape.dataset.prompt_templates import PromptTemplates
from agrilape.geo.shapes import Part, Span
from agrilape.prepare.annotations import ChipAnnotations, LabelledPoint, Timing, VisibleField
from agrilape.prepare.tasks.builder import Draft, builder
from agrilape.prepare.tasks.shared import field_truth, random_point

FALLOW = "fallow"  # in a labelled sequence; it is no crop


@builder
def peak_of_season(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The moment of the season's peak."""
    return _moments(view, rng, lambda one: one.peak_of_season)


@builder
def green_up(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The moment at which the vegetation index crosses the middle of its range on the way up."""
    return _moments(view, rng, lambda one: one.green_up)


@builder
def harvest(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The recorded harvest, of a field or of a point."""
    yield from _moments(view, rng, lambda one: one.harvest if isinstance(one, VisibleField) else None)
    for spot in view.spots:
        if spot.kind == "harvest" and spot.when and not isinstance(spot.when, Span):
            yield Draft(
                {"point": spot.point},
                (spot.when,),
                {"crop": spot.value or None},
                {"rule": "recorded harvest"},
            )


@builder
def growing_season(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The green part of the season, or the time a crop stands on the field where its dates were recorded."""
    for values, form, one in pointed_at(view, rng):
        if one.green:
            form = "crop" if one.green.recorded else form
            yield Draft(values, (one.green.when,), known(one), {"rule": one.green.rule, **origin(one)}, form)


@builder
def green_cycles(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """How many times the vegetation index rises and falls clearly within the calendar."""
    for values, form, one in pointed_at(view, rng):
        if one.cycles:
            rule = "rises and falls of the mean NDVI of the clear dates"
            truth = known(one) | {"cycles": one.cycles}
            yield Draft(values, (str(one.cycles),), truth, {"rule": rule, **origin(one)}, form)


@builder
def double_cropping(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """Yes or no, by the labelled sequence of the season; a crop and a fallow are one crop."""
    for spot in view.spots:
        sequence = _crops_of(spot, templates)
        if sequence and isinstance(spot.when, Span):
            answer = templates.yes if len(sequence) > 1 else templates.no
            yield Draft(
                {"point": spot.point, "span": spot.when},
                (answer,),
                {"label": spot.value, "yes": len(sequence) > 1},
                {"rule": "label of the season"},
            )


def _crops_of(spot: LabelledPoint, templates: PromptTemplates) -> list[str]:
    """The crops of a labelled season in order; none for what is no sequence, such as forest."""
    if spot.kind != "rotation" or templates.then not in str(spot.value):
        return []
    return [crop for crop in str(spot.value).split(templates.then) if crop != templates.crop(FALLOW)]


def pointed_at(
    view: ChipAnnotations, rng: random.Random
) -> Iterator[tuple[dict[str, Part], str, VisibleField | LabelledPoint]]:
    """Fields and points of known land use, each with the point that asks for it and the form of wording."""
    for one in view.clear_fields:
        yield {"point": random_point(one.interior, rng)}, "", one
    for spot in view.spots:
        if spot.kind == "land_use":
            yield {"point": spot.point}, "point", spot


def known(one: VisibleField | LabelledPoint) -> dict[str, Any]:
    """What scores of a field or a point are broken down by."""
    return field_truth(one) if isinstance(one, VisibleField) else {"label": one.value}


def origin(one: VisibleField | LabelledPoint) -> dict[str, Any]:
    """The parcel behind an answer, if it is one."""
    return {"parcels": [one.id]} if isinstance(one, VisibleField) else {}


def _moments(
    view: ChipAnnotations, rng: random.Random, when: Callable[[VisibleField | LabelledPoint], Timing | None]
) -> Iterator[Draft]:
    for values, form, one in pointed_at(view, rng):
        if (timing := when(one)) is not None:
            provenance = {"rule": timing.rule, **origin(one)}
            yield Draft(values, (timing.when,), known(one), provenance, form)

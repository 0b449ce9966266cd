"""Stressed parts of fields: where they are, how much of the field they are, and what the cause is."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from agrilape.dataset.prompt_templates import PromptTemplates
from agrilape.geo.shapes import Part
from agrilape.prepare.annotations import ChipAnnotations, Stress, VisibleField
from agrilape.prepare.tasks.builder import Draft, builder
from agrilape.prepare.tasks.outline import errors, simplified
from agrilape.prepare.tasks.shared import MAX_BOXES, random_point

RULE = "labelled zone, on dates when it shows"


@builder
def stress_zones(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """Boxes of all stressed parts; only where every field is labelled."""
    zones = view.clear_stress
    if view.complete and len(zones) == len(view.stress) and 1 <= len(zones) <= MAX_BOXES:
        yield Draft(
            {},
            tuple(zone.box for zone in zones),
            {"count": len(zones), "causes": [zone.cause for zone in zones]},
            {"rule": RULE, "parcels": [zone.parcel for zone in zones]},
        )


@builder
def stress_outline(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The only stressed part of the field at a point, as a polygon."""
    for zone, one in _alone(view):
        if (outline := simplified(zone.outline)) is not None:
            yield _asked(zone, one, outline, rng, errors(outline, zone.outline))


@builder
def stress_share(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """Share of the field's area, of a field that is wholly visible."""
    for zone, one in _alone(view):
        if zone.share is not None and one.whole:
            yield _asked(zone, one, f"{100 * zone.share:.0f} %", rng)


@builder
def stress_cause(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The cause of a stressed part, asked at a point in it."""
    for zone in view.clear_stress:
        yield Draft(
            {"point": random_point(zone.outline, rng)},
            (zone.cause,),
            {"cause": zone.cause},
            {"rule": RULE, "parcels": [zone.parcel]},
        )


def _alone(view: ChipAnnotations) -> Iterator[tuple[Stress, VisibleField]]:
    """Stressed parts that are the only one of a clear field, with that field."""
    fields = {one.id: one for one in view.clear_fields}
    parcels = [zone.parcel for zone in view.stress]
    for zone in view.clear_stress:
        if zone.parcel in fields and parcels.count(zone.parcel) == 1:
            yield zone, fields[zone.parcel]


def _asked(
    zone: Stress, one: VisibleField, answer: Part, rng: random.Random, more: Mapping[str, float] | None = None
) -> Draft:
    return Draft(
        {"point": random_point(one.interior, rng)},
        (answer,),
        {"crop": one.crop, "cause": zone.cause, "share": zone.share},
        {"rule": RULE, "parcels": [one.id], **(more or {})},
    )

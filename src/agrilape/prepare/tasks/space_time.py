"""Where and when in one answer."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from agrilape.dataset.prompt_templates import PromptTemplates
from agrilape.geo.shapes import Part
from agrilape.prepare.annotations import ChipAnnotations, VisibleField
from agrilape.prepare.tasks.builder import Draft, builder
from agrilape.prepare.tasks.shared import field_truth, random_point, unambiguous


@builder
def field_and_season(
    view: ChipAnnotations, rng: random.Random, templates: PromptTemplates
) -> Iterator[Draft]:
    """The box of the field at a point, and its green span."""
    for one in view.clear_fields:
        yield from _answered(one, {"point": random_point(one.interior, rng)})


@builder
def crop_and_season(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The box of a crop that has exactly one field here, and its green span."""
    for crop, fields in unambiguous(view):
        if len(fields) == 1:
            yield from _answered(fields[0], {"crop": crop})


def _answered(one: VisibleField, values: Mapping[str, Part]) -> Iterator[Draft]:
    if one.green:
        provenance = {"rule": one.green.rule, "parcels": [one.id]}
        form = "crop" if one.green.recorded else ""
        yield Draft(values, (one.box, one.green.when), field_truth(one), provenance, form)

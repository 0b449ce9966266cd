"""Where fields are, as boxes."""

from __future__ import annotations

import random
from collections.abc import Iterator

from agrilape.dataset.prompt_templates import PromptTemplates
from agrilape.prepare.annotations import ChipAnnotations
from agrilape.prepare.tasks.builder import Draft, builder
from agrilape.prepare.tasks.shared import field_truth, ids, points_in, unambiguous


@builder
def crop_box(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The box of a crop that has exactly one field here."""
    for crop, fields in unambiguous(view):
        if len(fields) == 1:
            yield Draft({"crop": crop}, (fields[0].box,), field_truth(fields[0]), {"parcels": ids(fields)})


@builder
def crop_boxes(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The boxes of a crop that has several fields here."""
    least = 1 if view.partial_fields else 2
    for crop, every in view.by_crop.items() if view.crops_known else ():
        fields = view.listed(every)
        if len(fields) >= least:
            truth = {"crop": crop, "count": len(fields), "sizes": [one.size for one in fields]}
            yield Draft({"crop": crop}, tuple(one.box for one in fields), truth, {"parcels": ids(fields)})


@builder
def field_boxes(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The boxes of all fields."""
    fields = sorted(view.listed(view.fields), key=lambda one: one.box)
    if view.complete and fields:
        truth = {"count": len(fields), "sizes": [one.size for one in fields]}
        yield Draft({}, tuple(one.box for one in fields), truth, {"parcels": ids(fields)})


@builder
def field_at_point(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The box of the field that a random point lies in."""
    for one in view.clear_fields:
        for point in points_in(one, rng):
            yield Draft({"point": point}, (one.box,), field_truth(one), {"parcels": [one.id]})

"""What grows at a place."""

from __future__ import annotations

import random
from collections.abc import Iterator

from agrilape.dataset.prompt_templates import PromptTemplates
from agrilape.geo.shapes import Span
from agrilape.prepare.annotations import ChipAnnotations
from agrilape.prepare.tasks.builder import Draft, builder
from agrilape.prepare.tasks.shared import field_truth, points_in

MAJORITY = 0.5  # share of a box that a crop must cover to be its answer


@builder
def crop_at_point(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The crop of the field that a random point lies in, or of a point labelled for the whole calendar."""
    for one in view.clear_fields:
        if one.crop:
            for point in points_in(one, rng):
                yield Draft({"point": point}, (one.crop,), field_truth(one), {"parcels": [one.id]})
    for spot in view.spots:
        if spot.kind == "crop" and (spot.when is None or spot.when == Span(0, 1)):
            crop = str(spot.value)
            yield Draft({"point": spot.point}, (crop,), {"crop": crop}, {"rule": "label of the point"})


@builder
def crop_in_box(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The crop of a field whose box it mostly fills."""
    for one in view.clear_fields:
        if one.crop and view.crop_share(one.box, one.crop) > MAJORITY:
            yield Draft({"box": one.box}, (one.crop,), field_truth(one), {"parcels": [one.id]})


@builder
def land_use_at_point(
    view: ChipAnnotations, rng: random.Random, templates: PromptTemplates
) -> Iterator[Draft]:
    """The label of a point."""
    for spot in view.spots:
        if spot.kind == "land_use":
            label = str(spot.value)
            yield Draft({"point": spot.point}, (label,), {"label": label}, {"rule": "label of the point"})

"""The growth stage of a crop at a date."""

from __future__ import annotations

import random
from collections.abc import Iterator

from agrilape.dataset.prompt_templates import PromptTemplates
from agrilape.geo.shapes import Part
from agrilape.prepare.annotations import ChipAnnotations
from agrilape.prepare.tasks.builder import Draft, builder


@builder
def growth_stage(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """A field rating on the BBCH scale."""
    for spot in view.spots:
        if spot.kind == "bbch" and spot.when and isinstance(spot.value, int | float):
            stage = round(spot.value)
            values: dict[str, Part] = {"point": spot.point, "instant": spot.when}
            yield Draft(values, (str(stage),), {"bbch": stage}, {"rule": "field rating"})

"""The growth stage of a crop at a date."""

from __future__ import annotations

import random
from collections.abc import Iterator

from agrilape.geo.shapes import Part
from agrilape.samples.phrasings import Phrasings
from agrilape.samples.tasks.base import Draft, builder
from agrilape.samples.view import View


@builder
def growth_stage(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """A field rating on the BBCH scale."""
    for spot in view.spots:
        if spot.kind == "bbch" and spot.when and isinstance(spot.value, int | float):
            stage = round(spot.value)
            values: dict[str, Part] = {"point": spot.point, "instant": spot.when}
            yield Draft(values, (str(stage),), {"bbch": stage}, {"rule": "field rating"})

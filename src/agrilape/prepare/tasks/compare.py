"""Which of two fields is larger, and which is greener."""

from __future__ import annotations

import random
from collections.abc import Iterator

from agrilape.dataset.prompt_templates import PromptTemplates
from agrilape.geo.shapes import Instant, Part
from agrilape.prepare.annotations import ChipAnnotations, VisibleField
from agrilape.prepare.tasks.builder import Draft, builder
from agrilape.prepare.tasks.shared import ids, pairs, random_point

LARGER = 1.3  # least ratio of two areas: below it nobody could tell
GREENER = 0.12  # least difference of two mean NDVI


@builder
def larger_field(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The first or the second, by visible area."""
    for one, other in pairs(view.clear_fields, rng):
        areas = one.outline.area, other.outline.area
        if max(areas) >= LARGER * min(areas):
            rule = f"visible area, at least {LARGER} times the other's"
            yield _compared(one, other, areas, templates, rng, rule)


@builder
def greener_field(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The first or the second, by mean NDVI; of a series on one of its dates."""
    for one, other in pairs(view.clear_fields, rng):
        shown = [
            (number, a, b)
            for number, (a, b) in enumerate(zip(one.ndvi, other.ndvi, strict=True))
            if a is not None and b is not None and abs(a - b) >= GREENER
        ]
        if not shown:
            continue
        number, a, b = rng.choice(shown)
        when = view.chip.instant(number)
        rule = f"mean NDVI, at least {GREENER} above the other's"
        yield _compared(one, other, (a, b), templates, rng, rule, when)


def _compared(
    one: VisibleField,
    other: VisibleField,
    values: tuple[float, float],
    templates: PromptTemplates,
    rng: random.Random,
    rule: str,
    when: Instant | None = None,
) -> Draft:
    places: dict[str, Part] = {
        "point": random_point(one.interior, rng),
        "other": random_point(other.interior, rng),
    }
    return Draft(
        places if when is None else places | {"instant": when},
        (templates.first if values[0] > values[1] else templates.second,),
        {"values": [round(value, 4) for value in values]},
        {"rule": rule, "parcels": ids([one, other])},
        form="" if when is None else "dated",
    )

"""How a field lies in the image: edges that cut it, and the direction of its rows."""

from __future__ import annotations

import random
from collections.abc import Iterator

import shapely

from agrilape.dataset.prompt_templates import PromptTemplates
from agrilape.prepare.annotations import ChipAnnotations, VisibleField
from agrilape.prepare.tasks.builder import Draft, builder
from agrilape.prepare.tasks.shared import field_truth, random_point

CONTACT = 0.03  # of the image's side: shorter contact with an edge is easily overlooked
CLEARANCE = 0.02  # a field nearer to an edge than this, without touching it, leaves doubt
BORDERS = tuple(
    shapely.LineString(line)
    for line in (((0, 0), (0, 1)), ((0, 0), (1, 0)), ((1, 0), (1, 1)), ((0, 1), (1, 1)))
)
"""Left, top, right and bottom edge."""
ROWS_SURE = 15.0  # degrees from one of the four directions within which rows have it


@builder
def image_edges(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """Left, top, right and bottom, in this order; `none` for a field that lies inside."""
    for one in view.clear_fields:
        touched = _touched(one)
        if touched is None:
            continue
        names = [name for name, cut in zip(templates.edges, touched, strict=True) if cut]
        yield Draft(
            {"point": random_point(one.interior, rng)},
            (templates.edges_text(names),),
            field_truth(one) | {"edges": names},
            {"rule": f"contact with at least {CONTACT:.0%} of an edge", "parcels": [one.id]},
        )


@builder
def row_direction(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """Across, up and down or along a diagonal of the image, by the recorded azimuth; not of small fields."""
    for one in view.clear_fields:
        if one.rows is None or one.size == "small":
            continue
        number = round(one.rows / 45)
        if abs(one.rows - 45 * number) <= ROWS_SURE:
            yield Draft(
                {"point": random_point(one.interior, rng)},
                (templates.rows[number % 4],),
                field_truth(one) | {"rows": 45 * (number % 4)},
                {"rule": "recorded azimuth of the rows", "parcels": [one.id]},
            )


def _touched(one: VisibleField) -> list[bool] | None:
    """Which edges cut a field; None where it touches one a little, or nearly."""
    touched = []
    for border in BORDERS:
        contact = float(one.outline.boundary.intersection(border.buffer(1e-6)).length)
        near = float(one.outline.distance(border)) < CLEARANCE
        if near and contact < CONTACT:
            return None
        touched.append(contact >= CONTACT)
    return touched

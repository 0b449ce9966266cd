"""Descriptions with position tokens: of a region, and of the whole image."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import shapely

from agrilape.dataset.prompt_templates import PromptTemplates, named_boxes
from agrilape.geo.shapes import Box, Part
from agrilape.prepare.annotations import ChipAnnotations, VisibleField
from agrilape.prepare.tasks.builder import Draft, builder
from agrilape.prepare.tasks.shared import MAX_BOXES, ids

REGIONS = 4  # asked about, in a chip
SIDES = (0.4, 0.7)  # of a region, as shares of the image
LISTED = 0.05  # share of a region from which a field is named in it ...
UNSEEN = 0.02  # ... and below which it is not; a region with anything in between leaves doubt


@builder
def scene_description(
    view: ChipAnnotations, rng: random.Random, templates: PromptTemplates
) -> Iterator[Draft]:
    """`maize [box]; winter wheat [box]`, by left edge; only where every field is labelled and clear."""
    fields = view.clear_fields
    if view.complete and len(fields) == len(view.fields) and 2 <= len(fields) <= MAX_BOXES:
        yield _described({}, [(one, one.box) for one in fields], templates)


@builder
def region_description(
    view: ChipAnnotations, rng: random.Random, templates: PromptTemplates
) -> Iterator[Draft]:
    """What lies in a random box: the parts of fields in it, cut at its edges."""
    if not view.complete:
        return
    for _ in range(REGIONS):
        width, height = rng.uniform(*SIDES), rng.uniform(*SIDES)
        left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
        region = Box(left, top, left + width, top + height)
        parts = _parts(view.fields, region)
        if parts and 1 <= len(parts) <= MAX_BOXES:
            yield _described({"box": region}, parts, templates)


def _parts(fields: Sequence[VisibleField], region: Box) -> list[tuple[VisibleField, Box]] | None:
    """Fields in a region with the box of their part in it; None where one is doubtful."""
    area = shapely.box(*region)
    found = []
    for one in fields:
        part = one.outline.intersection(area)
        share = part.area / region.area
        if share >= LISTED and one.clear:
            found.append((one, Box(*part.bounds)))
        elif share >= UNSEEN:
            return None
    return sorted(found, key=lambda pair: pair[1])


def _described(
    values: dict[str, Part], parts: Sequence[tuple[VisibleField, Box]], templates: PromptTemplates
) -> Draft:
    labels = [one.crop or templates.field for one, _ in parts]
    return Draft(
        values,
        named_boxes(labels, [box for _, box in parts]),
        {"labels": labels, "count": len(parts)},
        {"rule": "labels of the fields", "parcels": ids([one for one, _ in parts])},
    )

"""How many, and how large."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from agrilape.dataset.prompt_templates import PromptTemplates
from agrilape.geo.shapes import Part
from agrilape.prepare.annotations import ChipAnnotations, VisibleField
from agrilape.prepare.tasks.builder import Draft, builder
from agrilape.prepare.tasks.shared import field_truth, ids, random_point, surely_absent, unambiguous

LEAST_HA = 0.01


@builder
def count(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The number of fields; zero is asked for crops that grow elsewhere in the scene."""
    if not view.complete:
        return
    for crop, fields in unambiguous(view):
        yield _count(fields, crop)
    if absent := surely_absent(view, view.scene_crops):
        yield _count([], rng.choice(absent))
    if view.fields and all(one.clear for one in view.fields):
        yield _count(view.clear_fields, None)


def _count(fields: Sequence[VisibleField], crop: str | None) -> Draft:
    truth = {"crop": crop, "count": len(fields)}
    provenance = {"parcels": ids(fields)}
    values: dict[str, Part] = {} if crop is None else {"crop": crop}
    return Draft(values, (str(len(fields)),), truth, provenance, form="fields" if crop is None else "")


@builder
def field_area(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """Area of a field that is wholly visible, on the ellipsoid."""
    for one in view.clear_fields:
        if one.whole and one.area_ha is not None and one.area_ha >= LEAST_HA:
            yield Draft(
                {"point": random_point(one.interior, rng)},
                (hectares(one.area_ha),),
                field_truth(one),
                {"rule": "geodesic area of the parcel", "parcels": [one.id]},
            )


@builder
def crop_area(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """Area of all visible parts of a crop's fields; only where every field is labelled."""
    for crop, fields in unambiguous(view):
        area = view.area_ha(fields)
        if area is not None and area >= LEAST_HA:
            yield Draft(
                {"crop": crop},
                (hectares(area),),
                {"crop": crop, "area_ha": round(area, 4)},
                {"rule": "geodesic area of the visible parts", "parcels": ids(fields)},
            )


def hectares(area: float) -> str:
    """An area as it is said: three significant digits, without an exponent."""
    return f"{area:.0f}" if area >= 100 else f"{area:.3g}"

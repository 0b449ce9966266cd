"""Questions about what is not there; only where every field is labelled with its crop."""

from __future__ import annotations

import random
from collections.abc import Iterator

import shapely

from agrilape.dataset.prompt_templates import PromptTemplates
from agrilape.prepare.annotations import ChipAnnotations
from agrilape.prepare.tasks.builder import Draft, builder
from agrilape.prepare.tasks.shared import POINTS_PER_FIELD, ids, random_points, surely_absent

ELSEWHERE = ("rice", "cotton", "sugar cane", "soybean", "vineyard", "olives", "sunflower", "hops")
"""Crops to ask for where the scene has too few of its own."""
ABSENT = 2  # crops asked for that are not there, in a chip
NEAR_FIELD = 0.02
"""Share of the image within which a point may be taken for one in the field nearby."""
LEAST_GROUND = 0.01
"""Share of the image that must surely hold no field, for points on it to be asked about."""
RULE = "every field is labelled"


@builder
def absent_crop(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The answer says that there is none; asked with the wordings of `crop_boxes`' kind."""
    for crop in absent_crops(view, rng, templates):
        answer = templates.absent.format(crop=crop)
        yield Draft({"crop": crop}, (answer,), {"crop": crop, "absent": True}, {"rule": RULE})


@builder
def crop_present(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """Yes and no about equally often."""
    absent = absent_crops(view, rng, templates)
    present = [crop for crop, fields in view.by_crop.items() if any(one.clear for one in fields)]
    if not view.crops_known:
        return
    for crop in rng.sample(present, min(len(present), max(len(absent), 1))):
        fields = [one for one in view.by_crop[crop] if one.clear]
        yield Draft(
            {"crop": crop},
            (templates.yes,),
            {"crop": crop, "yes": True},
            {"rule": RULE, "parcels": ids(fields)},
        )
    for crop in absent[: len(present)]:
        yield Draft({"crop": crop}, (templates.no,), {"crop": crop, "yes": False}, {"rule": RULE})


@builder
def no_field_at_point(
    view: ChipAnnotations, rng: random.Random, templates: PromptTemplates
) -> Iterator[Draft]:
    """Points on woods, roads, water or villages; asked with the wordings of `field_at_point`."""
    if not view.complete:
        return
    fields = shapely.union_all([one.outline for one in view.fields])
    ground = shapely.difference(shapely.box(0, 0, 1, 1), shapely.buffer(fields, NEAR_FIELD))
    wide = shapely.buffer(shapely.buffer(ground, -NEAR_FIELD), NEAR_FIELD)
    if wide.area >= LEAST_GROUND:
        for point in random_points(wide, rng, POINTS_PER_FIELD):
            yield Draft({"point": point}, (templates.no_field,), {"absent": True}, {"rule": RULE})


@builder
def no_fields(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """A chip without fields; asked with the wordings of `field_boxes`."""
    if view.complete and not (view.fields if not view.partial_fields else view.clear_fields):
        yield Draft({}, (templates.no_field,), {"absent": True}, {"rule": RULE})


def absent_crops(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> list[str]:
    """Some crops that surely do not grow here: of the scene's own first, then of far away."""
    if view.partial_fields and view.complete and not view.fields:  # a tile of a map, and nothing grows on it
        own, far = list(view.scene_crops), []
    else:
        own = surely_absent(view, view.scene_crops)
        far = [crop for crop in surely_absent(view, map(templates.crop, ELSEWHERE)) if crop not in own]
    return (rng.sample(own, len(own)) + rng.sample(far, len(far)))[:ABSENT]

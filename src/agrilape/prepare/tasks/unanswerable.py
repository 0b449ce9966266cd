"""Questions about what is not there; only where every field is labelled with its crop."""

from __future__ import annotations

import random
from collections.abc import Iterator

from agrilape.dataset.prompt_templates import Phrasings
from agrilape.prepare.annotations import ChipAnnotations
from agrilape.prepare.tasks.builder import Draft, builder
from agrilape.prepare.tasks.shared import ids, surely_absent

ELSEWHERE = ("rice", "cotton", "sugar cane", "soybean", "vineyard", "olives", "sunflower", "hops")
"""Crops to ask for where the scene has too few of its own."""
ABSENT = 2  # crops asked for that are not there, in a chip
RULE = "every field is labelled"


@builder
def absent_crop(view: ChipAnnotations, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """The answer says that there is none; asked with the wordings of `crop_boxes`' kind."""
    for crop in absent_crops(view, rng, phrasings):
        answer = phrasings.absent.format(crop=crop)
        yield Draft({"crop": crop}, (answer,), {"crop": crop, "absent": True}, {"rule": RULE})


@builder
def crop_present(view: ChipAnnotations, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """Yes and no about equally often."""
    absent = absent_crops(view, rng, phrasings)
    present = [crop for crop, fields in view.by_crop.items() if any(one.clear for one in fields)]
    if not view.crops_known:
        return
    for crop in rng.sample(present, min(len(present), max(len(absent), 1))):
        fields = [one for one in view.by_crop[crop] if one.clear]
        yield Draft(
            {"crop": crop},
            (phrasings.yes,),
            {"crop": crop, "yes": True},
            {"rule": RULE, "parcels": ids(fields)},
        )
    for crop in absent[: len(present)]:
        yield Draft({"crop": crop}, (phrasings.no,), {"crop": crop, "yes": False}, {"rule": RULE})


def absent_crops(view: ChipAnnotations, rng: random.Random, phrasings: Phrasings) -> list[str]:
    """Some crops that surely do not grow here: of the scene's own first, then of far away."""
    own = surely_absent(view, view.scene_crops)
    far = [crop for crop in surely_absent(view, map(phrasings.crop, ELSEWHERE)) if crop not in own]
    return (rng.sample(own, len(own)) + rng.sample(far, len(far)))[:ABSENT]

"""Plain words, without positions: what stage 1 aligns images and text with."""

from __future__ import annotations

import random
from collections.abc import Iterator

from agrilape.dataset.prompt_templates import PromptTemplates, layout_text
from agrilape.geo.shapes import Box
from agrilape.prepare.annotations import RASTER, ChipAnnotations
from agrilape.prepare.tasks.builder import Draft, builder
from agrilape.prepare.tasks.shared import grid, ids, unambiguous

MAJORITY = 0.5  # share of a cell that a crop must cover to be its answer


@builder
def scene(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """What kind of land the whole image shows."""
    if view.label:
        yield Draft({}, (view.label,), {"label": view.label}, {"rule": "label of the scene"})


@builder
def layout(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The crop that covers most of each cell, `other` for no crop; only where every field is labelled."""
    if not view.complete or not view.by_crop or any(one.of_other_split for one in view.fields):
        return
    cells = [[_commonest(view, cell) or templates.other for cell in row] for row in grid(8)]
    yield Draft({}, (layout_text(cells),), {"grid": cells}, {"rule": "commonest cover of the cell"})


@builder
def crop_at_place(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The crop that covers more than half of one of nine parts."""
    for row, names in zip(grid(3), templates.places, strict=True):
        for cell, name in zip(row, names, strict=True):
            if crop := _dominant(view, cell):
                yield Draft(
                    {"place": name},
                    (crop,),
                    {"crop": crop, "place": name},
                    {"rule": "crop on more than half of the cell"},
                )


@builder
def place_of_crop(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """One of nine parts, for a crop that lies mostly in it; only where every field is labelled."""
    thirds = view.crop_raster.reshape(3, RASTER // 3, 3, RASTER // 3)
    crops = list(view.by_crop)
    for crop, fields in unambiguous(view):
        cells = (thirds == crops.index(crop) + 1).sum(axis=(1, 3))
        row, column = divmod(int(cells.argmax()), 3)
        if cells.max() > 0.6 * cells.sum():
            name = templates.places[row][column]
            yield Draft(
                {"crop": crop},
                (name,),
                {"crop": crop, "place": name},
                {"rule": "part with more than 60 % of the crop", "parcels": ids(fields)},
            )


def _dominant(view: ChipAnnotations, cell: Box) -> str | None:
    """The crop that covers more than half of a cell."""
    crop, share = next(iter(view.crop_shares(cell).items()), ("", 0.0))
    return crop if share > MAJORITY else None


def _commonest(view: ChipAnnotations, cell: Box) -> str | None:
    """The crop that covers more of a cell than any other and than no crop does."""
    shares = view.crop_shares(cell)
    crop, share = next(iter(shares.items()))
    return crop if share > 1 - sum(shares.values()) else None

"""The tasks: small pure functions from what is known of a chip to questions and answers.

A task yields drafts; the wording comes from a table (`samples.phrasings`). Several places in an answer stand
in order of their left edge, then their top edge. A task yields nothing rather than a question that has more
than one right answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import shapely
from shapely import Geometry

from agrilape.errors import RecipeError
from agrilape.geo.shapes import Box, Part, Point
from agrilape.samples.phrasings import Phrasings, fill, layout_text, load_phrasings
from agrilape.samples.types import Sample
from agrilape.samples.view import RASTER, Field, Spot, View

MAX_BOXES = 8  # longest list that is asked for; a longer answer teaches little and costs much
MAJORITY = 0.5  # share of a grid cell or box that a crop must cover to be its answer
POINTS_PER_FIELD = 3  # asked about, in a chip


@dataclass(frozen=True)
class Draft:
    """A question that is not yet worded, and its answer.

    Attributes:
        values: What fills the placeholders of the wording.
        answer: The wanted answer.
        truth: JSON-ready facts for scoring and breakdowns.
        provenance: JSON-ready record of where the answer comes from.
        form: Form of wording after the task's name (`fields` in `count.fields`).
    """

    values: Mapping[str, Part]
    answer: tuple[Part, ...]
    truth: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    form: str = ""


Builder = Callable[[View, random.Random, Phrasings], Iterator[Draft]]


@dataclass(frozen=True)
class Task:
    """One kind of question.

    Attributes:
        name: As in recipes, samples and metrics.
        description: One line for people.
        build: Yields the drafts that a chip allows.
        positions: Does it use position tokens? Stage 1 knows none.
        dated: Does it ask about time, and so need a series?
    """

    name: str
    description: str
    build: Builder
    positions: bool = True
    dated: bool = False


TASKS: dict[str, Task] = {}


def _task(description: str, *, positions: bool = True, dated: bool = False) -> Callable[[Builder], Builder]:
    def register(build: Builder) -> Builder:
        TASKS[build.__name__] = Task(build.__name__, description, build, positions, dated)
        return build

    return register


def find_task(name: str) -> Task:
    """The task of a name.

    Raises:
        RecipeError: There is none.
    """
    if name not in TASKS:
        raise RecipeError(f"there is no task {name!r}", f"use some of: {', '.join(TASKS)}")
    return TASKS[name]


def ask(
    view: View, tasks: Sequence[str], limit: int, rng: random.Random, language: str = "en"
) -> tuple[Sample, ...]:
    """Questions about a chip, the tasks taking turns until the limit is reached.

    Args:
        view: The chip and what is known of it.
        tasks: Names of the tasks.
        limit: Most questions.
        rng: Chooses among fields, points in them and wordings.
        language: Language of the wording.
    """
    phrasings = load_phrasings(language)
    queues: dict[str, list[Draft]] = {}
    for name in tasks:
        queues[name] = list(find_task(name).build(view, rng, phrasings))
        rng.shuffle(queues[name])
    picked: list[tuple[str, int]] = []
    deepest = max((len(queue) for queue in queues.values()), default=0)
    for turn in range(deepest):
        picked += [(name, turn) for name, queue in queues.items() if turn < len(queue)]
    return tuple(
        _worded(view, name, number, queues[name][number], rng, phrasings) for name, number in picked[:limit]
    )


def _worded(
    view: View, task: str, number: int, draft: Draft, rng: random.Random, phrasings: Phrasings
) -> Sample:
    form = f"{task}.{draft.form}" if draft.form else task
    return Sample(
        id=f"{view.chip.id}/{task}/{number}",
        chip=view.chip.id,
        task=task,
        question=fill(rng.choice(phrasings.questions[form]), draft.values),
        answer=draft.answer,
        truth=draft.truth,
        provenance=draft.provenance,
    )


# --- alignment: plain words, no positions ---------------------------------------------------------


@_task("name the scene", positions=False)
def scene(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """What kind of land the whole image shows."""
    if view.label:
        yield Draft({}, (view.label,), {"label": view.label}, {"rule": "label of the scene"})


@_task("what grows in each cell of an 8 x 8 grid, in words", positions=False)
def layout(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """The crop that covers most of each cell, `other` for no crop; only where every field is labelled."""
    if not view.complete or not view.by_crop:
        return
    grid = [[_commonest(view, cell) or phrasings.other for cell in row] for row in _grid(8)]
    yield Draft({}, (layout_text(grid),), {"grid": grid}, {"rule": "commonest cover of the cell"})


@_task("what grows in a named part of the image", positions=False)
def crop_at_place(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """The crop that covers more than half of one of nine parts."""
    for row, names in zip(_grid(3), phrasings.places, strict=True):
        for cell, name in zip(row, names, strict=True):
            if crop := _dominant(view, cell):
                yield Draft(
                    {"place": name},
                    (crop,),
                    {"crop": crop, "place": name},
                    {"rule": "crop on more than half of the cell"},
                )


@_task("in which part of the image a crop is", positions=False)
def place_of_crop(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """One of nine parts, for a crop that lies mostly in it; only where every field is labelled."""
    if not view.complete:
        return
    thirds = view.crop_raster.reshape(3, RASTER // 3, 3, RASTER // 3)
    for number, (crop, fields) in enumerate(view.by_crop.items(), start=1):
        cells = (thirds == number).sum(axis=(1, 3))
        row, column = divmod(int(cells.argmax()), 3)
        if cells.max() > 0.6 * cells.sum() and any(one.clear for one in fields):
            name = phrasings.places[row][column]
            yield Draft(
                {"crop": crop},
                (name,),
                {"crop": crop, "place": name},
                {"rule": "part with more than 60 % of the crop", "parcels": _ids(fields)},
            )


# --- grounding ------------------------------------------------------------------------------------


@_task("where the one field of a crop is")
def crop_box(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """The box of a crop that has exactly one field here."""
    for crop, fields in _unambiguous(view):
        if len(fields) == 1:
            yield Draft({"crop": crop}, (fields[0].box,), _facts(fields[0]), {"parcels": _ids(fields)})


@_task("where the fields of a crop are")
def crop_boxes(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """The boxes of a crop that has several fields here."""
    for crop, fields in _unambiguous(view):
        if 2 <= len(fields) <= MAX_BOXES:
            truth = {"crop": crop, "count": len(fields), "sizes": [one.size for one in fields]}
            yield Draft({"crop": crop}, tuple(one.box for one in fields), truth, {"parcels": _ids(fields)})


@_task("where all fields are")
def field_boxes(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """The boxes of all fields."""
    fields = view.clear_fields
    if view.complete and len(fields) == len(view.fields) and 1 <= len(fields) <= MAX_BOXES:
        truth = {"count": len(fields), "sizes": [one.size for one in fields]}
        yield Draft({}, tuple(one.box for one in fields), truth, {"parcels": _ids(fields)})


@_task("which field is at a point")
def field_at_point(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """The box of the field that a random point lies in."""
    for one in view.clear_fields:
        for point in _points(one, rng):
            yield Draft({"point": point}, (one.box,), _facts(one), {"parcels": [one.id]})


@_task("what grows at a point")
def crop_at_point(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """The crop of the field that a random point lies in."""
    for one in view.clear_fields:
        if one.crop:
            for point in _points(one, rng):
                yield Draft({"point": point}, (one.crop,), _facts(one), {"parcels": [one.id]})


def _points(one: Field, rng: random.Random) -> list[Point]:
    """Random points in a field: the same answer from several places is what teaches its extent."""
    return [random_point(one.interior, rng) for _ in range(POINTS_PER_FIELD)]


@_task("what grows in a box")
def crop_in_box(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """The crop of a field whose box it mostly fills."""
    for one in view.clear_fields:
        if one.crop and view.crop_shares(one.box).get(one.crop, 0) > MAJORITY:
            yield Draft({"box": one.box}, (one.crop,), _facts(one), {"parcels": [one.id]})


@_task("how many fields there are, of a crop or in all")
def count(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """The number of fields; zero is asked for crops that grow elsewhere in the scene."""
    if not view.complete:
        return
    for crop, fields in _unambiguous(view):
        yield _count(fields, crop)
    absent = [crop for crop in view.scene_crops if crop not in view.by_crop]
    if absent and view.by_crop:
        yield _count([], rng.choice(absent))
    if view.fields and all(one.clear for one in view.fields):
        yield _count(view.clear_fields, None)


def _count(fields: Sequence[Field], crop: str | None) -> Draft:
    truth = {"crop": crop, "count": len(fields)}
    provenance = {"parcels": _ids(fields)}
    values: dict[str, Part] = {} if crop is None else {"crop": crop}
    return Draft(values, (str(len(fields)),), truth, provenance, form="fields" if crop is None else "")


# --- time -----------------------------------------------------------------------------------------


@_task("when a field is greenest", dated=True)
def greenest(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """The moment of the season's peak."""
    for values, form, one in _pointed_at(view, rng):
        if one.greenest:
            truth = _facts(one) if isinstance(one, Field) else {"label": one.value}
            yield Draft(
                values, (one.greenest.when,), truth, {"rule": one.greenest.rule, **_origin(one)}, form
            )


@_task("between which dates a field is green", dated=True)
def green_span(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """The green part of the season, or the time a crop stands on the field where its dates were recorded."""
    for values, form, one in _pointed_at(view, rng):
        if one.green:
            form = "crop" if one.green.recorded else form
            truth = _facts(one) if isinstance(one, Field) else {"label": one.value}
            yield Draft(values, (one.green.when,), truth, {"rule": one.green.rule, **_origin(one)}, form)


@_task("the growth stage of a crop at a point and a date", dated=True)
def growth_stage(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """A field rating on the BBCH scale."""
    for spot in view.spots:
        if spot.kind == "bbch" and spot.when and isinstance(spot.value, int | float):
            stage = round(spot.value)
            values: dict[str, Part] = {"point": spot.point, "instant": spot.when}
            yield Draft(values, (str(stage),), {"bbch": stage}, {"rule": "field rating"})


@_task("which crops were grown at a point in a season", dated=True)
def crops_in_span(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """The labelled crop sequence of one season."""
    for spot in view.spots:
        if spot.kind == "rotation" and spot.when:
            values: dict[str, Part] = {"point": spot.point, "span": spot.when}
            yield Draft(values, (str(spot.value),), {"label": spot.value}, {"rule": "label of the season"})


@_task("the land use at a point")
def land_use_at_point(view: View, rng: random.Random, phrasings: Phrasings) -> Iterator[Draft]:
    """The label of a point."""
    for spot in view.spots:
        if spot.kind == "land_use":
            yield Draft(
                {"point": spot.point},
                (str(spot.value),),
                {"label": spot.value},
                {"rule": "label of the point"},
            )


# --- shared ---------------------------------------------------------------------------------------


def random_point(area: Geometry, rng: random.Random, attempts: int = 50) -> Point:
    """A random point in an area, by trial; after too many trials, one point that surely lies inside."""
    left, top, right, bottom = area.bounds
    shapely.prepare(area)
    for _ in range(attempts):
        x, y = rng.uniform(left, right), rng.uniform(top, bottom)
        if shapely.contains_xy(area, x, y):
            return Point(x, y)
    inside = area.representative_point()
    return Point(inside.x, inside.y)


def _unambiguous(view: View) -> Iterator[tuple[str, list[Field]]]:
    """Crops of which every field is clearly visible and, as far as the labels go, listed."""
    if view.complete:
        for crop, fields in view.by_crop.items():
            if all(one.clear for one in fields):
                yield crop, fields


def _grid(cells: int) -> list[list[Box]]:
    return [
        [Box(column / cells, row / cells, (column + 1) / cells, (row + 1) / cells) for column in range(cells)]
        for row in range(cells)
    ]


def _dominant(view: View, cell: Box) -> str | None:
    """The crop that covers more than half of a cell."""
    crop, share = next(iter(view.crop_shares(cell).items()), ("", 0.0))
    return crop if share > MAJORITY else None


def _commonest(view: View, cell: Box) -> str | None:
    """The crop that covers more of a cell than any other and than no crop does."""
    shares = view.crop_shares(cell)
    crop, share = next(iter(shares.items()))
    return crop if share > 1 - sum(shares.values()) else None


def _pointed_at(view: View, rng: random.Random) -> Iterator[tuple[dict[str, Part], str, Field | Spot]]:
    """Fields and labelled points, each with the point that asks for it and the form of wording."""
    for one in view.clear_fields:
        yield {"point": random_point(one.interior, rng)}, "", one
    for spot in view.spots:
        if spot.kind == "land_use":
            yield {"point": spot.point}, "point", spot


def _facts(one: Field) -> dict[str, Any]:
    return {"crop": one.crop, "size": one.size, "area_ha": one.area_ha}


def _origin(one: Field | Spot) -> dict[str, Any]:
    return {"parcels": [one.id]} if isinstance(one, Field) else {}


def _ids(fields: Sequence[Field]) -> list[str]:
    return [one.id for one in fields]

"""The tasks by name: what each asks, and what its answer consists of.

How questions are built is known to `prepare.tasks` alone; whoever trains, scores or reports needs no more
than this table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agrilape.errors import RecipeError, did_you_mean

AnswerKind: TypeAlias = Literal[
    "box", "boxes", "outline", "name", "grid", "number", "hectares", "percent", "stage", "date", "interval",
    "box_and_interval", "named_boxes", "refusal",
]  # fmt: skip
"""What an answer consists of; decides the metrics (`evaluate.scores`)."""


@dataclass(frozen=True)
class Task:
    """One kind of question.

    Attributes:
        name: As in recipes, samples and metrics.
        subject: What it is about: the module of `prepare.tasks` that builds its questions.
        description: One line for people.
        answer: What an answer consists of.
        positions: Does it use position tokens? Stage 1 knows none.
        dated: Does it ask about time, and so need a series?
        exhaustive: Is it a count, a list or about what is not there, for which every field must be labelled?
    """

    name: str
    subject: str
    description: str
    answer: AnswerKind
    positions: bool = True
    dated: bool = False
    exhaustive: bool = False


_TABLE: dict[str, dict[str, tuple[AnswerKind, str]]] = {
    "compare": {
        "larger_field": ("name", "which of two fields is larger"),
        "greener_field": ("name", "which of two fields is greener"),
    },
    "crops": {
        "crop_at_point": ("name", "what grows at a point"),
        "crop_in_box": ("name", "what grows in a box"),
        "land_use_at_point": ("name", "the land use at a point"),
    },
    "description": {
        "scene_description": ("named_boxes", "every field of the image with its crop and box"),
        "region_description": ("named_boxes", "every field in a region with its crop and box"),
    },
    "growth": {
        "growth_stage": ("stage", "the growth stage of a crop at a point and a date"),
    },
    "measure": {
        "count": ("number", "how many fields there are, of a crop or in all"),
        "field_area": ("hectares", "how many hectares the field at a point has"),
        "crop_area": ("hectares", "how many hectares of a crop the image shows"),
    },
    "neighbours": {
        "neighbours": ("boxes", "which fields border the field at a point"),
        "direction": ("name", "the compass direction from one field to another"),
        "relative_position": ("name", "towards which side of the image one field lies from another"),
        "neighbour_crop": ("name", "what grows on the neighbour in a direction"),
    },
    "orientation": {
        "image_edges": ("name", "which edges of the image cut the field at a point"),
        "row_direction": ("name", "in which direction the crop rows of a field run"),
    },
    "outline": {
        "field_outline": ("outline", "the outline of the field at a point"),
    },
    "place": {
        "crop_box": ("box", "where the one field of a crop is"),
        "crop_boxes": ("boxes", "where the fields of a crop are"),
        "field_boxes": ("boxes", "where all fields are"),
        "field_at_point": ("box", "which field is at a point"),
    },
    "rotation": {
        "crops_in_season": ("name", "which crops were grown at a point in a season"),
        "crop_rotation": ("name", "which crops were grown at a point in two years"),
        "same_crop": ("name", "whether a point grew the same in two years"),
    },
    "season": {
        "peak_of_season": ("date", "when the season of a field peaks (greenest)"),
        "green_up": ("date", "when a field greens up (start of season)"),
        "harvest": ("date", "when a field is harvested"),
        "growing_season": ("interval", "from when to when a field is green"),
        "green_cycles": ("number", "number of green cycles, such as crops, in a year"),
        "double_cropping": ("name", "whether two crops follow each other in one season"),
    },
    "space_time": {
        "field_and_season": ("box_and_interval", "which field is at a point and when it is green"),
        "crop_and_season": ("box_and_interval", "where the one field of a crop is and when it is green"),
    },
    "stress": {
        "stress_zones": ("boxes", "where all stressed parts of fields are"),
        "stress_outline": ("outline", "the outline of the stressed part of a field"),
        "stress_share": ("percent", "which share of a field is stressed, in percent"),
        "stress_cause": ("name", "what stresses the crop at a point"),
    },
    "unanswerable": {
        "absent_crop": ("refusal", "where a crop is that is not there"),
        "crop_present": ("name", "whether a crop is there"),
        "no_field_at_point": ("refusal", "which field is at a point where there is none"),
        "no_fields": ("refusal", "where the fields are, of ground without any"),
    },
    "words": {
        "scene": ("name", "name the scene"),
        "layout": ("grid", "what grows in each cell of an 8 x 8 grid, in words"),
        "crop_at_place": ("name", "what grows in a named part of the image"),
        "place_of_crop": ("name", "in which part of the image a crop is"),
    },
}
"""Subject -> name -> kind of answer and description."""

_DATED = ("growth", "rotation", "season", "space_time")
_IN_WORDS = ("words",)
_EXHAUSTIVE = {
    "absent_crop", "count", "crop_area", "crop_boxes", "crop_present", "field_boxes", "layout", "neighbours",
    "no_field_at_point", "no_fields",
    "region_description", "scene_description", "stress_zones",
}  # fmt: skip

TASKS: dict[str, Task] = {
    name: Task(
        name, subject, description, answer, subject not in _IN_WORDS, subject in _DATED, name in _EXHAUSTIVE
    )
    for subject, tasks in _TABLE.items()
    for name, (answer, description) in tasks.items()
}
"""Every task by name."""

MAP_TASKS: dict[str, str] = {
    "map_fields": "all fields of a whole scene, against all its parcels",
    "map_crop": "the fields of a crop in a whole scene",
    "map_absent_crop": "the fields of a crop that the whole scene has none of",
}
"""What is asked of whole scenes (`agrilape evaluate --maps`), with what is asked, for people."""


def find_task(name: str) -> Task:
    """The task of a name.

    Raises:
        RecipeError: There is none.
    """
    if name not in TASKS:
        raise RecipeError(f"there is no task {name!r}", _nearest(name, TASKS))
    return TASKS[name]


def refuse_unknown_tasks(where: str, names: Iterable[str], known: Iterable[str] = ()) -> None:
    """Refuse a name that is no task, before it is passed over in silence beside right ones.

    Args:
        where: What names them.
        names: Names of tasks.
        known: Further names that are right: those that the data themselves give to their questions.

    Raises:
        RecipeError: There is no such task.
    """
    right = {*TASKS, *known}
    for name in names:
        if name not in right:
            raise RecipeError(f"{where} names the unknown task '{name}'", _nearest(name, right))


def _nearest(name: str, known: Collection[str]) -> str:
    return did_you_mean(name, known, f"use some of: {', '.join(known)}")

"""What a task is: a small pure function from what is known of a chip to drafts of questions and answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from agrilape.errors import RecipeError, did_you_mean
from agrilape.geo.shapes import Part
from agrilape.samples.phrasings import Phrasings
from agrilape.samples.view import View

AnswerKind: TypeAlias = Literal[
    "box", "boxes", "outline", "name", "grid", "number", "hectares", "percent", "stage", "instant", "span",
    "box_and_span", "named_boxes", "refusal",
]  # fmt: skip
"""What an answer consists of; decides the metrics (`evaluate.scores`)."""


@dataclass(frozen=True)
class Draft:
    """A question that is not yet worded, and its answer.

    Attributes:
        values: What fills the placeholders of the wording.
        answer: The wanted answer.
        truth: JSON-ready facts for scoring, breakdowns and turning.
        provenance: JSON-ready record of where the answer comes from.
        form: Form of wording after the task's name (`fields` in `count.fields`).
    """

    values: Mapping[str, Part]
    answer: tuple[Part, ...]
    truth: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    form: str = ""


Builder: TypeAlias = Callable[[View, random.Random, Phrasings], Iterator[Draft]]


@dataclass(frozen=True)
class Task:
    """One kind of question.

    Attributes:
        name: As in recipes, samples and metrics.
        subject: What it is about: the module that it stands in.
        description: One line for people.
        answer: What an answer consists of.
        build: Yields the drafts that a chip allows.
        positions: Does it use position tokens? Stage 1 knows none.
        dated: Does it ask about time, and so need a series?
    """

    name: str
    subject: str
    description: str
    answer: AnswerKind
    build: Builder
    positions: bool = True
    dated: bool = False


TASKS: dict[str, Task] = {}
"""Every task by name; filled when `samples.tasks` is imported."""


def task(
    description: str, answer: AnswerKind, *, positions: bool = True, dated: bool = False
) -> Callable[[Builder], Builder]:
    """Register a builder as the task of its name."""

    def register(build: Builder) -> Builder:
        name, subject = build.__name__, build.__module__.rpartition(".")[2]
        TASKS[name] = Task(name, subject, description, answer, build, positions, dated)
        return build

    return register


def find_task(name: str) -> Task:
    """The task of a name.

    Raises:
        RecipeError: There is none.
    """
    if name not in TASKS:
        raise RecipeError(f"there is no task {name!r}", _nearest(name, TASKS))
    return TASKS[name]


def refuse_strangers(where: str, names: Iterable[str], held: Iterable[str] = ()) -> None:
    """Refuse a name that is no task, before it is passed over in silence beside right ones.

    Args:
        where: What names them.
        names: Names of tasks.
        held: Further names that are right: those that the data themselves give to their questions.

    Raises:
        RecipeError: There is no such task.
    """
    known = {*TASKS, *held}
    for name in names:
        if name not in known:
            raise RecipeError(f"{where} names the unknown task '{name}'", _nearest(name, known))


def _nearest(name: str, known: Collection[str]) -> str:
    return did_you_mean(name, known, f"use some of: {', '.join(known)}")

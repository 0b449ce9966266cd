"""How questions are built: by pure functions from what is known of a chip to drafts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agrilape.dataset.prompt_templates import PromptTemplates
from agrilape.dataset.tasks import TASKS
from agrilape.geo.shapes import Part
from agrilape.prepare.annotations import ChipAnnotations


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


Builder: TypeAlias = Callable[[ChipAnnotations, random.Random, PromptTemplates], Iterator[Draft]]
"""Yields the drafts that a chip allows."""

BUILDERS: dict[str, Builder] = {}
"""The builder of each task by its name; filled when `prepare.tasks` is imported."""


def builder(build: Builder) -> Builder:
    """Register a function as the builder of the task of its name."""
    name, subject = build.__name__, build.__module__.rpartition(".")[2]
    assert TASKS[name].subject == subject, f"{name} stands in {subject}"
    BUILDERS[name] = build
    return build

"""From drafts to worded questions about one chip."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

from agrilape.config.recipe import Fact
from agrilape.samples.metadata import told
from agrilape.samples.phrasings import Phrasings, fill, load_phrasings
from agrilape.samples.tasks.base import Draft, find_task
from agrilape.samples.types import Sample
from agrilape.samples.view import View

T = TypeVar("T")


def ask(
    view: View,
    tasks: Sequence[str],
    limit: int,
    rng: random.Random,
    language: str = "en",
    metadata: Sequence[Fact] = (),
) -> tuple[Sample, ...]:
    """Questions about a chip, the tasks taking turns until the limit is reached, crops and sizes too.

    Args:
        view: The chip and what is known of it.
        tasks: Names of the tasks.
        limit: Most questions.
        rng: Chooses among fields, points in them and wordings.
        language: Language of the wording.
        metadata: Facts of the chip that every question begins with.
    """
    phrasings = load_phrasings(language)
    known = view.renamed(phrasings.crop)
    queues = {name: balanced(list(find_task(name).build(known, rng, phrasings)), rng) for name in tasks}
    preamble = told(view.chip, metadata, phrasings)
    return tuple(
        _worded(view, name, number, draft, preamble, rng, phrasings)
        for name, number, draft in _in_turn(queues)[:limit]
    )


def balanced(drafts: Sequence[Draft], rng: random.Random) -> list[Draft]:
    """Drafts in random order, but crops and sizes take turns: a limit must not leave the rare ones out."""
    classes: dict[object, list[Draft]] = defaultdict(list)
    for draft in rng.sample(drafts, len(drafts)):
        classes[draft.truth.get("crop"), draft.truth.get("size")].append(draft)
    queues = list(classes.values())
    rng.shuffle(queues)
    return [draft for _, draft in _turns(queues)]


def _in_turn(queues: dict[str, list[Draft]]) -> list[tuple[str, int, Draft]]:
    """Name of the task, number and draft, the tasks taking turns."""
    numbered = [
        [(name, number, draft) for number, draft in enumerate(queue)] for name, queue in queues.items()
    ]
    return [item for _, item in _turns(numbered)]


def _turns(queues: Sequence[Sequence[T]]) -> list[tuple[int, T]]:
    """Round and item, one of each queue in every round."""
    deepest = max(map(len, queues), default=0)
    return [(turn, queue[turn]) for turn in range(deepest) for queue in queues if turn < len(queue)]


def _worded(
    view: View, task: str, number: int, draft: Draft, preamble: str, rng: random.Random, phrasings: Phrasings
) -> Sample:
    form = f"{task}.{draft.form}" if draft.form else task
    template = preamble.replace("{", "{{").replace("}", "}}") + rng.choice(phrasings.questions[form])
    return Sample(
        id=f"{view.chip.id}/{task}/{number}",
        chip=view.chip.id,
        task=task,
        question=fill(template, draft.values),
        answer=draft.answer,
        truth=draft.truth,
        provenance=draft.provenance,
    )

"""From drafts to worded questions about one chip."""

from __future__ import annotations

import random
from collections.abc import Sequence

from agrilape.config.former_names import first_task
from agrilape.config.recipe import Fact
from agrilape.dataset.metadata import told
from agrilape.dataset.prompt_templates import Phrasings, fill, joined, load_phrasings
from agrilape.dataset.round_robin import by_turns, shuffled_by_turns
from agrilape.dataset.tasks import find_task
from agrilape.dataset.types import Sample
from agrilape.prepare.annotations import ChipAnnotations
from agrilape.prepare.tasks.builder import BUILDERS, Draft


def ask(
    view: ChipAnnotations,
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
    preamble = told(view.chip, metadata, phrasings)
    queues = []
    for name in tasks:
        drafts = list(BUILDERS[find_task(name).name](known, rng, phrasings))
        ordered = shuffled_by_turns(drafts, _kind, rng)
        queues.append([(name, number, draft) for number, draft in enumerate(ordered)])
    return tuple(
        _worded(view, name, number, draft, preamble, rng, phrasings)
        for name, number, draft in by_turns(queues)[:limit]
    )


def _kind(draft: Draft) -> tuple[object, ...]:
    """What a limit must not crowd out: rare crops, small fields, rare labels, the rarer of yes and no."""
    return tuple(draft.truth.get(fact) for fact in ("crop", "size", "label", "yes"))


def _worded(
    view: ChipAnnotations,
    task: str,
    number: int,
    draft: Draft,
    preamble: str,
    rng: random.Random,
    phrasings: Phrasings,
) -> Sample:
    form = f"{task}.{draft.form}" if draft.form else task
    return Sample(
        id=f"{view.chip.id}/{first_task(task)}/{number}",
        chip=view.chip.id,
        task=task,
        question=joined((preamble, *fill(rng.choice(phrasings.questions[form]), draft.values))),
        answer=draft.answer,
        truth=draft.truth,
        provenance=draft.provenance,
    )

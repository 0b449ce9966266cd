"""From drafts to worded questions about one chip."""

from __future__ import annotations

import random
from collections.abc import Sequence

from agrilape.config.former_names import first_task
from agrilape.config.recipe import Fact
from agrilape.dataset.metadata import metadata_sentence
from agrilape.dataset.prompt_templates import PromptTemplates, fill, joined, load_prompt_templates
from agrilape.dataset.round_robin import interleave, shuffle_interleaved
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
    templates = load_prompt_templates(language)
    known = view.renamed(templates.crop)
    preamble = metadata_sentence(view.chip, metadata, templates)
    queues = []
    for name in tasks:
        drafts = list(BUILDERS[find_task(name).name](known, rng, templates))
        ordered = shuffle_interleaved(drafts, _kind, rng)
        queues.append([(name, number, draft) for number, draft in enumerate(ordered)])
    return tuple(
        _worded(view, name, number, draft, preamble, rng, templates)
        for name, number, draft in interleave(queues)[:limit]
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
    templates: PromptTemplates,
) -> Sample:
    form = f"{task}.{draft.form}" if draft.form else task
    return Sample(
        id=f"{view.chip.id}/{first_task(task)}/{number}",
        chip=view.chip.id,
        task=task,
        question=joined((preamble, *fill(rng.choice(templates.questions[form]), draft.values))),
        answer=draft.answer,
        truth=draft.truth,
        provenance=draft.provenance,
    )

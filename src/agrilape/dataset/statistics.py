"""What a prepared data set holds: samples by task and split, tokens, crops, sizes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import Field

from agrilape.config.base import Settings
from agrilape.dataset.manifest import Origin, SplitCounts, read_manifest, read_store
from agrilape.dataset.types import Sample

CountTokens = Callable[[Sample], tuple[int, int]]
"""Tokens of a sample's question and of its answer."""


class TaskStats(Settings):
    """Samples of one task."""

    samples: dict[str, int] = Field(description="By split.")
    question_tokens: float | None = Field(None, description="Mean of a question; null: not counted.")
    answer_tokens: float | None = Field(None, description="Mean of an answer.")
    tokens: int | None = Field(None, description="Of all questions and answers together.")


class Stats(Settings):
    """A data set in numbers."""

    name: str
    splits: dict[str, SplitCounts]
    tasks: dict[str, TaskStats]
    crops: dict[str, float] = Field(description="Share of each crop among the samples that are about one.")
    sizes: dict[str, float] = Field(description="Share of each size class of fields, likewise.")
    skipped_scenes: int
    skipped_chips: dict[str, int] = Field(description="Number of chips skipped, by reason.")
    origins: tuple[Origin, ...]


def data_stats(folder: Path, count_tokens: CountTokens | None = None) -> Stats:
    """Count what a prepared data set holds; pictures are not read.

    Args:
        folder: The data set.
        count_tokens: Counts tokens, which depend on the model; None: they are not counted.

    Raises:
        DataError: The folder is not a whole prepared data set.
    """
    manifest = read_manifest(folder)
    samples: dict[str, Counter[str]] = defaultdict(Counter)
    tokens: dict[str, Counter[str]] = defaultdict(Counter)
    kinds: dict[str, Counter[str]] = {"crop": Counter(), "size": Counter()}
    for split in manifest.splits:
        for asked in read_store(folder, split).samples():
            for sample in asked:
                samples[sample.task][split] += 1
                if count_tokens:
                    question, answer = count_tokens(sample)
                    tokens[sample.task].update(question=question, answer=answer)
                for kind, counts in kinds.items():
                    if sample.truth.get(kind):
                        counts[str(sample.truth[kind])] += 1
    return Stats(
        name=manifest.name,
        splits=manifest.splits,
        tasks={task: _task_stats(counts, tokens.get(task)) for task, counts in sorted(samples.items())},
        crops=_shares(kinds["crop"]),
        sizes=_shares(kinds["size"]),
        skipped_scenes=len(manifest.skipped_scenes),
        skipped_chips=manifest.skipped_chips,
        origins=manifest.origins,
    )


def _task_stats(samples: Counter[str], tokens: Counter[str] | None) -> TaskStats:
    if tokens is None:
        return TaskStats(samples=dict(samples))
    total = samples.total()
    return TaskStats(
        samples=dict(samples),
        question_tokens=tokens["question"] / total,
        answer_tokens=tokens["answer"] / total,
        tokens=tokens.total(),
    )


def _shares(counts: Mapping[str, int]) -> dict[str, float]:
    """Share of each, most frequent first."""
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {name: count / total for name, count in ordered}

"""Runs beside each other: the same samples, paired by id, with the significance of every difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agrilape.evaluate.external.json_rows import read_joined, read_table
from agrilape.evaluate.metrics.intervals import Difference, holm
from agrilape.evaluate.predictions import Prediction, read_rows
from agrilape.evaluate.resampling_units import BlockDifference
from agrilape.evaluate.scores import by_task, metrics_of, score_tasks
from agrilape.evaluate.summary import to_json
from agrilape.report.score_tables import PairedGain, Score, describe, turned


@dataclass(frozen=True)
class RunDifference(PairedGain):
    """One task of two runs.

    Attributes:
        own: Score of the run that the page is about.
        other: Score of the run that it is compared with.
    """

    own: float
    other: float

    @property
    def amount(self) -> str:
        """The gain with its interval, in points or in the metric's unit."""
        scale, unit = describe(self.metric).difference_scale
        edges = [f"{scale * edge:+.1f}" for edge in (self.gain.low, self.gain.high) if edge is not None]
        interval = f" ({' to '.join(edges)})" if edges else ""
        return f"{scale * self.gain.value:+.1f} {unit}".rstrip() + interval


@dataclass(frozen=True)
class RunComparison:
    """A run beside another.

    Attributes:
        name: Folder name of the other run, or name of the file of another model's answers.
        shared: Number of samples that both answered.
        left_out: Number of samples that only one of them answered.
        tasks: The tasks that both have.
        scores: The other's scores on the samples that both answered: task -> metric -> `{value, low, high,
            n, scenes}`.
    """

    name: str
    shared: int
    left_out: int
    tasks: tuple[RunDifference, ...]
    scores: Mapping[str, Mapping[str, Any]]


def compare_runs(run: Path, others: Sequence[Path]) -> list[RunComparison]:
    """A run beside each of the others, on the samples that both answered.

    Args:
        run: A run folder.
        others: Run folders, or files of another model's answers: rows as in `predictions.jsonl`, or only `id`
            and `prediction`.

    Raises:
        DataError: A run has no predictions, or a file is damaged or answers what was not asked.
    """
    own = _rows(_predictions(run)) if others else {}
    return [_compare(run, own, other) for other in others]


def _compare(run: Path, own: dict[str, Prediction], other: Path) -> RunComparison:
    rival = _rows(_predictions(other)) if other.is_dir() else _answers(other, _predictions(run))
    shared = [name for name in own if name in rival and own[name].answer == rival[name].answer]
    first, second = by_task([own[name] for name in shared]), by_task([rival[name] for name in shared])
    drafts = [_difference(task, first[task], second[task]) for task in first]
    found = [draft for draft in drafts if draft]
    adjusted = holm([difference.p for *_, difference in found])
    tasks = tuple(
        RunDifference(task, metric, turned(Score(*difference[:3], *difference[4:]), metric), p, a, b)
        for (task, metric, a, b, difference), p in zip(found, adjusted, strict=True)
    )
    return RunComparison(
        _name(other),
        len(shared),
        len(own) + len(rival) - 2 * len(shared),
        tasks,
        to_json(score_tasks([rival[name] for name in shared])),
    )


def _difference(
    task: str, own: list[Prediction], other: list[Prediction]
) -> tuple[str, str, float, float, Difference | BlockDifference] | None:
    metric = metrics_of(task, own)[0]
    scores = metric.point(own), metric.point(other)
    if np.isnan(scores).any():
        return None
    return task, metric.name, *scores, metric.difference(other, own)


def _predictions(run: Path) -> Path:
    return run / "evaluation" / "predictions.jsonl"


def _rows(path: Path) -> dict[str, Prediction]:
    return {row.id: row for row in read_rows(path)}


def _answers(path: Path, asked: Path) -> dict[str, Prediction]:
    """Another model's answers; what its rows lack is taken from those of the run."""
    names = {str(row.get("id")) for row in read_table(path)}
    rows = map(Prediction.from_json, read_joined(path, asked, "prediction"))
    return {row.id: row for row in rows if row.id in names}


def _name(other: Path) -> str:
    """What tells runs apart: the folder, or the file unless it is called as in every run."""
    if other.is_dir() or other.name != "predictions.jsonl":
        return other.resolve().name if other.is_dir() else other.stem
    folder = other.resolve().parent
    return folder.parent.name if folder.name == "evaluation" else folder.name

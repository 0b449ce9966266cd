"""Which metrics belong to which task, and scores with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np

from agrilape.dataset.tasks import TASKS
from agrilape.errors import RecipeError, did_you_mean
from agrilape.evaluate.answer_arrays import Rows
from agrilape.evaluate.answer_kinds import ANSWERS, CAPTION, EXACT_WORDS, Kind, kind_of
from agrilape.evaluate.map_metrics import MAP_METRICS
from agrilape.evaluate.metric import Metric
from agrilape.evaluate.metrics import quantities
from agrilape.evaluate.metrics.arrays import Floats
from agrilape.evaluate.metrics.intervals import Estimate
from agrilape.evaluate.predictions import Prediction
from agrilape.evaluate.resampling_units import BlockEstimate

Scores: TypeAlias = dict[str, Estimate | BlockEstimate]
TaskScores: TypeAlias = dict[str, Scores]
Wanted: TypeAlias = Mapping[str, Sequence[str]]
"""Names of the metrics that are wanted of a task."""
EVERY_METRIC: Wanted = {}

TASK_METRICS: Mapping[str, Kind] = {
    **{name: ANSWERS[task.answer] for name, task in TASKS.items()},
    **MAP_METRICS,
}
"""Metrics of each task, the one that stands for it first."""
PUBLISHED_METRICS: Mapping[str, Kind] = {
    "vqa": EXACT_WORDS, "choice": EXACT_WORDS, "yes_no": EXACT_WORDS, "classify": EXACT_WORDS,
    "caption": CAPTION, "conversation": CAPTION,
}  # fmt: skip
"""Likewise of tasks that published releases name; others are measured by the kind of their answers."""


def metrics_of(task: str, rows: Rows, wanted: Wanted = EVERY_METRIC) -> Kind:
    """Metrics of a task, the first standing for it: those wanted, or all that are not optional and can be.

    A task that is not in the table is measured by the kind of its answers.

    Raises:
        RecipeError: A wanted metric is none of the task's.
    """
    known = task_kind(task, rows)
    by_name = {metric.name: metric for metric in known}
    names = wanted.get(task) or [metric.name for metric in known if _by_default(metric)]
    if unknown := [name for name in names if name not in by_name]:
        hint = did_you_mean(unknown[0], by_name, f"use {', '.join(by_name)}")
        raise RecipeError(f"{task} has no metric {unknown[0]!r}", hint)
    return tuple(by_name[name] for name in names)


def _by_default(metric: Metric) -> bool:
    return not metric.optional and (metric.package is None or find_spec(metric.package) is not None)


def task_kind(task: str, rows: Rows) -> Kind:
    """The kind of a task's answers."""
    return TASK_METRICS.get(task) or PUBLISHED_METRICS.get(task) or kind_of(rows)


def by_task(rows: Rows) -> dict[str, list[Prediction]]:
    """Rows of each task, tasks in alphabetical order."""
    groups: dict[str, list[Prediction]] = {}
    for row in rows:
        groups.setdefault(row.task, []).append(row)
    return dict(sorted(groups.items()))


def score_tasks(rows: Rows, wanted: Wanted = EVERY_METRIC, most: int | None = None) -> TaskScores:
    """Scores of each task.

    Args:
        rows: Predictions of any tasks.
        wanted: Metrics of each task; a task without an entry has all.
        most: Only the first metrics of each task; None for all.
    """
    return {
        task: _score(metrics_of(task, group, wanted)[:most], group) for task, group in by_task(rows).items()
    }


def _score(metrics: Sequence[Metric], rows: Rows) -> Scores:
    """Scores of one task; quantities that several metrics share are computed once."""
    columns: dict[tuple[object, object], Floats] = {}
    scores: Scores = {}
    for metric in metrics:
        if chosen := metric.select(rows):
            key = (metric.columns, metric.applies)
            if key not in columns:
                columns[key] = metric.columns(chosen)
            scores[metric.name] = metric.score(rows, columns[key])
    return scores


def answer_quality(row: Prediction) -> float:
    """How well one answer meets the truth, 0 to 1, in order to find the best, median and worst of a task."""
    metric = metrics_of(row.task, [row])[0]
    value = metric.point([row])
    if metric.lower_is_better:
        worst = {"days": row.window.days if row.window else np.nan, "mae_bbch": quantities.BBCH_RANGE}
        value = max(0.0, 1 - value / worst.get(metric.name, 1.0))
    return float(np.nan_to_num(value))

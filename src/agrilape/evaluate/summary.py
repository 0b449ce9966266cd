"""`metrics.json`: scores of the model and of the baselines, breakdowns, and what could not be read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from agrilape.evaluate.read import Rows, is_readable
from agrilape.evaluate.rows import Prediction
from agrilape.evaluate.scores import TaskScores, by_task, metrics_of, score_tasks

Json: TypeAlias = dict[str, Any]
HEADLINE = 2
"""Metrics of each task that are broken down: the first ones."""

BREAKDOWNS: Mapping[str, Callable[[Prediction], Any]] = {
    "crop": lambda row: row.truth.get("crop"),
    "size": lambda row: row.truth.get("size"),
    "source": lambda row: row.source,
}


def summarise(rows: Rows, baselines: Mapping[str, Sequence[Prediction | None]]) -> Json:
    """All scores as JSON.

    Args:
        rows: The model's predictions.
        baselines: Each baseline's rows to the same samples in the same order; None where it has no answer.

    Returns:
        `tasks`: task -> metric -> `{value, low, high, n}`; `baselines`: name -> the same; `versus_baseline`:
        task -> the model minus the best baseline on the task's first metric; `by`: property -> value ->
        task -> metric; `parse_failures`: answers that lack what was asked for.
    """
    scores = score_tasks(rows)
    rivals = {name: score_tasks([row for row in guesses if row]) for name, guesses in baselines.items()}
    return {
        "samples": len(rows),
        "tasks": to_json(scores),
        "baselines": {name: to_json(tasks) for name, tasks in rivals.items() if tasks},
        "versus_baseline": _versus(rows, baselines),
        "by": {name: _breakdown(rows, key) for name, key in BREAKDOWNS.items()},
        "parse_failures": _failures(rows),
    }


def to_json(scores: TaskScores) -> Json:
    """Scores as JSON; a score that is not a number becomes null."""
    return {
        task: {name: _finite(estimate._asdict()) for name, estimate in metrics.items()}
        for task, metrics in scores.items()
    }


def _versus(rows: Rows, baselines: Mapping[str, Sequence[Prediction | None]]) -> Json:
    return {task: found for task in by_task(rows) if (found := _best_rival(task, rows, baselines))}


def _best_rival(task: str, rows: Rows, baselines: Mapping[str, Sequence[Prediction | None]]) -> Json | None:
    """The paired difference to the best of the baselines that answer every sample of a task."""
    chosen = [index for index, row in enumerate(rows) if row.task == task]
    own = [rows[index] for index in chosen]
    metric = metrics_of(task, own)[0]
    sign = -1 if metric.lower_is_better else 1
    rivals = {
        name: answers
        for name, guesses in baselines.items()
        if len(answers := [guess for index in chosen if (guess := guesses[index])]) == len(chosen)
    }
    if not rivals or not metric.select(own):
        return None
    best = max(rivals, key=lambda name: sign * metric.score(rivals[name]).value)
    difference = metric.difference(rivals[best], own)
    return {"metric": metric.name, "baseline": best, **_finite(difference._asdict())}


def _breakdown(rows: Rows, key: Callable[[Prediction], Any]) -> Json:
    groups: dict[str, list[Prediction]] = {}
    for row in rows:
        if (value := key(row)) is not None:
            groups.setdefault(str(value), []).append(row)
    return {value: to_json(score_tasks(groups[value], HEADLINE)) for value in sorted(groups)}


def _failures(rows: Rows) -> Json:
    return {
        "total": _failed(rows),
        "tasks": {task: _failed(group) for task, group in by_task(rows).items()},
    }


def _failed(rows: Iterable[Prediction]) -> Json:
    unreadable = [not is_readable(row) for row in rows]
    return {"count": sum(unreadable), "n": len(unreadable)}


def _finite(values: Json) -> Json:
    return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in values.items()}

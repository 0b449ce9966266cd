"""`metrics.json`: scores of the model and of the baselines, breakdowns, and what could not be read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from agrilape.evaluate.answer_arrays import Rows, is_readable, names
from agrilape.evaluate.answer_kinds import NAME
from agrilape.evaluate.breakdowns import BREAKDOWNS, DEFAULT_BREAKDOWNS
from agrilape.evaluate.metrics.crops import confusion
from agrilape.evaluate.predictions import Prediction
from agrilape.evaluate.reliability import calibration
from agrilape.evaluate.scores import (
    EVERY_METRIC,
    TaskScores,
    Wanted,
    by_task,
    metrics_of,
    score_tasks,
    task_kind,
)

Json: TypeAlias = dict[str, Any]
Guesses: TypeAlias = Mapping[str, Sequence[Prediction | None]]
NO_RIVALS: Mapping[str, str] = {}
HEADLINE = 2
"""Metrics of each task that are broken down: the first ones."""
MOST_CLASSES = 40
"""Names of a task, beyond which there is no table of which is taken for which."""


def summarise(
    rows: Rows,
    baselines: Guesses,
    rivals: Mapping[str, str] = NO_RIVALS,
    wanted: Wanted = EVERY_METRIC,
    by: Iterable[str] = DEFAULT_BREAKDOWNS,
) -> Json:
    """All scores as JSON.

    Args:
        rows: The model's predictions.
        baselines: Each baseline's rows to the same samples in the same order; None where it has no answer.
        rivals: Of each task, the baseline that the model is compared with, see `choose_baselines`.
        wanted: Metrics of each task; a task without an entry has all.
        by: Names of the breakdowns.

    Returns:
        `tasks`: task -> metric -> `{value, low, high, n}`; `baselines`: name -> the same; `versus_baseline`:
        task -> the model minus its rival on the task's first metric; `by`: property -> value -> task ->
        metric; `confusion`: task with names -> `{classes, matrix}`, see `crops.confusion`; `calibration`: see
        `reliability.calibration`; `parse_failures`: answers that lack what was asked for.
    """
    scores = score_tasks(rows, wanted)
    return {
        "samples": len(rows),
        "tasks": to_json(scores),
        "baselines": _scored(baselines, wanted),
        "versus_baseline": _all_versus(rows, baselines, rivals, wanted),
        "by": {name: _breakdown(rows, BREAKDOWNS[name], wanted) for name in by},
        "confusion": _confusions(rows),
        "calibration": calibration(rows),
        "parse_failures": _failures(rows),
    }


def compare_informed(
    rows: Rows, baselines: Guesses, rivals: Mapping[str, str], wanted: Wanted = EVERY_METRIC
) -> Json:
    """The same scores and differences, of baselines that see the asked place.

    Args:
        rows: The model's predictions.
        baselines: As in `summarise`, see `baselines.informed`.
        rivals: Of each task, the one that the model is compared with.
        wanted: Metrics of each task; a task without an entry has all.

    Returns:
        `informed_baselines` and `versus_informed`, as `baselines` and `versus_baseline` of `summarise`.
    """
    return {
        "informed_baselines": _scored(baselines, wanted),
        "versus_informed": _all_versus(rows, baselines, rivals, wanted),
    }


def choose_baselines(rehearsal: Guesses, wanted: Wanted = EVERY_METRIC) -> dict[str, str]:
    """Of each task, the baseline that does best on samples that the model is not judged by.

    Chosen on the judging samples themselves, the best of several guesses would be best by luck too: on a few
    dozen samples `random` may beat every rule, and the comparison would be too hard or, after a search for a
    weak one, too easy.

    Args:
        rehearsal: Each baseline's rows to samples of the train split; None where it has no answer.
        wanted: Metrics of each task; the first decides.
    """
    tasks: dict[str, dict[str, list[Prediction]]] = {}
    for name, given in rehearsal.items():
        for task, rows in by_task([row for row in given if row]).items():
            tasks.setdefault(task, {})[name] = rows
    return {task: _best(task, answers, wanted) for task, answers in tasks.items()}


def _best(task: str, answers: Mapping[str, Rows], wanted: Wanted) -> str:
    """Name of the best of those baselines that answer every sample."""
    most = max(map(len, answers.values()))
    candidates = {name: rows for name, rows in answers.items() if len(rows) == most}
    metric = metrics_of(task, next(iter(candidates.values())), wanted)[0]
    sign = -1 if metric.lower_is_better else 1
    return max(candidates, key=lambda name: sign * np.nan_to_num(metric.point(candidates[name]), nan=-np.inf))


def to_json(scores: TaskScores) -> Json:
    """Scores as JSON; a score that is not a number becomes null."""
    return {
        task: {name: _finite(estimate._asdict()) for name, estimate in metrics.items()}
        for task, metrics in scores.items()
    }


def _scored(baselines: Guesses, wanted: Wanted) -> Json:
    given = {name: [row for row in rows if row] for name, rows in baselines.items()}
    return {name: to_json(score_tasks(rows, wanted)) for name, rows in given.items() if rows}


def _all_versus(rows: Rows, baselines: Guesses, rivals: Mapping[str, str], wanted: Wanted) -> Json:
    found = {task: _versus(task, name, rows, baselines[name], wanted) for task, name in rivals.items()}
    return {task: one for task, one in found.items() if one}


def _versus(
    task: str, name: str, rows: Rows, guesses: Sequence[Prediction | None], wanted: Wanted
) -> Json | None:
    """The paired difference to a baseline that answers every sample of a task; None if it does not."""
    pairs = [(row, guess) for row, guess in zip(rows, guesses, strict=True) if row.task == task]
    own, rival = [row for row, _ in pairs], [guess for _, guess in pairs if guess]
    if not own or len(rival) < len(own):
        return None
    metric = metrics_of(task, own, wanted)[0]
    if not metric.select(own):
        return None
    return {"metric": metric.name, "baseline": name, **_finite(metric.difference(rival, own)._asdict())}


def _breakdown(rows: Rows, key: Callable[[Prediction], str | None], wanted: Wanted) -> Json:
    groups: dict[str, list[Prediction]] = {}
    for row in rows:
        if (value := key(row)) is not None:
            groups.setdefault(value, []).append(row)
    return {value: to_json(score_tasks(groups[value], wanted, HEADLINE)) for value in sorted(groups)}


def _confusions(rows: Rows) -> Json:
    """Which names are taken for which, of each task that asks for names."""
    found = {}
    for task, group in by_task(rows).items():
        if task_kind(task, group) is NAME:
            given, wanted = names(group)
            classes = sorted(set(wanted))
            if len(classes) <= MOST_CLASSES:
                found[task] = {"classes": classes, "matrix": confusion(wanted, given, classes).tolist()}
    return found


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

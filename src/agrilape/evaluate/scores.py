"""Which metrics belong to which task, and scores with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from agrilape.errors import RecipeError
from agrilape.evaluate import read
from agrilape.evaluate.metrics import crops, quantities
from agrilape.evaluate.metrics.arrays import Floats, divide, floats
from agrilape.evaluate.metrics.boxes import box_iou, box_iou_matrices, box_overlap
from agrilape.evaluate.metrics.intervals import (
    Difference,
    Estimate,
    Statistic,
    compare,
    estimate,
    per_sample,
    ratio,
)
from agrilape.evaluate.metrics.matching import count_matches, f1_score, precision, recall
from agrilape.evaluate.metrics.place import box_centres, position_error_m
from agrilape.evaluate.metrics.time import date_error_days, temporal_iou
from agrilape.evaluate.read import Rows
from agrilape.evaluate.rows import Prediction
from agrilape.geo.shapes import Box, Instant, Span

Scores: TypeAlias = dict[str, Estimate]
TaskScores: TypeAlias = dict[str, Scores]
Wanted: TypeAlias = Mapping[str, Sequence[str]]
"""Names of the metrics that are wanted of a task."""
EVERY_METRIC: Wanted = {}


@dataclass(frozen=True)
class Metric:
    """One score of a task.

    Attributes:
        name: Its name in `metrics.json`.
        columns: Additive quantities of each row, `[N, K]`.
        statistic: Score of their sums.
        lower_is_better: Is it an error?
        applies: Rows that it is defined for; None for all.
    """

    name: str
    columns: Callable[[Rows], Floats]
    statistic: Statistic = ratio
    lower_is_better: bool = False
    applies: Callable[[Prediction], bool] | None = None

    def select(self, rows: Rows) -> Rows:
        """The rows that it is defined for."""
        return rows if self.applies is None else [row for row in rows if self.applies(row)]

    def score(self, rows: Rows, columns: Floats | None = None) -> Estimate:
        """The score of rows, with its interval over scenes; `columns` of those selected, if known."""
        chosen = self.select(rows)
        known = self.columns(chosen) if columns is None else columns
        return estimate(known, [cluster(row) for row in chosen], self.statistic)

    def point(self, rows: Rows) -> float:
        """The score of rows without an interval; NaN where it is defined for none."""
        return (
            float(self.statistic(self.columns(chosen).sum(axis=0)))
            if (chosen := self.select(rows))
            else np.nan
        )

    def difference(self, first: Rows, second: Rows) -> Difference:
        """Second minus first, on the same samples in the same order."""
        a, b = self.select(first), self.select(second)
        return compare(self.columns(a), self.columns(b), [cluster(row) for row in a], self.statistic)


def cluster(row: Prediction) -> str:
    """What intervals are clustered by: the scene, whose name is unique within its source."""
    return f"{row.source}/{row.scene}"


def _mean(name: str, values: Callable[[Rows], Floats]) -> Metric:
    return Metric(name, lambda rows: per_sample(values(rows)))


def _share(name: str, values: Callable[[Rows], Floats], at_least: float) -> Metric:
    return _mean(name, lambda rows: floats(values(rows) >= at_least))


def _error(
    name: str, values: Callable[[Rows], Floats], applies: Callable[[Prediction], bool] | None = None
) -> Metric:
    return Metric(name, lambda rows: per_sample(values(rows)), lower_is_better=True, applies=applies)


def _box_iou(rows: Rows) -> Floats:
    return box_iou(*read.first_boxes(rows))


def _centre_error_m(rows: Rows) -> Floats:
    given, wanted = read.first_boxes(rows)
    ground = floats([row.ground_m or (np.nan, np.nan) for row in rows]).reshape(-1, 2)
    return position_error_m(box_centres(given), box_centres(wanted), ground)


def _matches(threshold: float) -> Callable[[Rows], Floats]:
    def columns(rows: Rows) -> Floats:
        pairs = [(read.all_boxes(row.prediction), read.all_boxes(row.answer)) for row in rows]
        counts = [count_matches(iou, threshold) for iou in box_iou_matrices(pairs)]
        return floats(counts).reshape(-1, 4)

    return columns


def _f1(sums: Floats) -> Floats:
    return f1_score(sums[..., 0], sums[..., 1], sums[..., 2])


def _margins(rows: Rows) -> Floats:
    given, wanted = read.names(rows)
    return crops.margins(wanted, given, sorted(set(wanted))).reshape(len(rows), -1)


def _of_margins(statistic: Callable[[Floats], Floats]) -> Statistic:
    return lambda sums: statistic(sums.reshape(*sums.shape[:-1], 3, -1))


def _right_cells(rows: Rows) -> Floats:
    counts = [
        (sum(map(str.__eq__, given, wanted)), len(wanted))
        for given, wanted in zip(*read.cells(rows), strict=True)
    ]
    return floats(counts).reshape(-1, 2)


def _number_error(rows: Rows) -> Floats:
    given, wanted = read.numbers(rows)
    return quantities.absolute_error(given, wanted, unreadable=np.maximum(wanted, 1))


def _days(rows: Rows) -> Floats:
    return date_error_days(*read.instants(rows), read.window_days(rows))


def _edge_days(edge: int) -> Callable[[Rows], Floats]:
    def days(rows: Rows) -> Floats:
        given, wanted = read.spans(rows)
        return date_error_days(given[:, edge], wanted[:, edge], read.window_days(rows))

    return days


def _temporal_iou(rows: Rows) -> Floats:
    return temporal_iou(*read.spans(rows))


def _has_window(row: Prediction) -> bool:
    return row.window is not None


ONE_BOX = (
    _mean("miou", _box_iou),
    _share("acc_50", _box_iou, 0.5),
    _share("acc_75", _box_iou, 0.75),
    _share("acc_90", _box_iou, 0.9),
    Metric("ciou", lambda rows: np.stack(box_overlap(*read.first_boxes(rows)), axis=1)),
    _error("position_error_m", _centre_error_m, applies=lambda row: row.georeference is not None),
)
_matches_50 = _matches(0.5)
SEVERAL_BOXES = (
    Metric("f1", _matches_50, _f1),
    Metric("precision", _matches_50, lambda sums: precision(sums[..., 0], sums[..., 1])),
    Metric("recall", _matches_50, lambda sums: recall(sums[..., 0], sums[..., 2])),
    Metric("matched_iou", _matches_50, lambda sums: divide(sums[..., 3], sums[..., 0])),
    Metric("f1_75", _matches(0.75), _f1),
)
NAME = (
    Metric("accuracy", _margins, _of_margins(crops.overall_accuracy)),
    Metric("macro_f1", _margins, _of_margins(crops.macro_f1)),
    Metric("kappa", _margins, _of_margins(crops.cohen_kappa)),
)
GRID = (Metric("accuracy", _right_cells),)
NUMBER = (
    _mean("exact", lambda rows: quantities.exact(*read.numbers(rows))),
    _error("mae", _number_error),
    _error("relative_error", lambda rows: quantities.relative_error(*read.numbers(rows))),
)
GROWTH_STAGE = (
    _error("mae_bbch", lambda rows: quantities.growth_stage_error(*read.numbers(rows))),
    _mean("exact", lambda rows: quantities.exact(*read.numbers(rows))),
)
MOMENT = (
    _error("days", _days, _has_window),
    Metric("within_10_days", lambda rows: per_sample(_days(rows) <= 10), applies=_has_window),
    Metric("within_20_days", lambda rows: per_sample(_days(rows) <= 20), applies=_has_window),
)
PERIOD = (
    _mean("tiou", _temporal_iou),
    _share("recall_30", _temporal_iou, 0.3),
    _share("recall_50", _temporal_iou, 0.5),
    _share("recall_70", _temporal_iou, 0.7),
    _error("start_days", _edge_days(0), _has_window),
    _error("end_days", _edge_days(1), _has_window),
)

TASK_METRICS: Mapping[str, tuple[Metric, ...]] = {
    "crop_box": ONE_BOX,
    "field_at_point": ONE_BOX,
    "crop_boxes": SEVERAL_BOXES,
    "field_boxes": SEVERAL_BOXES,
    "scene": NAME,
    "crop_at_point": NAME,
    "crop_in_box": NAME,
    "crop_at_place": NAME,
    "place_of_crop": NAME,
    "crops_in_span": NAME,
    "land_use_at_point": NAME,
    "layout": GRID,
    "count": NUMBER,
    "growth_stage": GROWTH_STAGE,
    "greenest": MOMENT,
    "green_span": PERIOD,
}
"""Metrics of each task, the one that stands for it first."""


def metrics_of(task: str, rows: Rows, wanted: Wanted = EVERY_METRIC) -> tuple[Metric, ...]:
    """Metrics of a task, all or those wanted, the first standing for it.

    A task that is not in the table is measured by the kind of its answers.

    Raises:
        RecipeError: A wanted metric is none of the task's.
    """
    known = _known_metrics(task, rows)
    by_name = {metric.name: metric for metric in known}
    names = wanted.get(task) or by_name
    if strangers := [name for name in names if name not in by_name]:
        raise RecipeError(f"{task} has no metric {strangers[0]!r}", f"use {', '.join(by_name)}")
    return tuple(by_name[name] for name in names)


def _known_metrics(task: str, rows: Rows) -> tuple[Metric, ...]:
    if task in TASK_METRICS:
        return TASK_METRICS[task]
    if any(len(read.all_boxes(row.answer)) > 1 for row in rows):
        return SEVERAL_BOXES
    kinds = {type(part) for row in rows for part in row.answer}
    by_kind: tuple[tuple[type, tuple[Metric, ...]], ...] = ((Box, ONE_BOX), (Span, PERIOD), (Instant, MOMENT))
    return next((metrics for kind, metrics in by_kind if kind in kinds), NAME)


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


def agreement(row: Prediction) -> float:
    """How well one answer meets the truth, 0 to 1, in order to find the best, median and worst of a task."""
    metric = metrics_of(row.task, [row])[0]
    value = metric.point([row])
    if metric.lower_is_better:
        days = row.window.days if row.window else quantities.BBCH_RANGE
        return max(0.0, 1 - value / days)
    return float(np.nan_to_num(value))

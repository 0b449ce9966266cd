"""From `metrics.json` to what the page says: score tables, comparisons with the baselines, the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Metric(NamedTuple):
    """How a metric is shown.

    Attributes:
        label: Name on the page.
        meaning: One line on what it says.
        unit: `%` for a share, which is shown in per cent; else what follows the number.
        lower: Is less better?
    """

    label: str
    meaning: str
    unit: str = "%"
    lower: bool = False


METRICS: dict[str, Metric] = {
    "miou": Metric("mean IoU", "overlap of predicted and true box, an unreadable answer as 0"),
    "acc_50": Metric("Acc@0.5", "share of boxes with an IoU of at least 0.5"),
    "acc_75": Metric("Acc@0.75", "share of boxes with an IoU of at least 0.75"),
    "acc_90": Metric("Acc@0.9", "share of boxes with an IoU of at least 0.9"),
    "ciou": Metric("cumulative IoU", "summed intersections over summed unions"),
    "position_error_m": Metric(
        "centre error", "distance of the boxes' centres on the ground", "m", lower=True
    ),
    "f1": Metric("F1@0.5", "boxes matched one to one at an IoU of at least 0.5"),
    "precision": Metric("precision", "share of predicted boxes that match a true one"),
    "recall": Metric("recall", "share of true boxes that are matched"),
    "matched_iou": Metric("matched IoU", "mean IoU of the matched boxes"),
    "f1_75": Metric("F1@0.75", "boxes matched one to one at an IoU of at least 0.75"),
    "accuracy": Metric("accuracy", "share of right answers"),
    "macro_f1": Metric("macro F1", "mean F1 over classes, the rare ones counting as much as the common ones"),
    "kappa": Metric("kappa", "agreement beyond chance (Cohen)", ""),
    "exact": Metric("exact", "share of answers with the exact number"),
    "mae": Metric("error", "mean absolute error", "", lower=True),
    "relative_error": Metric("relative error", "mean absolute error over the true number", lower=True),
    "mae_bbch": Metric("error", "mean absolute error of the growth stage", "BBCH", lower=True),
    "days": Metric("error", "mean absolute error of the date", "days", lower=True),
    "within_10_days": Metric("within 10 days", "share of dates at most 10 days off"),
    "within_20_days": Metric("within 20 days", "share of dates at most 20 days off"),
    "tiou": Metric("mean tIoU", "overlap of predicted and true period"),
    "recall_30": Metric("R@0.3", "share of periods with a tIoU of at least 0.3"),
    "recall_50": Metric("R@0.5", "share of periods with a tIoU of at least 0.5"),
    "recall_70": Metric("R@0.7", "share of periods with a tIoU of at least 0.7"),
    "start_days": Metric("start error", "mean absolute error of the first date", "days", lower=True),
    "end_days": Metric("end error", "mean absolute error of the last date", "days", lower=True),
}


class Score(NamedTuple):
    """A measured value with its 95 % interval and number of samples."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Score | None:
        """Read `{"value", "low", "high", "n"}`; None if there is no finite value."""
        value = _number(record.get("value"))
        if value is None:
            return None
        low, high = _number(record.get("low")), _number(record.get("high"))
        return cls(
            value, value if low is None else low, value if high is None else high, int(record.get("n") or 0)
        )


@dataclass(frozen=True)
class TaskScores:
    """Scores of one task.

    Attributes:
        task: Task name.
        metrics: Names of its metrics, the deciding one first.
        rows: Name of the answerer (`model` first, then baselines) and its scores, one per metric.
    """

    task: str
    metrics: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Score | None, ...]], ...]

    @property
    def n(self) -> int:
        """Number of samples behind the model's deciding score."""
        own = self.rows[0][1]
        return own[0].n if own and own[0] else 0

    def share(self, value: float) -> float:
        """Where a value of the deciding metric lies on the table's axis, in per cent of its length.

        The axis runs from 0 to 1 for shares and from 0 to the largest value of the table for other units.
        """
        firsts = [scores[0] for _, scores in self.rows if scores and scores[0]]
        top = (
            1.0
            if describe(self.metrics[0]).unit == "%"
            else max((score.high for score in firsts), default=0.0)
        )
        return round(100 * min(max(value / top, 0.0), 1.0), 2) if top > 0 else 0.0


@dataclass(frozen=True)
class Comparison:
    """The model against the best baseline of a task, on the deciding metric.

    Attributes:
        task: Task name.
        metric: The deciding metric.
        model: The model's score.
        baseline: Name of the best baseline.
        reference: Its score.
        gain: How much better the model is (positive is better, whatever the metric), with its interval.
    """

    task: str
    metric: str
    model: Score
    baseline: str
    reference: Score
    gain: Score

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        return _against(self)

    @property
    def outcome(self) -> str:
        """`ahead` or `behind` when the interval of the gain excludes zero, else `level`."""
        return "ahead" if self.gain.low > 0 else "behind" if self.gain.high < 0 else "level"


def describe(metric: str) -> Metric:
    """How to show a metric; one that is not in the list is printed as a plain number."""
    return METRICS.get(metric) or Metric(metric.replace("_", " "), "", "")


def show(value: float, metric: str, unit: bool = True) -> str:
    """A value as the page prints it: per cent for shares, else with its unit."""
    how = describe(metric)
    if how.unit == "%":
        return f"{100 * value:.1f}" + " %" * unit
    return (f"{value:.1f}" if how.unit else f"{value:.2f}") + f" {how.unit}".rstrip() * unit


def task_scores(metrics: Mapping[str, Any]) -> list[TaskScores]:
    """Score table of every task, the model's row before the baselines'."""
    baselines: Mapping[str, Mapping[str, Any]] = metrics.get("baselines") or {}
    tables = []
    for task, own in (metrics.get("tasks") or {}).items():
        names = tuple(own)
        answerers = [("model", own)] + [
            (name, tasks[task]) for name, tasks in baselines.items() if task in tasks
        ]
        rows = [(name, tuple(Score.of(record.get(m) or {}) for m in names)) for name, record in answerers]
        tables.append(TaskScores(task, names, tuple(rows)))
    return [table for table in tables if table.metrics]


def compare(table: TaskScores) -> Comparison | None:
    """The model against the best baseline; None where either has no score."""
    (_, own), *others = table.rows
    if own[0] is None:
        return None
    metric = table.metrics[0]
    sign = -1.0 if describe(metric).lower else 1.0
    scored = [(name, scores[0]) for name, scores in others if scores[0] is not None]
    if not scored:
        return None
    name, best = max(scored, key=lambda row: sign * row[1].value)
    return Comparison(table.task, metric, own[0], name, best, difference(own[0], best, sign))


def difference(a: Score, b: Score, sign: float = 1.0) -> Score:
    """How much `a` is better than `b`, with a 95 % interval from the intervals of both.

    The interval is that of Zou and Donner (2008, Statistics in Medicine 27, the MOVER method), which takes the two
    as independent. Both are measured on the same samples, so it is wider than a paired interval: cautious.

    Args:
        a: The first score.
        b: The second score.
        sign: 1 if more is better, -1 if less is.
    """
    gain = a.value - b.value
    down = math.hypot(a.value - a.low, b.high - b.value)
    up = math.hypot(a.high - a.value, b.value - b.low)
    low, high = sorted((sign * (gain - down), sign * (gain + up)))
    return Score(sign * gain, low, high, min(a.n, b.n))


def verdict(comparisons: Sequence[Comparison]) -> str:
    """One sentence, computed: does the model beat the blind baselines, by how much, with the interval?"""
    if not comparisons:
        return "No scores were found beside a baseline, so nothing can be said about this model yet."
    ahead = [c for c in comparisons if c.outcome == "ahead"]
    behind = [c for c in comparisons if c.outcome == "behind"]
    level = len(comparisons) - len(ahead) - len(behind)
    clauses = list(_clauses(ahead, behind))
    if level:
        clauses.append(f"{level} cannot be told apart")
    if not ahead:
        start = "The model does not beat the best blind baseline in any task"
    elif len(ahead) == len(comparisons):
        start = f"The model beats the best blind baseline in all {len(comparisons)} tasks"
    else:
        start = f"The model beats the best blind baseline in {len(ahead)} of {len(comparisons)} tasks"
    return f"{start}: {'; '.join(clauses)}."


def _clauses(ahead: Sequence[Comparison], behind: Sequence[Comparison]) -> Iterator[str]:
    """The largest gain and the worst loss in words."""
    if ahead:
        best = max(ahead, key=_relative)
        yield f"clearest in {_words(best.task)} ({_against(best)})"
    if behind:
        worst = min(behind, key=_relative)
        yield f"behind in {len(behind)}, most in {_words(worst.task)} ({_against(worst)})"


def _against(c: Comparison) -> str:
    """Both scores and the gain in words."""
    unit = describe(c.metric).unit.replace("%", "points")
    scale = 100.0 if unit == "points" else 1.0
    gain, low, high = (f"{scale * value:+.1f}" for value in c.gain[:3])
    return (
        f"{describe(c.metric).label} {show(c.model.value, c.metric)} against {show(c.reference.value, c.metric)} "
        f"of {_words(c.baseline)}: {gain} {unit}".rstrip()
        + f", 95 % interval {low} to {high}"
    )


def _relative(c: Comparison) -> float:
    """Gain in widths of its interval, so that metrics with units can be ranked among shares."""
    return c.gain.value / max(c.gain.high - c.gain.low, 1e-9)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


class Breakdown(NamedTuple):
    """Scores of one task split by one property: rows of (value of the property, scores)."""

    task: str
    by: str
    metrics: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Score | None, ...]], ...]

"""From `metrics.json` to what the page says: score tables, comparisons with the baselines, a verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from agrilape.evaluate.metrics.intervals import FEWEST, LEVEL, Outcome, holm, outcome


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

    @property
    def difference_scale(self) -> tuple[float, str]:
        """What a difference is multiplied by to be shown, and its unit: points for shares."""
        return (100.0, "points") if self.unit == "%" else (1.0, self.unit)


METRICS: dict[str, Metric] = {
    "miou": Metric("mean IoU", "overlap of predicted and true box, an unparsable answer as 0"),
    "acc_50": Metric("Acc@0.5", "share of boxes with an IoU of at least 0.5"),
    "acc_70": Metric("Acc@0.7", "share of boxes with an IoU of at least 0.7"),
    "acc_75": Metric("Acc@0.75", "share of boxes with an IoU of at least 0.75"),
    "acc_90": Metric("Acc@0.9", "share of boxes with an IoU of at least 0.9"),
    "cumulative_iou": Metric("cumulative IoU", "summed intersections over summed unions"),
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
    "hcat_credit": Metric("HCAT credit", "share of the levels of the crop hierarchy that are right"),
    "exact_match": Metric("exact match", "share of answers that are the true one, word for word"),
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
    "days_circular": Metric("error", "mean absolute error of the day of the year", "days", lower=True),
    "viou": Metric("mean vIoU", "overlap of predicted and true place and time, taken as a volume"),
    "viou_30": Metric("vIoU@0.3", "share of answers with a vIoU of at least 0.3"),
    "viou_50": Metric("vIoU@0.5", "share of answers with a vIoU of at least 0.5"),
    "area_error": Metric("area error", "relative error of the area in hectares", lower=True),
    "mae_ha": Metric("error", "mean absolute error of the area", "ha", lower=True),
    "boundary_f1": Metric("boundary F1", "share of field boundaries met within 10 m"),
    "pixel_iou": Metric("pixel IoU", "overlap of the ground that is field"),
    "over_segmentation": Metric("over-segmentation", "share of a field outside its best match", lower=True),
    "under_segmentation": Metric(
        "under-segmentation", "share of the best match outside its field", lower=True
    ),
    "pq": Metric("PQ", "panoptic quality: SQ x RQ"),
    "sq": Metric("SQ", "mean IoU of the matched outlines"),
    "rq": Metric("RQ", "F1 of the outlines at an IoU above 0.5"),
    "named_f1": Metric("named F1", "boxes with the right name, matched one to one at an IoU of at least 0.5"),
    "named_precision": Metric("named precision", "share of predicted boxes that match one of their name"),
    "named_recall": Metric("named recall", "share of true boxes that are matched under their name"),
    "within_5": Metric("within 5 points", "share of percentages at most 5 points off"),
    "mae_points": Metric("error", "mean absolute error of the share", "points", lower=True),
    "refusal_rate": Metric(
        "refusal rate", "share of questions about nothing that are answered without a place"
    ),
    "word_f1": Metric("word F1", "words in common with the true description"),
    "rouge_l": Metric("ROUGE-L", "longest common subsequence of words"),
    "bleu": Metric("BLEU-4", "n-grams in common with the true description"),
    "box_f1": Metric("box F1", "boxes of answers and parcels matched one to one at an IoU of at least 0.5"),
    "box_precision": Metric("box precision", "share of answers whose box matches a parcel's"),
    "box_recall": Metric("box recall", "share of parcels whose box is matched"),
    "box_ap": Metric("box AP", "average precision of boxes by confidence, at an IoU of at least 0.5"),
    "outline_f1": Metric("outline F1", "outlines matched one to one at an IoU of at least 0.5"),
    "outline_precision": Metric("outline precision", "share of answers whose outline matches a parcel's"),
    "outline_recall": Metric("outline recall", "share of parcels whose outline is matched"),
    "outline_ap": Metric("outline AP", "average precision of outlines by confidence"),
    "area_over": Metric("area over", "ground in answers alone, over the area of all parcels", lower=True),
    "area_under": Metric("area under", "ground in parcels alone, over the area of all parcels", lower=True),
    "area_ratio": Metric("area", "ground that answers claim, over that of all parcels; 100 % is right"),
    "summed_area_ratio": Metric(
        "summed area", "sum of the answers' areas, over that of the parcels; 100 % is right"
    ),
    "off_fields": Metric("off fields", "share of answers that lie in fields to less than a half", lower=True),
    "places": Metric("places given", "places per question about a crop that is not there", "", lower=True),
    "start_days": Metric("start error", "mean absolute error of the first date", "days", lower=True),
    "end_days": Metric("end error", "mean absolute error of the last date", "days", lower=True),
}
OUTCOMES: Mapping[Outcome, str] = {
    "better": "significantly better",
    "similar": "no significant difference",
    "worse": "significantly worse",
    "unknown": "too few scenes",
}
"""Outcomes as the page words them."""
RULE = (
    "Significant takes two things: the interval of the paired difference excludes zero, and p is below "
    f"{LEVEL} in a permutation test over scenes, or over blocks of fewer than {FEWEST} scenes, adjusted for "
    f"the number of tasks (Holm). Fewer than {FEWEST} of them allow neither."
)
"""What the outcomes mean, in words."""
_IMAGE_FREE, _INFORMED = ("baselines", "versus_baseline"), ("informed_baselines", "versus_informed")
"""Keys of `metrics.json`: scores of baselines, and the model's differences to them."""
MOST_NAMES = 14
"""Names of a table of confusion: more columns cannot be read."""
MOST_VALUES = 40
"""Rows of a breakdown: by scene there may be thousands."""


class Score(NamedTuple):
    """A measured value, its 95 % interval (None from too few scenes), and its numbers of samples and scenes.

    Where blocks of few scenes were resampled instead, their number is there too. A file of an earlier version
    does not say in how many scenes the samples lie.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    scenes: int | None = None
    blocks: int | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any] | None) -> Score | None:
        """Read `{"value", "low", "high", "n", "scenes"}`; None if there is no finite value."""
        record = record or {}
        value = _number(record.get("value"))
        if value is None:
            return None
        low, high = _number(record.get("low")), _number(record.get("high"))
        scenes = record.get("scenes")
        known, blocks = (one if isinstance(one, int) else None for one in (scenes, record.get("blocks")))
        return cls(value, low, high, int(record.get("n") or 0), known, blocks)

    @property
    def size(self) -> str:
        """How much it rests on, in words."""
        within = "" if self.units is None else f" in {self.within}"
        return f"{self.n:,}{within}".replace(",", "\u202f")

    @property
    def units(self) -> int | None:
        """Number of scenes or blocks that were resampled, if known."""
        return self.scenes if self.blocks is None else self.blocks

    @property
    def within(self) -> str:
        """What was resampled, in words: `9 scenes`, or `14 blocks of 1 scene`."""
        scenes = _counted(self.scenes or 0, "scene")
        return scenes if self.blocks is None else f"{_counted(self.blocks, 'block')} of {scenes}"

    @property
    def resampled(self) -> str:
        """The same for a column called scenes: `9`, or `14 blocks of 1`."""
        if self.units is None:
            return "–"
        scenes = str(self.scenes)
        return scenes if self.blocks is None else f"{_counted(self.blocks, 'block')} of {scenes}"


@dataclass(frozen=True)
class TaskScores:
    """Scores of one task.

    Attributes:
        task: Task name.
        metrics: Names of its metrics, the deciding one first.
        rows: Name of the answerer (`model` first, baselines last) and its scores, one per metric.
    """

    task: str
    metrics: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Score | None, ...]], ...]

    @property
    def n(self) -> int:
        """Number of samples behind the model's deciding score."""
        return self._own.n if self._own else 0

    @property
    def units(self) -> int | None:
        """Number of scenes, or blocks of few scenes, that were resampled, if known."""
        return self._own.units if self._own else None

    @property
    def by_block(self) -> bool:
        """Were blocks resampled?"""
        return self._own is not None and self._own.blocks is not None

    @property
    def resampled(self) -> str:
        """What was resampled, for a column called scenes."""
        return self._own.resampled if self._own else "–"

    @property
    def size(self) -> str:
        """Both in words."""
        return self._own.size if self._own else "0"

    @property
    def _own(self) -> Score | None:
        return self.rows[0][1][0]

    def share(self, value: float | None) -> float:
        """Where a value of the deciding metric lies on the table's axis, in per cent of its length.

        The axis runs from 0 to 1 for shares and from 0 to the largest value of the table for other units.
        """
        firsts = [scores[0] for _, scores in self.rows if scores[0]]
        tops = [score.value if score.high is None else score.high for score in firsts]
        top = 1.0 if describe(self.metrics[0]).unit == "%" else max(tops, default=0.0)
        return round(100 * min(max(value or 0.0, 0.0) / top, 1.0), 2) if top > 0 else 0.0


@dataclass(frozen=True)
class PairedGain:
    """What one answerer gains over another in a task, on the same samples.

    Attributes:
        task: Task name.
        metric: The deciding metric.
        gain: The first minus the second, turned so that positive is better, with a paired interval.
        p: Two-sided p-value of the paired test, adjusted for the number of tasks; None from too few scenes.
    """

    task: str
    metric: str
    gain: Score
    p: float | None

    @property
    def outcome(self) -> Outcome:
        """What may be said of the gain."""
        return outcome(self.gain.low, self.gain.high, self.p)

    @property
    def label(self) -> str:
        """The outcome as it is shown."""
        return label(self.outcome, self.gain)


@dataclass(frozen=True)
class Comparison(PairedGain):
    """The model against the best baseline of a task, on the deciding metric.

    Attributes:
        model: The model's score.
        baseline: Name of the best baseline.
        reference: Its score.
    """

    model: Score
    baseline: str
    reference: Score

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        how = describe(self.metric)
        scale, unit = how.difference_scale
        amount = f"{scale * abs(self.gain.value):.1f} {unit}".rstrip()
        gain = f"{amount} {'better' if self.gain.value >= 0 else 'worse'}"
        if self.gain.low is not None and self.gain.high is not None and self.p is not None:
            edges = (self.gain.low, self.gain.high)
            low, high = (f"{scale * edge:+.1f}".replace("-", "−") for edge in edges)
            gain += f" (95 % interval {low} to {high}, {probability(self.p)})"
        else:
            few = (
                "too few scenes for an interval" if self.gain.blocks is None else f"no interval: {self.label}"
            )
            gain += f" ({few})"
        own, reference = (show(score.value, self.metric) for score in (self.model, self.reference))
        return f"{how.label} {own} against {reference} of {words(self.baseline)}, {gain}"

    @property
    def clarity(self) -> float:
        """Gain in widths of its interval, by which metrics of different units can be ranked."""
        if self.gain.low is None or self.gain.high is None:
            return 0.0
        return self.gain.value / max(self.gain.high - self.gain.low, 1e-9)


class Breakdown(NamedTuple):
    """Scores of one task split by one property: rows of (value of the property, scores, number of samples).

    `left_out` values with the fewest samples are not in the rows.
    """

    task: str
    by: str
    metrics: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Score | None, ...], int], ...]
    left_out: int = 0


class Confusion(NamedTuple):
    """Which names of a task are taken for which: rows are true, columns given, in per cent of the row.

    Attributes:
        task: Task name.
        names: The names, in the order of rows and columns; a last column is for any other answer.
        rows: Name, its number of samples, and the share of each column.
    """

    task: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[float, ...]], ...]


def label(said: Outcome, gain: Score) -> str:
    """An outcome as it is shown."""
    if said != "unknown":
        return OUTCOMES[said]
    if gain.units is None:
        return "too few scenes"
    return "one block decides" if gain.blocks and gain.blocks >= FEWEST else f"only {gain.within}"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def probability(p: float) -> str:
    """A p-value in words."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def words(name: object) -> str:
    """A name from a recipe or a file as words."""
    return str(name).replace("_", " ")


def describe(metric: str) -> Metric:
    """How to show a metric; one that is not in the list is printed as a plain number."""
    return METRICS.get(metric) or Metric(words(metric), "", "")


def show(value: float, metric: str, unit: bool = True) -> str:
    """A value as the page prints it: per cent for shares, else with its unit."""
    how = describe(metric)
    if how.unit == "%":
        return f"{100 * value:.1f}" + " %" * unit
    return (f"{value:.1f}" if how.unit else f"{value:.2f}") + f" {how.unit}".rstrip() * unit


def task_scores(
    metrics: Mapping[str, Any], others: Sequence[tuple[str, Mapping[str, Any]]] = ()
) -> list[TaskScores]:
    """Score table of every task: the model's row, those of other models, those of the baselines.

    Args:
        metrics: As `metrics.json` holds them.
        others: Name and scores of other models, the latter like `metrics["tasks"]`.
    """
    baselines: Mapping[str, Mapping[str, Any]] = {
        **(metrics.get("baselines") or {}),
        **(metrics.get("informed_baselines") or {}),
    }
    tables = []
    for task, own in (metrics.get("tasks") or {}).items():
        rivals = [(name, tasks[task]) for name, tasks in (*others, *baselines.items()) if task in tasks]
        rows = [(name, _scores(record, own)) for name, record in [("model", own), *rivals]]
        tables.append(TaskScores(task, tuple(own), tuple(rows)))
    return [table for table in tables if table.metrics]


def comparisons(metrics: Mapping[str, Any], informed: bool = False) -> list[Comparison]:
    """The model against the best baseline of each task, where evaluation compared them.

    P-values are adjusted for the number of tasks (Holm), as many are tested at once.

    Args:
        metrics: As `metrics.json` holds them.
        informed: With the baselines that see the asked place, instead of those that see no image.
    """
    found = []
    scores, versus = _INFORMED if informed else _IMAGE_FREE
    records: Mapping[str, Mapping[str, Any]] = metrics.get(versus) or {}
    adjusted = holm([_number(record.get("p")) for record in records.values()])
    for (task, record), p in zip(records.items(), adjusted, strict=True):
        metric, baseline = str(record.get("metric")), str(record.get("baseline"))
        own = Score.of(((metrics.get("tasks") or {}).get(task) or {}).get(metric))
        rival = Score.of((((metrics.get(scores) or {}).get(baseline) or {}).get(task) or {}).get(metric))
        gain = Score.of(record)
        if own and rival and gain:
            found.append(Comparison(task, metric, turned(gain, metric), p, own, baseline, rival))
    return found


def breakdowns(metrics: Mapping[str, Any]) -> list[Breakdown]:
    """Scores by crop, size and the like, one table per task and property that has more than one value."""
    tables: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for by, values in (metrics.get("by") or {}).items():
        for value, tasks in values.items():
            for task, record in tasks.items():
                tables.setdefault((task, by), {})[value] = record
    return [_breakdown(task, by, values) for (task, by), values in sorted(tables.items()) if len(values) > 1]


def confusions(metrics: Mapping[str, Any]) -> list[Confusion]:
    """One table for each task that asks for names, if they are few enough to be read."""
    found = []
    for task, record in (metrics.get("confusion") or {}).items():
        names, matrix = record.get("classes") or (), record.get("matrix") or ()
        if 2 <= len(names) <= MOST_NAMES:
            rows = [
                (name, sum(counts), tuple(n / max(sum(counts), 1) for n in counts))
                for name, counts in zip(names, matrix, strict=True)
            ]
            found.append(Confusion(task, tuple(names), tuple(rows)))
    return found


UNKNOWN = "Whether the model beats the image-free baselines cannot be told"


def verdict(found: Sequence[Comparison]) -> str:
    """One sentence, computed: does the model beat the image-free baselines, by how much, how surely?"""
    if not found:
        return "No scores were found beside a baseline, so nothing can be said about this model yet."
    better, worse, similar, unknown = (
        [c for c in found if c.outcome == said] for said in ("better", "worse", "similar", "unknown")
    )
    if len(unknown) == len(found):
        if all(one.gain.blocks and one.gain.blocks >= FEWEST for one in found):
            return f"{UNKNOWN}: in each task one block decides."
        return (
            f"{UNKNOWN}: a comparison takes samples from at least {FEWEST} scenes, or blocks with a buffer "
            "between them, and no task has them."
        )
    clauses = []
    if better:
        best = max(better, key=lambda c: c.clarity)
        clauses.append(f"clearest in {words(best.task)}, {best.sentence}")
    if similar:
        clauses.append(f"{len(similar)} without a significant difference")
    if worse:
        worst = min(worse, key=lambda c: c.clarity)
        clauses.append(f"{len(worse)} worse, most in {words(worst.task)}, {worst.sentence}")
    if unknown:
        clauses.append(f"{len(unknown)} with too few scenes to tell")
    own = " This is about the ground of these scenes, not about others." * any(c.gain.blocks for c in found)
    return f"{_headline(len(better), len(found))}: {'; '.join(clauses)}.{own}"


def informed_verdict(found: Sequence[Comparison]) -> str:
    """One sentence: how does the model compare with methods that see what it sees of a place?"""
    groups = {
        text: [f"{words(c.task)} ({words(c.baseline)})" for c in found if c.outcome == said]
        for said, text in OUTCOMES.items()
    }
    clauses = [f"{text} in {', '.join(names)}" for text, names in groups.items() if names]
    return f"Against the best baseline that sees the asked place: {'; '.join(clauses)}." if clauses else ""


def _headline(better: int, tasks: int) -> str:
    if not better:
        return "The model does not beat the best image-free baseline in any task"
    if better == tasks:
        every = f"all {tasks} tasks" if tasks > 1 else "its one task"
        return f"The model beats the best image-free baseline in {every}"
    return f"The model beats the best image-free baseline in {better} of {tasks} tasks"


def _scores(record: Mapping[str, Any], metrics: Iterable[str]) -> tuple[Score | None, ...]:
    return tuple(Score.of(record.get(metric)) for metric in metrics)


def _breakdown(task: str, by: str, values: Mapping[str, Mapping[str, Any]]) -> Breakdown:
    metrics = tuple(dict.fromkeys(metric for record in values.values() for metric in record))
    rows = [(value, _scores(record, metrics), _samples(record)) for value, record in values.items()]
    sizes = sorted((-n, value) for value, _, n in rows)
    shown = {value for _, value in sizes[:MOST_VALUES]}
    kept = tuple(row for row in rows if row[0] in shown)
    return Breakdown(task, by, metrics, kept, len(rows) - len(kept))


def _samples(record: Mapping[str, Any]) -> int:
    """Samples behind the scores of a task, also where their value is not defined."""
    return max((int(score.get("n") or 0) for score in record.values()), default=0)


def turned(gain: Score, metric: str) -> Score:
    """A difference turned so that positive is better."""
    if not describe(metric).lower:
        return gain
    low, high = (None if edge is None else -edge for edge in (gain.high, gain.low))
    return Score(-gain.value, low, high, gain.n, gain.scenes, gain.blocks)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None

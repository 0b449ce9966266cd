"""How the runs of a study trained: steps to a score, runs that take off, steadiness, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, NamedTuple

from agrilape.evaluate.metric_sums import metric_named
from agrilape.report.study.study_files import Json, StudyRecord

LAST_LOOKS = 3
"""The final held-out score of a run is the mean of so many validations: one alone is noisy."""
IN_A_ROW = 2
"""Looks in a row at or above the target that count as having reached it."""
STABILITY = {
    "loss/spikes": "loss spikes",
    "switch/jump": "jump at the switch",
    "grad_norm/max": "largest gradient norm",
    "grad_norm/spread": "gradient norm, p95 / median",
}


@dataclass(frozen=True)
class StepsToScore:
    """Steps until a variant's runs reach the baseline's final held-out score.

    Attributes:
        variant: Its name.
        steps: Per seed; None where the run never did.
        share: Median over seeds of those steps over the steps of a whole run of the baseline; None if fewer
            than half of the runs reached it.
    """

    variant: str
    steps: tuple[int | None, ...]
    share: float | None

    @property
    def reached(self) -> int:
        """Number of runs that reached it."""
        return sum(one is not None for one in self.steps)

    @property
    def median(self) -> float | None:
        """Median steps, a run that never reached it counting as infinitely many."""
        return _median(self.steps)


def validation_scores(run: Json, measure: str) -> list[tuple[int, float]]:
    """Held-out scores of a run by step, counted over all its stages."""
    found: list[tuple[int, float]] = []
    before = 0
    for stage in run.get("stages", ()):
        curve = stage.get("curve") or {}
        pairs = zip(curve.get("step", ()), curve.get(measure, ()), strict=False)
        found += [(before + int(step), float(value)) for step, value in pairs if value is not None]
        before += int(stage["steps"])
    return found


def length(run: Json) -> int:
    """Steps of a run."""
    return sum(int(stage["steps"]) for stage in run.get("stages", ()))


def steps_to_reach(study: StudyRecord, measure: str) -> list[StepsToScore]:
    """Steps of each variant to the final held-out score of the baseline's run of the same seed.

    A run has reached it at the first of two scores in a row that are at least as good (the very last look
    counts alone).

    Args:
        study: The study.
        measure: A score that was looked at while training.
    """
    sign = -1 if metric_named(measure).lower_is_better else 1
    base = study.runs.get(study.baseline, {})
    targets = {
        seed: fmean(sign * value for _, value in seen[-LAST_LOOKS:])
        for seed, run in base.items()
        if (seen := validation_scores(run, measure))
    }
    found = []
    for variant, runs in study.runs.items():
        pairs = [(seed, run) for seed, run in runs.items() if seed in targets]
        steps = [
            _first([(s, sign * v) for s, v in validation_scores(run, measure)], targets[seed])
            for seed, run in pairs
        ]
        shares = [
            None if step is None else step / length(base[seed])
            for step, (seed, _) in zip(steps, pairs, strict=True)
        ]
        if pairs:
            found.append(StepsToScore(variant, tuple(steps), _median(shares)))
    return found


def _first(seen: Sequence[tuple[int, float]], target: float) -> int | None:
    good = [value >= target for _, value in seen]
    for number, (step, _) in enumerate(seen):
        if all(good[number : number + IN_A_ROW]):
            return step
    return None


def _median(values: Sequence[float | None]) -> float | None:
    """Median with None as infinity; None where it is infinite or there is nothing."""
    found = median(float("inf") if value is None else value for value in values) if values else float("inf")
    return None if found == float("inf") else float(found)


class TakeOffs(NamedTuple):
    """How many runs took off.

    Attributes:
        measure: The score that says so.
        threshold: What a run must be better than.
        counts: Of each variant, the runs that took off and all its runs; one that diverged did not.
    """

    measure: str
    threshold: float
    counts: Mapping[str, tuple[int, int]]


def take_offs(study: StudyRecord) -> TakeOffs | None:
    """How many runs of each variant took off; None if the plan does not ask, or without a threshold."""
    asked: Mapping[str, Any] = study.facts["plan"].get("take_off") or {}
    if not asked:
        return None
    measure = str(asked["on"])
    guessed = [value for run in study.image_free.values() if (value := _value(run, measure)) is not None]
    threshold = asked.get("above")
    if threshold is None:
        if not guessed:
            return None
        threshold = fmean(guessed)
    sign = -1 if metric_named(measure).lower_is_better else 1
    counts = {}
    for variant, runs in study.runs.items():
        values = [value for run in runs.values() if (value := _value(run, measure)) is not None]
        counts[variant] = (sum(sign * value > sign * threshold for value in values), len(runs))
    return TakeOffs(measure, float(threshold), counts)


def _value(run: Json, measure: str) -> float | None:
    task, _, metric = measure.rpartition(".")
    value = run.get("scores", {}).get("tasks", {}).get(task, {}).get("values", {}).get(metric)
    return None if value is None else float(value)


def stability(study: StudyRecord) -> list[tuple[str, list[tuple[str, list[float | None]]]]]:
    """For each stage, the mean stability figures (those of `STABILITY`) of each variant over its seeds."""
    stages: dict[str, list[tuple[str, list[float | None]]]] = {}
    for variant, runs in study.runs.items():
        names = dict.fromkeys(stage["stage"] for run in runs.values() for stage in run.get("stages", ()))
        for name in names:
            figures = [
                stage["stability"]
                for run in runs.values()
                for stage in run["stages"]
                if stage["stage"] == name
            ]
            means = [_mean(one.get(key) for one in figures) for key in STABILITY]
            if any(mean is not None for mean in means):
                stages.setdefault(name, []).append((variant, means))
    return list(stages.items())


@dataclass(frozen=True)
class Cost:
    """What a run of a variant costs, as a mean over its seeds.

    Attributes:
        variant: Its name.
        train_seconds: Optimiser steps alone.
        evaluation_seconds: Evaluation.
        parameters: All parameters.
        lape: Those of LAPE.
        diverged: Seeds whose training diverged.
    """

    variant: str
    train_seconds: float | None
    evaluation_seconds: float | None
    parameters: float | None
    lape: float | None
    diverged: tuple[int, ...]


def costs(study: StudyRecord) -> list[Cost]:
    """The cost of each variant."""
    return [_cost(variant, runs) for variant, runs in study.runs.items() if runs]


def _cost(variant: str, runs: Mapping[int, Json]) -> Cost:
    seconds = [sum(stage["seconds"] or 0.0 for stage in run.get("stages", ())) for run in runs.values()]
    counts = [run.get("parameters", {}) for run in runs.values()]
    return Cost(
        variant,
        _mean(seconds),
        _mean(run.get("evaluation_seconds") for run in runs.values()),
        _mean(one.get("total") for one in counts),
        _mean(one.get("lape", 0) for one in counts if one),
        tuple(seed for seed, run in runs.items() if "diverged" in run),
    )


def _mean(values: Any) -> float | None:
    found = [float(value) for value in values if value is not None]
    return fmean(found) if found else None

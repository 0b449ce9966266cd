"""The effect of each variant: paired with the baseline by seed and scene, with intervals and power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agrilape.evaluate.metric_sums import metric_named
from agrilape.evaluate.metrics.arrays import Floats
from agrilape.evaluate.metrics.crossed import SeedSceneEstimate, estimate_over_seeds_and_scenes
from agrilape.evaluate.metrics.intervals import Outcome, outcome
from agrilape.report.score_tables import describe, show
from agrilape.report.study.study_files import IMAGE_FREE, Json, MetricSums, StudyRecord, sums_of


@dataclass(frozen=True)
class Effect:
    """One variant on one score.

    Attributes:
        variant: Its name; `blind` (as files say) for the image-free baseline.
        score: Its score over seeds and scenes.
        gain: The score less that of the study's baseline on the same seeds and scenes, turned so that
            positive is better; None for the baseline itself.
        over_image_free: Likewise, less the image-free baseline's.
        spread: Standard deviation over seeds; None of a single one.
        n: Samples of each run.
        paired: Seeds on which it was compared.
    """

    variant: str
    score: SeedSceneEstimate
    gain: SeedSceneEstimate | None
    over_image_free: SeedSceneEstimate | None
    spread: float | None
    n: int
    paired: tuple[int, ...]

    @property
    def outcome(self) -> Outcome:
        """`better` or `worse` than the baseline, or `similar`; `unknown` from one seed or one scene."""
        return _outcome(self.gain)

    @property
    def beats_image_free(self) -> Outcome:
        """Likewise of the image-free baseline."""
        return _outcome(self.over_image_free)


@dataclass(frozen=True)
class Comparison:
    """All variants on one score.

    Attributes:
        measure: Name of the score.
        baseline: Effect of the baseline.
        effects: All variants in the plan's order, the baseline and `blind` among them.
    """

    measure: str
    baseline: Effect
    effects: tuple[Effect, ...]

    @property
    def metric(self) -> str:
        """Name of the metric."""
        return self.measure.rpartition(".")[2]

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.measure.rpartition(".")[0]

    def relative(self, effect: Effect) -> float | None:
        """Gain over the baseline's score; None where that is zero or nothing was compared."""
        base = self.baseline.score.value
        return None if effect.gain is None or not base else effect.gain.value / abs(base)

    def decided(self, outcome: str) -> list[Effect]:
        """Variants that are `better` than the baseline, or `worse`; the largest effect first."""
        found = [
            effect for effect in self.effects if effect.outcome == outcome and effect.variant != IMAGE_FREE
        ]
        return sorted(found, key=lambda effect: -abs(effect.gain.value) if effect.gain else 0.0)

    def reach(self) -> float:
        """Largest distance from zero of an interval of a gain: half the width of a drawing."""
        ends = [
            abs(end)
            for effect in self.effects
            if effect.gain
            for end in (effect.gain.low, effect.gain.high, effect.gain.value)
            if end is not None
        ]
        return max(ends, default=0.0) or 1.0


def _outcome(gain: SeedSceneEstimate | None) -> Outcome:
    if gain is None:
        return "unknown"
    if gain.value == 0 and gain.low is None and min(gain.seeds, gain.scenes) > 1:
        return "similar"  # the same answers in all runs
    return outcome(gain.low, gain.high, gain.p)


def compare_variants(study: StudyRecord) -> list[Comparison]:
    """Every score that counts; those that the baseline has no value of are skipped."""
    found = []
    for measure in study.measures:
        names = [str(variant["name"]) for variant in study.variants]
        runs = {name: study.scored(name) for name in names} | {IMAGE_FREE: dict(study.image_free)}
        effects = [effect for name in runs if (effect := _effect(name, runs, study.baseline, measure))]
        base = next((effect for effect in effects if effect.variant == study.baseline), None)
        if base is not None:
            found.append(Comparison(measure, base, tuple(effects)))
    return found


def _effect(name: str, runs: Mapping[str, Mapping[int, Json]], baseline: str, measure: str) -> Effect | None:
    """The effect of one variant; None if no run of it has the score."""
    sums = {
        who: _sums(records, measure) for who, records in runs.items() if who in (name, baseline, IMAGE_FREE)
    }
    own = sums[name]
    if not own:
        return None
    metric = metric_named(measure)
    score = estimate_over_seeds_and_scenes(_stacked(own, list(own)), statistic=metric.statistic)
    by_seed = [float(metric.statistic(one.sums.sum(axis=0))) for one in own.values()]
    shared = [seed for seed in own if seed in sums[baseline]]
    return Effect(
        name,
        score,
        _gain(own, sums[baseline], measure) if name != baseline else None,
        _gain(own, sums[IMAGE_FREE], measure) if name != IMAGE_FREE else None,
        float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else None,
        max(one.n for one in own.values()),
        tuple(shared),
    )


def _gain(
    own: Mapping[int, MetricSums], other: Mapping[int, MetricSums], measure: str
) -> SeedSceneEstimate | None:
    """The difference on shared seeds, turned so that positive is better."""
    seeds = [seed for seed in own if seed in other]
    if not seeds:
        return None
    metric = metric_named(measure)
    scenes = sorted({scene for side in (own, other) for seed in seeds for scene in side[seed].scenes})
    found = estimate_over_seeds_and_scenes(
        _stacked(own, seeds, scenes), _stacked(other, seeds, scenes), metric.statistic
    )
    if not metric.lower_is_better:
        return found
    low, high = (None if end is None else -end for end in (found.high, found.low))
    return found._replace(value=-found.value, low=low, high=high)


def _sums(records: Mapping[int, Json], measure: str) -> dict[int, MetricSums]:
    found = {seed: sums_of(record, measure) for seed, record in sorted(records.items())}
    return {seed: sums for seed, sums in found.items() if sums is not None}


def _stacked(sums: Mapping[int, MetricSums], seeds: Sequence[int], scenes: Sequence[str] = ()) -> Floats:
    """Quantities `[S, C, K]` of seeds and scenes; zeros where a seed lacks a scene."""
    names = list(scenes) or sorted({scene for seed in seeds for scene in sums[seed].scenes})
    place = {name: number for number, name in enumerate(names)}
    table = np.zeros((len(seeds), len(names), next(iter(sums.values())).sums.shape[1]))
    for row, seed in enumerate(seeds):
        table[row, [place[scene] for scene in sums[seed].scenes]] = sums[seed].sums
    return table


def amount(gain: SeedSceneEstimate | None, metric: str) -> str:
    """A gain with its interval, in points or in the metric's unit."""
    if gain is None:
        return "–"
    how = describe(metric)
    scale, unit = how.difference_scale
    digits = 1 if how.unit else 3
    text = f"{scale * gain.value:+.{digits}f} {unit}".rstrip()
    if gain.low is None or gain.high is None:
        return text
    return f"{text} ({scale * gain.low:+.{digits}f} to {scale * gain.high:+.{digits}f})"


def least(gain: SeedSceneEstimate | None, metric: str) -> str:
    """The smallest detectable effect in words."""
    if gain is None or gain.detectable is None:
        return "–"
    how = describe(metric)
    return f"{100 * gain.detectable:.1f} points" if how.unit == "%" else show(gain.detectable, metric)


def verdict(comparisons: Sequence[Comparison]) -> str:
    """One sentence, computed: what does best on the score that counts most, and how surely?"""
    if not comparisons:
        return "No variant has a score yet, so nothing can be said."
    first = comparisons[0]
    rivals = [effect for effect in first.effects if effect.gain and effect.variant != IMAGE_FREE]
    how = f"{describe(first.metric).label} in {first.task.replace('_', ' ')}"
    base = f"{first.baseline.variant} ({show(first.baseline.score.value, first.metric)})"
    if not rivals:
        return f"Only the baseline {base} has been run on {how}."
    best = max(rivals, key=lambda effect: effect.gain.value if effect.gain else 0.0)
    relative = first.relative(best)
    more = f", {100 * relative:+.0f} %" if relative is not None else ""
    said = {
        "better": f"On {how}, {best.variant} does best: {amount(best.gain, first.metric)}{more}, "
        f"against {base}",
        "similar": f"On {how}, no variant is significantly better than {base}; the best guess is "
        f"{best.variant} with {amount(best.gain, first.metric)}{more}",
        "unknown": f"On {how}, one seed or one scene cannot tell any variant from {base}; the best guess is "
        f"{best.variant} with {amount(best.gain, first.metric)}{more}",
        "worse": f"On {how}, every variant is worse than {base}",
    }[best.outcome]
    beating = [one for one in first.effects if one.variant != IMAGE_FREE and one.beats_image_free == "better"]
    seeds = f"{len(best.paired)} seeds, {best.score.scenes} scenes"
    total = sum(effect.variant != IMAGE_FREE for effect in first.effects)
    return f"{said} ({seeds}). {len(beating)} of {total} variants significantly beat the image-free baseline."

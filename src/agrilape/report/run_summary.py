"""Facts of a run for its tables: stages, steadiness, data and their limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from agrilape.dataset.split_notes import split_notes
from agrilape.evaluate.metrics.intervals import FEWEST
from agrilape.report.run_folder import Run, Stage
from agrilape.report.score_tables import TaskScores, words

FEW = 100
"""Below this number of samples a score is called uncertain."""


@dataclass(frozen=True)
class StageRow:
    """What one stage trained.

    Attributes:
        name: Stage name.
        trained: Parameter groups with their peak learning rates.
        lape: How LAPE takes part.
        length: Steps and batch.
        mixture: Data, the wanted share and, where logged, the achieved one.
        task_tokens: Share of each task in the tokens of questions and answers, largest first; empty if that
            is not logged.
        seconds: Wall time; None if not logged.
    """

    name: str
    trained: tuple[tuple[str, float], ...]
    lape: str
    length: str
    mixture: tuple[tuple[str, float, float | None], ...]
    task_tokens: tuple[tuple[str, float], ...]
    seconds: float | None


@dataclass(frozen=True)
class DataSet:
    """Where samples came from.

    Attributes:
        name: Name in the recipe.
        source: What it is made from.
        splits: What each split holds, in words.
        tasks: Number of samples per task.
        credits: Licences and citations.
        skipped: What was skipped, with the reason.
        notes: Splits that came out other than asked.
    """

    name: str
    source: str
    splits: tuple[tuple[str, str], ...]
    tasks: tuple[tuple[str, int], ...]
    credits: tuple[str, ...]
    skipped: tuple[str, ...]
    notes: tuple[str, ...] = ()


def stage_rows(run: Run) -> list[StageRow]:
    """One row per stage, from the recipe and the log."""
    return [_stage_row(stage) for stage in run.stages]


def _stage_row(stage: Stage) -> StageRow:
    settings = stage.settings
    rates = [(group, rate) for group, rate in (settings.get("learning_rates") or {}).items() if rate]
    mixture: Mapping[str, Any] = settings.get("mixture") or {}
    total = sum(entry.get("weight", 0) for entry in mixture.values()) or 1.0
    drawn = {key: value for row in stage.log for key, value in row.items() if key.startswith("mixture/")}
    batch, questions = settings.get("batch_size", "?"), settings.get("questions_per_chip", "?")
    return StageRow(
        stage.name,
        tuple(rates),
        _lape_schedule(settings),
        f"{settings.get('steps', len(stage.log))} steps of {batch} chips x {questions} questions",
        tuple(
            (name, entry.get("weight", 0) / total, drawn.get(f"mixture/{name}"))
            for name, entry in mixture.items()
        ),
        _task_tokens(stage),
        _seconds(stage),
    )


def _task_tokens(stage: Stage) -> tuple[tuple[str, float], ...]:
    """Shares of the tasks in all that was learnt: each row counts since the one before."""
    counts: Counter[str] = Counter()
    for row in stage.log:
        counts.update({key: value for key, value in row.items() if key.startswith("task_tokens/")})
    total = counts.total()
    return tuple((key.partition("/")[2], count / total) for key, count in counts.most_common())


def _seconds(stage: Stage) -> float | None:
    """Time of the optimiser steps, from the logged speeds."""
    speeds = [(row["step"], row["steps_per_second"]) for row in stage.log if row.get("steps_per_second")]
    seconds = sum((step - before) / speed for (before, _), (step, speed) in pairwise([(0, 0.0), *speeds]))
    return seconds if speeds else None


def _lape_schedule(settings: Mapping[str, Any]) -> str:
    if not settings.get("enable_lape"):
        return "off"
    how: Mapping[str, Any] = settings.get("lape_schedule") or {}
    warmup = how.get("lape_warmup_steps", 0)
    schedule, rate = how.get("schedule", "same"), f"{how.get('lape_lr_multiplier', 1)} x its rate"
    if schedule != "same":
        rate = f"{schedule} up to {rate} after {warmup} steps"
    gate = how.get("gate", "off")
    return f"on; {rate}; " + ("gate open" if gate == "off" else f"gate {gate} over {warmup} steps")


def stability(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """Stability figures of each stage, as measured by training."""
    rows = []
    for stage in stages:
        figures = stage.stability
        if figures:
            loss, norm = figures.get("loss") or {}, figures.get("grad_norm") or {}
            rows.append({
                "name": stage.name,
                "first": loss.get("first"), "last": loss.get("last"), "spikes": len(loss.get("spikes") or ()),
                "median": norm.get("median"), "max": norm.get("max"), "spread": norm.get("spread"),
                "jump": (figures.get("switch") or {}).get("jump"),
                "advice": figures.get("advice") or [],
            })  # fmt: skip
    return rows


def data_sets(run: Run) -> list[DataSet]:
    """Every data set of the run, from its manifest."""
    configured: Mapping[str, Any] = run.recipe.get("datasets") or {}
    names = dict.fromkeys([*configured, *run.manifests])
    return [_data_set(name, configured.get(name) or {}, run.manifests.get(name, {})) for name in names]


def _data_set(name: str, config: Mapping[str, Any], manifest: Mapping[str, Any]) -> DataSet:
    splits: Mapping[str, Mapping[str, Any]] = manifest.get("splits") or {}
    tasks: Counter[str] = Counter()
    for counts in splits.values():
        tasks.update(counts.get("tasks") or {})
    skipped = [f"{item.get('scene')}: {item.get('reason')}" for item in manifest.get("skipped_scenes") or ()]
    skipped += [f"{n} chips: {reason}" for reason, n in (manifest.get("skipped_chips") or {}).items()]
    return DataSet(
        name,
        _source(config.get("source") or {}),
        tuple((split, _amount(counts)) for split, counts in splits.items()),
        tuple(tasks.most_common()),
        tuple(dict.fromkeys(_credit(origin) for origin in manifest.get("origins") or ())),
        tuple(skipped),
        tuple(split_notes(manifest.get("config") or {}, splits)),
    )


def _amount(counts: Mapping[str, Any]) -> str:
    return f"{counts.get('chips', 0)} chips with {counts.get('samples', 0)} questions"


def _credit(origin: Mapping[str, Any]) -> str:
    """Who made the data, and on what terms they may be used."""
    if origin.get("source") == "simulate":
        return "made by agrilape's own simulator; nobody else to credit"
    licence = origin.get("licence") or "no licence recorded"
    return ". ".join(filter(None, [f"{origin.get('source')}: {licence}", origin.get("citation")]))


def _source(source: Mapping[str, Any]) -> str:
    match source.get("kind"):
        case "simulate":
            return f"simulated farmland, {source.get('scenes', '?')} scenes at {source.get('gsd', '?')} m"
        case "kit":  # of runs before version 0.2
            return f"own imagery and parcels, {source.get('name')}"
        case "folder":
            return f"own imagery and parcels, {source.get('path')}"
        case "format":
            return f"published data, {source.get('name')}"
        case _:
            return "not recorded"


def limits(run: Run, tables: Sequence[TaskScores]) -> list[str]:
    """What the reader must know before using the numbers; computed, so that it fits the run."""
    return list(_limits(run, tables))


def _limits(run: Run, tables: Sequence[TaskScores]) -> Iterator[str]:
    configs = (run.recipe.get("datasets") or {}).values()
    if configs and all((config.get("source") or {}).get("kind") == "simulate" for config in configs):
        yield (
            "All imagery is simulated: the scores say that the pipeline works, not how it does on real "
            "imagery."
        )
    bare = {words(table.task) for table in tables if table.units is not None and table.units < FEWEST}
    if bare:
        yield f"Fewer than {FEWEST} scenes in {', '.join(sorted(bare))}: neither interval nor significance."
    if any(table.by_block for table in tables):
        yield (
            "Intervals from blocks of fewer than six scenes are about the ground of these scenes, of which "
            "the test blocks are a random part: how the model does on other scenes they do not say."
        )
    few = {words(table.task) for table in tables if table.n < FEW} - bare
    if few:
        yield f"Fewer than {FEW} samples in {', '.join(sorted(few))}: read the intervals, not the values."
    yield "One run with one seed: the intervals are about the samples (resampled by scene), not about seeds."
    bins = (run.recipe.get("lape") or {}).get("num_spatial_tokens")
    if bins:
        yield f"A place is named to within 1/{2 * (bins - 1)} of a chip's side, and a field by its box."
    yield (
        "The image-free baselines see no pixel. The one to beat is the best on the train split, not the "
        "luckiest on these samples; to beat it is the least that a model must do."
    )
    if run.metrics.get("informed_baselines"):
        yield (
            "Baselines that see the asked place have the shown images alone, as the model has. The crop "
            "calendar is told the true crop, which no image says, so the model is not compared with it."
        )

"""What is kept of a run: one small JSON file with all that a study is judged by."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from agrilape.config.former_names import present_scores
from agrilape.evaluate.answer_arrays import Rows
from agrilape.evaluate.metric_sums import metric_named, scene_sums
from agrilape.evaluate.scores import EVERY_METRIC, Wanted
from agrilape.files import write_text
from agrilape.io.json_text import parse_json, read_json_if_sound
from agrilape.train.log import read_rows
from agrilape.train.validation import CURVE

Json: TypeAlias = dict[str, Any]
FORMAT = 1
POINTS = 40
"""Points of a stage's learning curve: enough to draw it."""
POSITION_LOSSES = ("loss_height", "loss_width", "loss_temporal")
KEPT = ("loss", "loss_text", "position_loss", "position_accuracy", "coordinate_error", "grad_norm")


def score_record(rows: Rows, wanted: Wanted = EVERY_METRIC) -> Json:
    """Scores of predictions with the sums per scene that intervals are made from.

    Returns:
        `scenes`: their names; `tasks`: task -> `n`, `values` (metric -> score) and `sums`, a list of
        `metrics` that share quantities, `scenes` (indices) and `sums` `[scenes][K]`.
    """
    found = scene_sums(rows, wanted)
    scenes = sorted({scene for blocks in found.values() for block in blocks for scene in block.scenes})
    index = {scene: number for number, scene in enumerate(scenes)}
    tasks: Json = {}
    for task, blocks in found.items():
        values: dict[str, float | None] = {}
        for block in blocks:
            for name in block.metrics:
                value = float(metric_named(f"{task}.{name}").statistic(block.sums.sum(axis=0)))
                values[name] = _short(value)
        tasks[task] = {
            "n": max(block.n for block in blocks),
            "values": values,
            "sums": [
                {
                    "metrics": list(block.metrics),
                    "scenes": [index[scene] for scene in block.scenes],
                    "sums": [[_short(value) for value in row] for row in block.sums.tolist()],
                }
                for block in blocks
            ],
        }
    return {"scenes": scenes, "tasks": tasks}


def training_record(stages: Iterable[Path]) -> list[Json]:
    """Learning curve, held-out scores, stability figures and time of each stage folder."""
    return [_stage_record(folder) for folder in stages]


def _stage_record(folder: Path) -> Json:
    rows = read_rows(folder / "log.jsonl")
    looks = read_rows(folder / CURVE)
    return {
        "stage": folder.name.partition("-")[2],
        "steps": len(rows),
        "seconds": _short(_seconds(rows)),
        "log": _thinned(rows),
        "curve": {key: [look.get(key) for look in looks] for key in looks[0]} if looks else {},
        "stability": _stability(folder / "stability.json"),
    }


def position_loss(row: Mapping[str, Any]) -> float | None:
    """Mean loss of the axes on which a step was scored; None where there was none."""
    found = [row[name] for name in POSITION_LOSSES if name in row]
    return float(np.mean(found)) if found else None


def _thinned(rows: Sequence[Json]) -> Json:
    """Means over equal stretches of steps."""
    if not rows:
        return {}
    full = [{**row, "position_loss": position_loss(row)} for row in rows]
    parts = [part for part in np.array_split(np.arange(len(full)), min(POINTS, len(full))) if len(part)]
    return {"step": [int(full[part[-1]]["step"]) for part in parts]} | {
        key: [_mean(full[i].get(key) for i in part) for part in parts]
        for key in KEPT
        if any(row.get(key) is not None for row in full)
    }


def _mean(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return _short(float(np.mean(found))) if found else None


def _seconds(rows: Sequence[Json]) -> float:
    """Time of the optimiser steps, from the logged speeds: what an interruption cost is not counted."""
    speeds = [(row["step"], row["steps_per_second"]) for row in rows if row.get("steps_per_second")]
    return float(sum((step - before) / speed for (before, _), (step, speed) in pairwise([(0, 0.0), *speeds])))


def _stability(path: Path) -> Json:
    """The stability figures that are numbers, nested ones as `group/name`, and of lists their length."""
    figures = parse_json(path.read_bytes(), infinite=True) if path.is_file() else {}
    return dict(_flat(figures))


def _flat(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | None]]:
    for key, value in figures.items():
        match value:
            case dict():
                yield from _flat(value, f"{prefix}{key}/")
            case list():
                yield f"{prefix}{key}", len(value)
            case bool() | str():
                pass
            case int() | float():
                yield f"{prefix}{key}", _short(value)


def write_record(path: Path, record: Json) -> None:
    """Write a record in one compact line per entry, whole or not at all."""
    lines = (
        f" {json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in record.items()
    )
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_record(path: Path) -> Json | None:
    """A record; None where there is none or it is damaged."""
    return present_scores(read_json_if_sound(path)) or None


def score_of(record: Json, name: str) -> float | None:
    """A score by its name `task.metric`; None where the run has none."""
    task, _, metric = name.rpartition(".")
    value = record.get("scores", {}).get("tasks", {}).get(task, {}).get("values", {}).get(metric)
    return None if value is None else float(value)


def _short(value: float) -> float | None:
    """A number to five digits; None for one that is not finite."""
    if not np.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(f"{value:.5g}")

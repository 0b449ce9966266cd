"""The files of a study, read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from agrilape.config.former_names import present_scores
from agrilape.errors import DataError, did_you_mean
from agrilape.evaluate.metrics.arrays import Floats
from agrilape.io.json_text import read_json_object

Json: TypeAlias = Mapping[str, Any]
IMAGE_FREE = "blind"  # as files of studies call it


class MetricSums(NamedTuple):
    """What a score of a run is made from.

    Attributes:
        scenes: Names of the scenes.
        sums: Additive quantities of each scene, `[scenes, K]`.
        n: Number of samples.
    """

    scenes: tuple[str, ...]
    sums: Floats
    n: int


@dataclass(frozen=True)
class StudyRecord:
    """A study.

    Attributes:
        folder: Where it lies.
        facts: Contents of `study.json`.
        runs: Records of the finished runs by variant and seed, the baseline first.
        image_free: Records of the image-free baselines by seed.
        trials: Records of a search, by variant.
    """

    folder: Path
    facts: Json
    runs: Mapping[str, Mapping[int, Json]]
    image_free: Mapping[int, Json]
    trials: Mapping[str, tuple[Json, ...]]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.facts["name"])

    @property
    def baseline(self) -> str:
        """Name of the variant that the others are compared with."""
        return str(self.facts["baseline"])

    @property
    def measures(self) -> list[str]:
        """Names of the scores that count, the first most."""
        return [str(name) for name in self.facts["measure"]]

    @property
    def variants(self) -> list[Json]:
        """What is said of each variant, the baseline first."""
        return sorted(self.facts["variants"], key=lambda variant: variant["name"] != self.baseline)

    def scored(self, variant: str) -> dict[int, Json]:
        """Runs of a variant that came to scores, by seed."""
        return {seed: run for seed, run in self.runs.get(variant, {}).items() if "scores" in run}


def read_study(folder: Path, baseline: str | None = None) -> StudyRecord:
    """Read a study's folder.

    Args:
        folder: Where it lies.
        baseline: Variant that the others are compared with; None: the plan's.

    Raises:
        DataError: It holds no study, a file is damaged, or there is no variant of that name.
    """
    if not (folder / "study.json").is_file():
        raise DataError(
            f"{folder} holds no study",
            "give the folder that `agrilape ablate` named, or run `ablate collect`",
        )
    facts = _read(folder / "study.json")
    known = [str(variant["name"]) for variant in facts["variants"]]
    if baseline is not None and baseline not in known:
        raise DataError(
            f"the study {folder} has no variant '{baseline}'",
            did_you_mean(baseline, known, f"use {', '.join(known)}"),
        )
    facts = {**facts, "baseline": baseline or facts["baseline"]}
    names = sorted(known, key=lambda name: name != facts["baseline"])
    return StudyRecord(
        folder,
        facts,
        {name: dict(_by_seed(folder / "results" / name)) for name in names},
        dict(_by_seed(folder / "results" / IMAGE_FREE)),
        {name: tuple(_trials(folder / "search" / name)) for name in names},
    )


def sums_of(run: Json, measure: str) -> MetricSums | None:
    """What a score `task.metric` of a run is made from; None where it has none."""
    task, _, metric = measure.rpartition(".")
    found = run["scores"]["tasks"].get(task)
    for block in found["sums"] if found else ():
        if metric in block["metrics"]:
            scenes = tuple(run["scores"]["scenes"][index] for index in block["scenes"])
            return MetricSums(scenes, np.asarray(block["sums"], dtype=np.float64), int(found["n"]))
    return None


def _by_seed(folder: Path) -> Iterator[tuple[int, Json]]:
    for file in sorted(folder.glob("*.json")):
        record = _read(file)
        yield int(record["seed"]), record


def _trials(folder: Path) -> Iterator[Json]:
    for file in sorted(folder.glob("[0-9]*-*.json"), key=lambda file: int(file.stem.partition("-")[0])):
        yield {**_read(file), "trial": int(file.stem.partition("-")[0])}


def _read(file: Path) -> Json:
    content: Json = present_scores(read_json_object(file, DataError, "remove it, and run the study again"))
    return content

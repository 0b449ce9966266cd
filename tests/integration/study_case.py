"""A study that takes seconds: a few steps on coloured squares, and a launcher without processes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from agrilape.config.recipe import DatasetConfig
from agrilape.dataset.manifest import Manifest, Shard, SplitCounts, hash_file
from agrilape.dataset.store import write_rows
from agrilape.study.cache import data_place
from agrilape.study.study_folder import Study

sys.path.insert(0, str(Path(__file__).parent))
import train_case as case

SPLITS = {"train": range(40), "val": range(40, 48), "test": range(48, 60)}
RANDOM = {"name": "random", "why": "rows of N(0, 1)", "set": {"lape.initialisation": "reference"}}
SMOOTH = {"name": "smooth", "why": "smooth rows", "set": {"lape.initialisation": "smooth"}}
BROKEN = {
    "name": "broken",
    "why": "fails when it is run: no chip holds such a task",
    "set": {"stages.warm.mixture.boxes.tasks": ["count"]},
}


def make_study(folder: Path, variants: Sequence[dict] = (RANDOM, SMOOTH), **changes: Any) -> Study:
    """A plan with its base recipe and prepared data below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = case.recipe(folder / "unused", steps=4).model_dump(mode="json")
    recipe["evaluation"] = {"datasets": ["fields"], "tasks": ["crop_box", "scene"], "limit": 6}
    recipe["model"]["mixed_precision"] = "off"
    (folder / "base.yaml").write_text(yaml.safe_dump(recipe))
    plan = {
        "name": "tiny", "why": "to see that studies work", "base": "base.yaml", "variants": list(variants),
        "seeds": {"values": [0, 1]}, "measure": ["crop_box.miou", "scene.accuracy"],
        "curve": {"every": 2, "samples": 4, "on": ["crop_box.miou"]}, "take_off": {"on": "crop_box.miou"},
        "device": "cpu", **changes,
    }  # fmt: skip
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    study = Study.open(str(folder / "plan.yaml"), folder / "out", folder / "work")
    _write_data(data_place(DatasetConfig(**case.DATASET), study.work))
    return study


def _write_data(folder: Path) -> None:
    """Prepared data in the cache, so that nothing is simulated."""
    shards, counts = [], {}
    for split, numbers in SPLITS.items():
        file = folder / f"{split}-00000.parquet"
        write_rows(file, map(case.example, numbers))
        size = file.stat().st_size
        shards.append(
            Shard(path=file.name, split=split, chips=len(numbers), bytes=size, sha256=hash_file(file))
        )
        counts[split] = SplitCounts(chips=len(numbers), pictures=0, samples=0, tasks={}, groups=())
    Manifest(
        name="fields", key="1", version="1", config=DatasetConfig(**case.DATASET), shards=tuple(shards),
        splits=counts, window=None, origins=(), skipped_scenes=(), skipped_chips={},
    ).write(folder)  # fmt: skip


class InProcess:
    """Runs `run-one` in this process, by its command line."""

    slots = 1

    def __init__(self) -> None:
        self.started: list[str] = []

    def start(self, command: Sequence[str], log: Path, slot: int) -> _Ended:
        from agrilape.cli.app import app

        arguments = list(command[command.index("agrilape") + 1 :])
        self.started.append("-".join(arguments[arguments.index("--variant") + 1 :: 2][:2]))
        outcome = CliRunner().invoke(app, arguments)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"{outcome.output}\n{outcome.exception}")
        return _Ended(outcome.exit_code)

    def close(self) -> None:
        pass


class _Ended:
    def __init__(self, status: int) -> None:
        self.status = status

    def poll(self) -> int:
        return self.status

    def kill(self) -> None:
        pass

"""A study on disk: small files that are kept and committed, and a working folder that is not.

```
OUTPUT/study.json                     the plan, what tuning chose, what failed
OUTPUT/results/<variant>/<seed>.json  one file per run; results/blind/<seed>.json for the image-free baselines
OUTPUT/tune/..., OUTPUT/search/...    likewise, of candidates and trials
WORK/data/<key>, WORK/stages/<key>    what runs have in common, by content
WORK/runs/<study>-<run>/, WORK/logs/  run folders and what the processes said
```
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from agrilape import __version__
from agrilape.config import Recipe
from agrilape.errors import RecipeError
from agrilape.evaluate.metric_sums import metric_named
from agrilape.study.content_keys import MAKES_RUNS, code_key
from agrilape.study.plan import SettingValues, StudyPlan, candidates, load_plan
from agrilape.study.results import FORMAT, Json, read_record, score_of, write_record
from agrilape.study.run_recipes import Run, recipe_of, test_runs, tune_runs

FILE = "study.json"
IMAGE_FREE = "blind"  # as files of studies call it
TRIALS, BEST = "trials.json", "best.json"


@dataclass(frozen=True)
class Study:
    """A plan and where its files go.

    Attributes:
        path: The plan's file, or the name of one that ships.
        output: Folder of the small files.
        work: Folder of everything else; studies may share it.
        any_code: Accept finished results of other versions of the code.
    """

    path: str
    output: Path
    work: Path
    any_code: bool = False
    _recipes: dict[str, Recipe] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def open(
        cls, path: str, output: Path | None = None, work: Path | None = None, any_code: bool = False
    ) -> Study:
        """The study of a plan, by default in `runs/studies/<name>`, working in `runs/work`."""
        plan, _ = load_plan(path)
        return cls(path, output or Path("runs/studies") / plan.name, work or Path("runs/work"), any_code)

    @cached_property
    def _loaded(self) -> tuple[StudyPlan, str]:
        return load_plan(self.path)

    @property
    def plan(self) -> StudyPlan:
        """The plan."""
        return self._loaded[0]

    @property
    def base(self) -> str:
        """The recipe that it builds on."""
        return self._loaded[1]

    def is_done(self, file: Path, key: str | None = None) -> bool:
        """Is a result there, made from the same things?"""
        record = read_record(file)
        if record is None or record.get("format") != FORMAT or (key is not None and record["key"] != key):
            return False
        return self.any_code or bool(record["code"] == code_key(MAKES_RUNS))

    def log_of(self, run: Run) -> Path:
        """What the process of a run said."""
        return self.work / "logs" / f"{self.plan.name}-{run.name}.log"

    def run_folder(self, run: Run) -> Path:
        """Where a run is made."""
        return self.work / "runs" / f"{self.plan.name}-{run.name}"

    def recipe(self, run: Run) -> Recipe:
        """The resolved recipe of a run, kept: a schedule asks each run for those of all its siblings.

        Raises:
            RecipeError: A setting does not exist or is invalid.
        """
        key = json.dumps([run.name, run.chosen], sort_keys=True)
        if key not in self._recipes:
            self._recipes[key] = recipe_of(self.plan, self.base, run, self.run_folder(run))
        return self._recipes[key]

    def chosen(self) -> dict[str, SettingValues]:
        """What tuning or a search chose, by variant: the best mean score on the val split.

        The plan may say it, if they were tuned before. Variants whose candidates have not all been run are
        skipped, so that no budget is smaller than another; a candidate that diverged has been run, and lost.
        """
        found: dict[str, SettingValues] = {}
        for variant in self.plan.all_variants():
            tried = self.tuning(variant.name)
            scored = [(settling, score) for settling, score in tried if score is not None]
            if self.plan.search is not None:
                if settling := read_record(self.output / "search" / variant.name / BEST):
                    found[variant.name] = settling
            elif self.plan.tune is None:
                found[variant.name] = {}
            elif self.plan.tune.chosen:
                found[variant.name] = self.plan.tune.chosen[variant.name]
            elif scored and not self._is_pending(variant.name):
                found[variant.name] = best(self.plan.tune.on, scored)
        return found

    def tuning(self, variant: str) -> list[tuple[SettingValues, float | None]]:
        """The candidates of a variant with their mean scores; None where a run diverged or is missing."""
        tune = self.plan.tune
        if tune is None:
            return []
        found: list[tuple[SettingValues, float | None]] = []
        for number, settling in enumerate(candidates(self.plan, self.plan.variant(variant))):
            records = [read_record(self.output / Run(variant, s, "tune", number).file) for s in tune.seeds]
            scores = [
                score for record in records if record and (score := score_of(record, tune.on)) is not None
            ]
            found.append((settling, fmean(scores) if len(scores) == len(tune.seeds) else None))
        return found

    def _is_pending(self, variant: str) -> bool:
        runs = [run for run in tune_runs(self.plan) if run.variant == variant]
        return not all(self.is_done(self.output / run.file) for run in runs)

    def test_runs(self) -> list[Run]:
        """The runs that count, of the variants that are tuned."""
        return test_runs(self.plan, self.chosen())

    def find(self, variant: str, seed: int, candidate: int | None, trial: int | None) -> Run:
        """A run by what its command line says of it.

        Raises:
            RecipeError: The plan has no such run, or its variant is not tuned yet.
        """
        self.plan.variant(variant)
        if trial is not None:
            return Run(variant, seed, "search", trial, self.trial(variant, trial))
        known = self.test_runs() if candidate is None else tune_runs(self.plan)
        for run in known:
            if (run.variant, run.seed, run.number) == (variant, seed, candidate or 0):
                return run
        if candidate is None and variant not in self.chosen():
            raise RecipeError(
                f"variant {variant} is not tuned yet", "run its candidates first, see `agrilape ablate list`"
            )
        raise RecipeError(
            f"the plan {self.plan.name} has no such run of {variant}",
            f"its seeds are {', '.join(map(str, self.plan.seeds.values))}",
        )

    def trial(self, variant: str, number: int) -> SettingValues:
        """What a trial of a search tries."""
        trials = read_record(self.output / "search" / variant / TRIALS) or {}
        if str(number) not in trials:
            raise RecipeError(
                f"there is no trial {number} of {variant}", "start the search with the plan itself"
            )
        return dict(trials[str(number)])

    def write_summary(self, failed: Mapping[str, str], machine: Mapping[str, Any]) -> Path:
        """Write `study.json`.

        Args:
            failed: Why runs failed, by name.
            machine: What they ran on.
        """
        plan, chosen = self.plan, self.chosen()
        record: Json = {
            "format": FORMAT,
            "name": plan.name,
            "why": plan.why,
            "version": __version__,
            "code": code_key(MAKES_RUNS),
            "date": datetime.now(UTC).date().isoformat(),
            "machine": dict(machine),
            "baseline": plan.reference,
            "seeds": list(plan.seeds.values),
            "measure": list(plan.measure),
            "variants": [
                {
                    "name": variant.name,
                    "why": variant.why,
                    "set": list(variant.set),
                    "chosen": chosen.get(variant.name, {}),
                    "tuning": [[settling, score] for settling, score in self.tuning(variant.name)],
                }
                for variant in plan.all_variants()
            ],
            "failed": dict(failed),
            "plan": plan.model_dump(mode="json", exclude={"variants", "grid"}),
        }
        path = self.output / FILE
        write_record(path, record)
        return path


def best(name: str, scores: Sequence[tuple[SettingValues, float]]) -> SettingValues:
    """The settings with the best score."""
    return max(scores, key=lambda item: sign_of(name) * item[1])[0]


def sign_of(name: str) -> int:
    """-1 for a score that is an error, else 1."""
    return -1 if metric_named(name).lower_is_better else 1


def describe_machine() -> Json:
    """What runs are timed on."""
    import torch

    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return {"cores": os.cpu_count(), "system": platform.platform(), "torch": torch.__version__, "gpus": gpus}

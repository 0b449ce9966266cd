"""The whole pipeline in order: prepare, train, evaluate, report; each step reads what the last one wrote."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agrilape.config import Recipe, dump_recipe
from agrilape.console import say, warn
from agrilape.locks import REPORT, run_locked


def run_recipe(recipe: Recipe) -> Path:
    """Run the whole pipeline; steps already finished with the same settings are not repeated.

    Args:
        recipe: What to make; its `output` is the run folder.

    Returns:
        The report page.
    """
    from agrilape.evaluate.suites import suite_of

    suite_of(recipe.evaluation)  # a slip in its name is found now, and not after hours
    with run_locked(recipe.output):
        with _step("1/4 prepare"):
            prepare_run(recipe)
        with _step("2/4 train"):
            train_run(recipe)
        with _step("3/4 evaluate"):
            evaluate_run(recipe)
        with _step("4/4 report"):
            return report_run(recipe.output)


def prepare_run(recipe: Recipe, workers: int | None = None, scheduler: str | None = None) -> list[Any]:
    """Prepare every data set of a recipe below `<run>/data`; returns their manifests.

    Args:
        recipe: The recipe.
        workers: Processes; None: some where there is enough to do.
        scheduler: Address of a Dask scheduler whose workers do it instead.

    Raises:
        DataError: A data set cannot be prepared, or one trains on what another is evaluated on.
    """
    from agrilape.dataset.recipe_leakage import check_recipe_leakage
    from agrilape.prepare.from_scenes import prepare_dataset
    from agrilape.train.starting_model import continued_recipe

    _refuse_unknown_tasks(recipe)
    with run_locked(recipe.output):
        dump_recipe(continued_recipe(recipe), recipe.output / "recipe.yaml")
        data = recipe.output / "data"
        manifests = [
            prepare_dataset(name, config, data / name, recipe.output / "scenes", workers, scheduler)
            for name, config in recipe.datasets.items()
        ]
        check_recipe_leakage(recipe, data)
        return manifests


def train_run(recipe: Recipe, only: Collection[str] = (), resume: bool = True) -> list[Path]:
    """Train the stages of a recipe, or only those named, going on or anew; returns the stage folders."""
    from agrilape.train import train_recipe
    from agrilape.train.disk_room import require_disk_room
    from agrilape.train.starting_model import continued_recipe

    for stage in recipe.stages:
        how = stage.lape_schedule
        if stage.enable_lape and how.schedule != "same" and how.lape_warmup_steps >= stage.steps:
            warn(
                f"stage {stage.name}: its {stage.steps} steps end before LAPE's warm-up of "
                f"{how.lape_warmup_steps}; set stages.{stage.name}.lape_schedule.lape_warmup_steps"
            )
    with run_locked(recipe.output):
        full = continued_recipe(recipe, fetch=True)
        dump_recipe(full, recipe.output / "recipe.yaml")
        require_disk_room(full, recipe.output, only)
        return train_recipe(recipe, recipe.output, recipe.output / "data", resume=resume, only=only)


def evaluate_run(recipe: Recipe) -> dict[str, Any]:
    """Predict and score with the last stage's checkpoint, whole maps too if wanted; returns the metrics."""
    from agrilape.evaluate import evaluate_run as evaluate
    from agrilape.evaluate.suites import map_tasks

    with run_locked(recipe.output):
        if not map_tasks(recipe.evaluation):
            return evaluate(recipe, recipe.output)
        from agrilape.maps import ask_maps

        return evaluate(recipe, recipe.output, ask_maps(recipe, recipe.output))


def calibrate_run(recipe: Recipe) -> Any:
    """Fit confidences to the val split and keep them beside the last checkpoint; returns what was fitted."""
    from agrilape.evaluate.calibration_run import calibrate_run as calibrate

    with run_locked(recipe.output):
        return calibrate(recipe, recipe.output)


def probe_run(recipe: Recipe, limit: int) -> dict[str, Any]:
    """Read what the last checkpoint's features say of greenness, crop and peak date; returns the scores."""
    from agrilape.evaluate.probing.probe import probe_run as probe

    with run_locked(recipe.output):
        return probe(recipe, recipe.output, limit)


def report_run(run: Path) -> Path:
    """Write the report page of a run folder."""
    from agrilape.report import write_report

    with run_locked(run, REPORT):
        return write_report(run)


def _refuse_unknown_tasks(recipe: Recipe) -> None:
    """Refuse misspelt tasks before anything is made; a release may give its questions names of its own."""
    from agrilape.dataset.tasks import MAP_TASKS, refuse_unknown_tasks
    from agrilape.prepare.from_release import is_published

    data = recipe.datasets
    listed = {task for config in data.values() for task in config.tasks}
    used = [
        (f"stages.{stage.name}.mixture.{name}", part.tasks, part.datasets)
        for stage in recipe.stages
        for name, part in stage.mixture.items()
    ]
    asked = tuple(task for task in recipe.evaluation.tasks or () if task not in MAP_TASKS)
    used.append(("evaluation", asked, recipe.evaluation.datasets))
    for where, tasks, datasets in used:
        if not any(is_published(data[name]) for name in datasets):
            refuse_unknown_tasks(f"{where}.tasks", tasks or (), listed)
    for name, config in data.items():
        if not is_published(config):
            refuse_unknown_tasks(f"datasets.{name}.tasks", config.tasks)


@contextmanager
def _step(title: str) -> Iterator[None]:
    say(title, "bold")
    began = time.monotonic()
    yield
    say(f"   {time.monotonic() - began:.0f} s", "dim")

"""A whole study: prepare once, tune fairly, run, and sum up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agrilape.console import progress, say, warn
from agrilape.study.cache import prepared
from agrilape.study.content_keys import dataset_key
from agrilape.study.launch import Launcher
from agrilape.study.plan import SettingValues
from agrilape.study.run_recipes import Run, test_runs, tune_runs
from agrilape.study.scheduler import Schedule
from agrilape.study.single_run import current_key
from agrilape.study.study_folder import Study, describe_machine


def run_study(study: Study, launcher: Launcher, *, keep: bool = False) -> dict[str, str]:
    """Do what a study still lacks; killed, the same call goes on.

    Args:
        study: The study.
        launcher: Starts the runs.
        keep: Keep the weights of finished runs.

    Returns:
        Why runs failed, by name; empty if none did.
    """
    schedule = Schedule(study, launcher, ["--keep"] if keep else [])
    try:
        prepare_all(study)
        if study.plan.search is not None:
            from agrilape.study.search import search

            search(schedule)
        _work_off(schedule, "tune", tune_runs(study.plan))
        _work_off(schedule, "test", study.test_runs())
        for variant in study.plan.all_variants():
            if variant.name not in study.chosen():
                schedule.failed.setdefault(variant.name, "no settings to test, since every candidate failed")
    finally:
        study.write_summary(schedule.failed, describe_machine())
        launcher.close()
    for name, reason in schedule.failed.items():
        warn(f"{name} failed: {reason}")
    return schedule.failed


def _work_off(schedule: Schedule, title: str, runs: Sequence[Run]) -> None:
    """Run what is not done, and say how much was."""
    study = schedule.study
    left = [run for run in runs if not _is_done(study, run)]
    if len(left) < len(runs):
        say(f"{title}: {len(runs) - len(left)} of {len(runs)} runs were finished before")
    if left:
        with progress(title, len(left), "runs") as track:
            schedule.work_off(left, track)


def prepare_all(study: Study) -> list[Path]:
    """Prepare every data set that the study needs, each once; returns their folders."""
    plan = study.plan
    untuned: dict[str, SettingValues] = {variant.name: {} for variant in plan.all_variants()}
    configs = {}
    for run in tune_runs(plan) + test_runs(plan, untuned):
        recipe = study.recipe(run)
        configs.update({dataset_key(config): (name, config) for name, config in recipe.datasets.items()})
    return [prepared(name, config, study.work) for name, config in configs.values()]


def startable_runs(study: Study, *, everything: bool = False) -> list[Run]:
    """The runs that can start now: candidates as long as some are missing, then the runs that count.

    Args:
        study: The study.
        everything: Finished ones, too.

    Raises:
        DataError: A data set is not prepared.
    """
    for runs in (tune_runs(study.plan), study.test_runs()):
        left = runs if everything else [run for run in runs if not _is_done(study, run)]
        if left:
            return left
    return []


def _is_done(study: Study, run: Run) -> bool:
    return study.is_done(study.output / run.file, current_key(study, run))

"""Suites: which tasks are measured, by which metrics, on how many samples, broken down by what.

A suite is a YAML file: one of those that ship in `recipes/suites`, or the user's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from agrilape.config.base import Settings
from agrilape.config.former_names import present_scores
from agrilape.config.load import recipe_folder
from agrilape.config.recipe import EvaluationConfig
from agrilape.dataset.tasks import MAP_TASKS
from agrilape.errors import RecipeError, did_you_mean
from agrilape.evaluate.breakdowns import BREAKDOWNS, DEFAULT_BREAKDOWNS
from agrilape.evaluate.scores import TASK_METRICS, metrics_of
from agrilape.io.yaml_text import read_yaml


class Suite(Settings):
    """What is measured."""

    name: str = "all"
    tasks: Annotated[dict[str, tuple[str, ...]] | None, BeforeValidator(present_scores)] = Field(
        None, description="Metrics of each task, the first standing for it; [] for all. Null: every task."
    )
    limit: int | None = Field(None, ge=1, description="Most samples per task; null: all.")
    breakdowns: tuple[str, ...] = Field(DEFAULT_BREAKDOWNS, description=f"Of {', '.join(BREAKDOWNS)}.")

    @property
    def metrics(self) -> dict[str, tuple[str, ...]]:
        """Metrics of each task that does not have all."""
        return {task: names for task, names in (self.tasks or {}).items() if names}


def suite_of(settings: EvaluationConfig) -> Suite:
    """The suite that an evaluation names, narrowed by the evaluation's own tasks and limit.

    Raises:
        RecipeError: The suite cannot be read, or names what does not exist; or no task is left.
    """
    suite = load_suite(settings.suite) if settings.suite else Suite()
    limits = [limit for limit in (suite.limit, settings.limit) if limit]
    tasks = suite.tasks
    if tasks is not None and settings.maps:
        tasks = {**dict.fromkeys(MAP_TASKS, ()), **tasks}
    if settings.tasks is not None:
        wanted = (*settings.tasks, *(MAP_TASKS if settings.maps else ()))
        known = tasks if tasks is not None else dict.fromkeys(wanted, ())
        tasks = {task: known[task] for task in wanted if task in known}
        if not tasks:
            raise RecipeError(
                f"the suite {suite.name} has none of the tasks {', '.join(settings.tasks)}",
                f"use some of {', '.join(known)}",
            )
    return suite.model_copy(update={"tasks": tasks, "limit": min(limits, default=None)})


def map_tasks(settings: EvaluationConfig) -> tuple[str, ...]:
    """The tasks of whole maps that an evaluation measures: all with `maps`, else those of its suite."""
    tasks = suite_of(settings).tasks
    return tuple(task for task in MAP_TASKS if (task in tasks if tasks is not None else settings.maps))


def load_suite(name: str | Path) -> Suite:
    """Read a suite.

    Args:
        name: A YAML file, or the name of a suite that ships.

    Raises:
        RecipeError: There is none, or it names a key, task, metric or breakdown that does not exist.
    """
    folder = recipe_folder() / "suites"
    path = Path(name) if Path(name).is_file() else folder / f"{name}.yaml"
    if not path.is_file():
        shipped = sorted(file.stem for file in folder.glob("*.yaml"))
        hint = did_you_mean(str(name), shipped, f"name a YAML file, or one of {', '.join(shipped)}")
        raise RecipeError(f"there is no suite '{name}'", hint)
    try:
        raw = read_yaml(path)
        suite = Suite.model_validate({"name": path.stem, **raw} if isinstance(raw, dict) else raw)
    except ValidationError as error:
        raise RecipeError(
            f"{path} is no suite: {_first_line(error)}", f"its keys are {', '.join(Suite.model_fields)}"
        ) from error
    _check(suite, path)
    return suite


def _check(suite: Suite, path: Path) -> None:
    _check_names(suite.tasks or (), TASK_METRICS, "task", path)
    _check_names(suite.breakdowns, BREAKDOWNS, "breakdown", path)
    for task in suite.metrics:
        metrics_of(task, (), suite.metrics)


def _check_names(names: Any, known: Any, what: str, path: Path) -> None:
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known, f"use some of {', '.join(known)}")
            raise RecipeError(f"{path} names the unknown {what} '{name}'", hint)


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return " ".join(str(error).split())

"""The plan of a study: which variants of a recipe are compared, over which seeds, tuned and measured how."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from agrilape.config.base import Settings
from agrilape.config.former_names import present_score
from agrilape.config.load import recipe_folder
from agrilape.errors import RecipeError, did_you_mean
from agrilape.io.yaml_text import read_yaml

Value: TypeAlias = str | bool | int | float
SettingValues: TypeAlias = dict[str, Value]
"""Values of settings by key, as tuned or searched."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+=-]*$"


def _as_list(given: Any) -> Any:
    return [as_override(key, value) for key, value in given.items()] if isinstance(given, dict) else given


ScoreName: TypeAlias = Annotated[str, AfterValidator(present_score)]
"""A score of a task, as field_at_point.miou."""
Overrides: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


class Variant(Settings):
    """One way to do it."""

    name: str = Field(pattern=NAME, description="Short; folders are named by it.")
    why: str = Field(description="What the variant is there to show.")
    set: Overrides = Field((), description="Overrides: a mapping, or a list of key=value as with --set.")
    tune: dict[str, tuple[Value, ...]] | None = Field(
        None, description="What is tuned instead of the plan's parameters, with as many candidates."
    )


class Axis(Settings):
    """Values of one setting, combined with all variants and other axes."""

    values: tuple[Value, ...] = Field(min_length=1)
    why: str


class Seeds(Settings):
    """Repetitions, and what differs between them."""

    values: tuple[int, ...] = Field((0, 1, 2, 3, 4), min_length=1)
    vary: dict[str, int] = Field(
        {"seed": 0, "model.seed": 0},
        description="Settings that become seed + the number given here. Add the seed of the simulated "
        "training scenes to have fresh ground for each; never that of test scenes, or runs cannot be paired.",
    )


class Tune(Settings):
    """Choice of settings on the val split, with the same number of candidates for every variant."""

    parameters: dict[str, tuple[Value, ...]] = Field(
        min_length=1,
        description="Candidates, all combinations; a factor for a key that ends in learning_rates.",
    )
    on: ScoreName = Field(description="What decides, e.g. field_at_point.miou, on the val split.")
    seeds: tuple[int, ...] = Field((99,), min_length=1, description="Seeds of the candidates' runs.")
    chosen: dict[str, SettingValues] = Field(
        {}, description="What it chose before, by variant: taken as it is, and no candidate is run."
    )


class Range(Settings):
    """A range to search in."""

    low: float
    high: float
    log: bool = Field(False, description="Search on a logarithmic scale.")


class Search(Settings):
    """A search by Optuna for the best settings on the val split; every trial is a run."""

    parameters: dict[str, Range | tuple[Value, ...]] = Field(min_length=1)
    trials: int = Field(ge=1)
    on: ScoreName = Field(description="What decides, on the val split.")
    sampler: Literal["tpe", "random"] = "tpe"
    prune: bool = Field(True, description="Stop trials whose position loss lags behind (median rule).")
    seed: int = Field(0, ge=0, description="Of the sampler and of the trials' runs.")


class Curve(Settings):
    """Scores of a fixed part of the val split while training."""

    every: int = Field(50, ge=1, description="Steps between validations.")
    samples: int = Field(100, ge=1, description="Samples per task.")
    on: tuple[ScoreName, ...] = Field(
        min_length=1, description="Scores, the first for steps to reach the baseline."
    )


class TakeOff(Settings):
    """When a run counts as having taken off."""

    on: ScoreName = Field(description="A score, e.g. field_at_point.miou.")
    above: float | None = Field(None, description="Threshold; null: the image-free baseline's score.")


class StudyPlan(Settings):
    """A whole study."""

    name: str = Field(pattern=NAME)
    why: str = Field(description="The question that the study answers.")
    base: str = Field(description="Recipe: a name that ships, or a path, from the plan's folder.")
    set: Overrides = Field((), description="Overrides common to all variants, likewise.")
    variants: tuple[Variant, ...] = ()
    grid: dict[str, Axis] = Field({}, description="Settings whose values are combined with every variant.")
    baseline: str | None = Field(
        None, description="Variant that the others are compared with; null: the first."
    )
    seeds: Seeds = Seeds()
    measure: tuple[ScoreName, ...] = Field(min_length=1, description="Scores that count, the first most.")
    tune: Tune | None = None
    search: Search | None = None
    curve: Curve | None = None
    take_off: TakeOff | None = None
    jobs: int = Field(1, ge=1, description="Processes side by side.")
    threads: int = Field(1, ge=1, description="Threads of all processes together.")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:1.")

    @model_validator(mode="after")
    def _check(self) -> StudyPlan:
        names = [variant.name for variant in self.all_variants()]
        if not names:
            raise ValueError("a plan needs variants, a grid, or both")
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two variants are called {', '.join(sorted(twice))}")
        if self.baseline is not None and self.baseline not in names:
            hint = did_you_mean(self.baseline, names, f"choose from {', '.join(names)}")
            raise ValueError(f"the baseline '{self.baseline}' is no variant: {hint}")
        if self.tune is not None and self.search is not None:
            raise ValueError("tune compares variants fairly, search looks for the best: use one of them")
        if self.tune is not None and self.tune.chosen:
            _check_chosen(self.tune.chosen, {v.name: candidates(self, v) for v in self.all_variants()})
        for variant in self.all_variants():
            budget = len(candidates(self, variant))
            if self.tune is not None and budget != len(combinations(self.tune.parameters)):
                raise ValueError(
                    f"variant {variant.name} has {budget} candidates to tune and the plan "
                    f"{len(combinations(self.tune.parameters))}: equal budgets are what makes tuning fair"
                )
        return self

    def all_variants(self) -> list[Variant]:
        """The variants, each with every combination of the grid."""
        if not self.grid:
            return list(self.variants)
        return [
            _at(variant, self.grid, point)
            for variant in self.variants or (None,)
            for point in _points(self.grid)
        ]

    def variant(self, name: str) -> Variant:
        """The variant of a name.

        Raises:
            RecipeError: There is none.
        """
        known = {variant.name: variant for variant in self.all_variants()}
        if name not in known:
            hint = did_you_mean(name, known, f"choose from {', '.join(known)}")
            raise RecipeError(f"the plan {self.name} has no variant '{name}'", hint)
        return known[name]

    @property
    def reference(self) -> str:
        """Name of the variant that the others are compared with."""
        return self.baseline or self.all_variants()[0].name


def load_plan(path: Path | str) -> tuple[StudyPlan, str]:
    """Read a plan.

    Args:
        path: A YAML file, or the name of a plan that ships (`smoke`).

    Returns:
        The plan, and the recipe that it builds on: a name, or a path that can be opened from here.

    Raises:
        RecipeError: It cannot be read, or is not valid.
    """
    file = _find(Path(path))
    try:
        plan = StudyPlan.model_validate({"name": file.stem, **_read(file)})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise RecipeError(f"{file} is no plan: {problems}", "see docs/studies.md for the form") from error
    beside = file.parent / plan.base
    return plan, str(beside) if beside.exists() else plan.base


def _find(path: Path) -> Path:
    shipped = recipe_folder() / "studies"
    file = next((file for file in (path, shipped / f"{path}.yaml") if file.is_file()), None)
    if file is None:
        names = sorted(other.stem for other in shipped.glob("*.yaml"))
        hint = did_you_mean(str(path), names, f"name a YAML file, or one of {', '.join(names)}")
        raise RecipeError(f"there is no plan '{path}'", hint)
    return file


def _read(file: Path, heirs: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The keys of a plan, on those of the plan that it extends: of `set` key by key, else as a whole."""
    raw = read_yaml(file, RecipeError, "see docs/studies.md for the form")
    if not isinstance(raw, dict):
        raise RecipeError(f"{file} is no plan: it holds no keys", "see docs/studies.md for the form")
    if "extends" not in raw:
        return raw
    name = str(raw.pop("extends"))
    older = _find(file.parent / name if (file.parent / name).is_file() else Path(name))
    if older.resolve() in (*heirs, file.resolve()):
        raise RecipeError(f"{file} extends itself, through {older}", "end the circle")
    base = _read(older, (*heirs, file.resolve()))
    common = [one.get("set") or {} for one in (base, raw)]
    if not all(isinstance(one, dict) for one in common):
        raise RecipeError(
            f"{file}: set is a list in it or in {older}, which cannot be extended", "write key: value instead"
        )
    return {**base, **raw, "set": {**common[0], **common[1]}}


def _check_chosen(chosen: Mapping[str, SettingValues], tried: Mapping[str, Sequence[SettingValues]]) -> None:
    """What tuning is said to have chosen must be a candidate of each variant."""
    for name, settings in tried.items():
        if chosen.get(name) not in settings:
            known = " or ".join(map(str, settings))
            raise ValueError(f"tune.chosen gives {chosen.get(name)} for variant {name}: it must be {known}")
    if unknown := sorted(set(chosen) - set(tried)):
        raise ValueError(f"tune.chosen names {', '.join(unknown)}, which no variant is called")


def candidates(plan: StudyPlan, variant: Variant) -> list[SettingValues]:
    """What is tried when a variant is tuned; one empty choice where nothing is."""
    if plan.tune is None:
        return [{}]
    return combinations(variant.tune or plan.tune.parameters)


def combinations(parameters: dict[str, tuple[Value, ...]]) -> list[SettingValues]:
    """Every combination of the values of settings."""
    return [dict(zip(parameters, values, strict=True)) for values in product(*parameters.values())]


def as_override(key: str, value: Any) -> str:
    """A setting as --set takes it."""
    return f"{key}={value if isinstance(value, str) else json.dumps(value)}"


def _points(grid: dict[str, Axis]) -> list[SettingValues]:
    return combinations({key: axis.values for key, axis in grid.items()})


def _at(variant: Variant | None, grid: dict[str, Axis], point: SettingValues) -> Variant:
    """A variant at a point of the grid, named by the last parts of the keys."""
    label = "+".join(f"{key.rpartition('.')[2]}={value}" for key, value in point.items())
    why = " ".join([*([variant.why] if variant else []), *(grid[key].why for key in point)])
    given = tuple(as_override(key, value) for key, value in point.items())
    if variant is None:
        return Variant(name=label, why=why, set=given)
    return Variant(name=f"{variant.name}+{label}", why=why, set=variant.set + given, tune=variant.tune)

"""The runs of a study, and the recipe that each is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agrilape.config import Recipe, load_recipe
from agrilape.config.load import parse_recipe
from agrilape.errors import RecipeError
from agrilape.study.plan import SettingValues, StudyPlan, Value, as_override, candidates

Phase = Literal["test", "tune", "search"]
RATES = "learning_rates"


@dataclass(frozen=True)
class Run:
    """One training with its evaluation.

    Attributes:
        variant: Name of the variant.
        seed: Its seed.
        phase: `test`: counts in the study; `tune` and `search`: evaluated on the val split.
        number: Candidate or trial; 0 in the phase `test`.
        chosen: Settings found by tuning, or those to try.
    """

    variant: str
    seed: int
    phase: Phase = "test"
    number: int = 0
    chosen: SettingValues = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The run's name for people, logs and folders."""
        number = "" if self.phase == "test" else f"-{self.phase}{self.number}"
        return f"{self.variant}{number}-{self.seed}"

    @property
    def file(self) -> str:
        """Where its result goes, below the study's folder."""
        if self.phase == "test":
            return f"results/{self.variant}/{self.seed}.json"
        return f"{self.phase}/{self.variant}/{self.number}-{self.seed}.json"


def tune_runs(plan: StudyPlan) -> list[Run]:
    """The runs of every variant's candidates; none if nothing is tuned, or the plan says what was chosen."""
    if plan.tune is None or plan.tune.chosen:
        return []
    return [
        Run(variant.name, seed, "tune", number, chosen)
        for seed in plan.tune.seeds
        for variant in plan.all_variants()
        for number, chosen in enumerate(candidates(plan, variant))
    ]


def recipe_of(plan: StudyPlan, base: str, run: Run, output: Path) -> Recipe:
    """The resolved recipe of a run.

    Args:
        plan: The plan.
        base: The recipe that it builds on, as `load_plan` found it.
        run: Which run.
        output: Run folder.

    Raises:
        RecipeError: A setting does not exist or is invalid, or training and test data would be the same.
    """
    variant = plan.variant(run.variant)
    factors = {key: value for key, value in run.chosen.items() if key.rpartition(".")[2] == RATES}
    given = [as_override(key, value) for key, value in run.chosen.items() if key not in factors]
    seeds = [as_override(key, offset + run.seed) for key, offset in plan.seeds.vary.items()]
    split = [] if run.phase == "test" else ["evaluation.split=val"]
    facts = [f"name={plan.name}/{run.name}", f"output={output}"]
    recipe = load_recipe(base, [*plan.set, *variant.set, *seeds, *given, *split, *facts])
    for key, factor in factors.items():
        recipe = _faster(recipe, key, factor)
    _check_ground(recipe, plan.name)
    return recipe


def _faster(recipe: Recipe, key: str, factor: Value) -> Recipe:
    """The recipe with the learning rates of a stage, or of all (`stages.*.learning_rates`), multiplied."""
    pieces = key.split(".")
    name = pieces[1] if len(pieces) == 3 and pieces[0] == "stages" else None
    names = [stage.name for stage in recipe.stages]
    if name is None or (name != "*" and name not in names):
        raise RecipeError(
            f"'{key}' names no stage", f"write stages.*.{RATES}, or name one of {', '.join(names)}"
        )
    raw = recipe.model_dump(mode="json")
    for stage in raw["stages"]:
        if name in ("*", stage["name"]):
            rates = stage[RATES].items()
            stage[RATES] = {group: rate and rate * float(factor) for group, rate in rates}
    return parse_recipe(raw, recipe.name)


def _check_ground(recipe: Recipe, plan: str) -> None:
    """Refuse simulated training scenes that are the test scenes, by another data set's name."""
    for tested in recipe.evaluation.datasets:
        for name in (one for one in recipe.trained_on if one != tested):
            ours, theirs = recipe.datasets[name].source, recipe.datasets[tested].source
            if ours.kind == theirs.kind == "simulate" and ours.seed == theirs.seed:
                raise RecipeError(
                    f"plan {plan}: data sets {name} and {tested} are made from scenes of the same seed "
                    f"{ours.seed}, and one of them is tested on",
                    "give them different source.seed, far enough apart for all seeds of the plan",
                )


def test_runs(plan: StudyPlan, chosen: Mapping[str, SettingValues]) -> list[Run]:
    """The runs that count, seed by seed, so that a study that is cut short can still be paired.

    Args:
        plan: The plan.
        chosen: What tuning chose, by variant; others are skipped.
    """
    return [
        Run(variant.name, seed, chosen=chosen[variant.name])
        for seed in plan.seeds.values
        for variant in plan.all_variants()
        if variant.name in chosen
    ]


def siblings(plan: StudyPlan, run: Run, chosen: Mapping[str, SettingValues]) -> list[Run]:
    """The runs of the same phase and seed as a run, itself included; a search has none to compare."""
    if run.phase == "search":
        return []
    runs = tune_runs(plan) if run.phase == "tune" else test_runs(plan, chosen)
    return [other for other in runs if other.seed == run.seed]

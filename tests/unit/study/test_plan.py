"""Plans: what they hold, what they refuse, and the recipes of their runs."""

from pathlib import Path

import pytest
import yaml

from agrilape.config.load import recipe_folder
from agrilape.errors import RecipeError
from agrilape.study.plan import candidates, load_plan
from agrilape.study.run_recipes import Run, recipe_of, test_runs, tune_runs
from agrilape.study.study_folder import Study

# the names begin like tests, but are not
test_runs.__test__ = False

PLAN = {
    "why": "to see",
    "base": "quickstart",
    "measure": ["field_at_point.miou"],
    "variants": [{"name": "a", "why": "plain"}, {"name": "b", "why": "other", "set": {"lape.ntp": "value"}}],
}


def write(folder: Path, **changes) -> Path:
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump({**PLAN, **changes}))
    return path


@pytest.mark.parametrize("name", sorted(file.stem for file in (recipe_folder() / "studies").glob("*.yaml")))
def test_the_shipped_plans_are_valid(name):
    plan, base = load_plan(name)
    for run in test_runs(plan, {variant.name: {} for variant in plan.all_variants()}):
        recipe_of(plan, base, run, Path("runs/x"))


def test_a_grid_multiplies_the_variants(tmp_path):
    path = tmp_path / "plan.yaml"
    grid = (
        "grid:\n  lape.ntp: {values: [gradient, off], why: NTP}\n  lape.tied: {values: [true], why: ties}\n"
    )
    path.write_text(yaml.safe_dump(PLAN) + grid)
    plan, base = load_plan(path)
    assert [variant.name for variant in plan.all_variants()] == [
        "a+ntp=gradient+tied=True", "a+ntp=off+tied=True", "b+ntp=gradient+tied=True", "b+ntp=off+tied=True",
    ]  # fmt: skip
    recipe = recipe_of(plan, base, Run("b+ntp=off+tied=True", 0), tmp_path)
    assert recipe.lape.ntp == "off"
    assert recipe.lape.tied is True


def test_a_plan_extends_another_key_by_key_in_what_it_sets(tmp_path):
    write(tmp_path, set={"stages.align.steps": 5, "lape.ntp": "off"}, jobs=3)
    heir = tmp_path / "heir.yaml"
    heir.write_text("extends: plan.yaml\nwhy: more\nset: {lape.ntp: value, lape.tied: true}\n")
    plan, base = load_plan(heir)
    assert (plan.name, plan.why, plan.jobs, base) == ("heir", "more", 3, "quickstart")
    assert plan.variants == load_plan(tmp_path / "plan.yaml")[0].variants
    recipe = recipe_of(plan, base, Run("a", 0), tmp_path)
    assert (recipe.stages[0].steps, recipe.lape.ntp, recipe.lape.tied) == (5, "value", True)


def test_plans_that_extend_in_a_circle_or_a_list_are_refused(tmp_path):
    path = write(tmp_path, extends="heir.yaml")
    (tmp_path / "heir.yaml").write_text("extends: plan.yaml\n")
    with pytest.raises(RecipeError, match="extends itself"):
        load_plan(path)
    write(tmp_path, set=["seed=3"])
    with pytest.raises(RecipeError, match="set is a list"):
        load_plan(tmp_path / "heir.yaml")
    (tmp_path / "heir.yaml").write_text("extends: headlin\n")
    with pytest.raises(RecipeError, match="did you mean 'headline'"):
        load_plan(tmp_path / "heir.yaml")


def test_seeds_vary_what_the_plan_says(tmp_path):
    plan, base = load_plan(write(tmp_path, seeds={"values": [3], "vary": {"seed": 0, "model.seed": 10}}))
    recipe = recipe_of(plan, base, Run("a", 3), tmp_path)
    assert (recipe.seed, recipe.model.seed) == (3, 13)
    assert recipe.evaluation.split == "test"


def test_rates_are_tuned_by_a_factor_on_the_val_split(tmp_path):
    tune = {
        "parameters": {"stages.domain.learning_rates": [0.5, 2]},
        "on": "field_at_point.miou",
        "seeds": [9],
    }
    plan, base = load_plan(write(tmp_path, tune=tune))
    runs = tune_runs(plan)
    assert [(run.variant, run.number) for run in runs] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    recipe, plain = recipe_of(plan, base, runs[1], tmp_path), recipe_of(plan, base, Run("a", 9), tmp_path)
    assert recipe.evaluation.split == "val"
    ours, theirs = recipe.stages[2].learning_rates, plain.stages[2].learning_rates
    assert (ours.llm, ours.lape) == (2 * theirs.llm, 2 * theirs.lape)
    assert recipe.stages[0] == plain.stages[0]


def test_unequal_budgets_are_refused(tmp_path):
    variants = [PLAN["variants"][0], {"name": "b", "why": "x", "tune": {"lape.ntp": ["value"]}}]
    tune = {"parameters": {"stages.*.learning_rates": [0.5, 2]}, "on": "field_at_point.miou"}
    with pytest.raises(RecipeError, match="equal budgets"):
        load_plan(write(tmp_path, variants=variants, tune=tune))


def test_another_parameter_with_the_same_budget_may_be_tuned(tmp_path):
    variants = [PLAN["variants"][0], {"name": "b", "why": "x", "tune": {"lape.ntp": ["value", "gradient"]}}]
    tune = {"parameters": {"stages.*.learning_rates": [0.5, 2]}, "on": "field_at_point.miou"}
    plan, _ = load_plan(write(tmp_path, variants=variants, tune=tune))
    assert candidates(plan, plan.variant("b")) == [{"lape.ntp": "value"}, {"lape.ntp": "gradient"}]


def tuned_before(chosen):
    parameters = {"stages.*.learning_rates": [0.5, 1]}
    return {"parameters": parameters, "on": "field_at_point.miou", "chosen": chosen}


def test_what_tuning_chose_before_is_taken_without_running_a_candidate(tmp_path):
    slow, fast = {"stages.*.learning_rates": 0.5}, {"stages.*.learning_rates": 1}
    file = write(tmp_path, tune=tuned_before({"a": slow, "b": fast}))
    plan, _ = load_plan(file)
    study = Study.open(str(file), tmp_path / "output", tmp_path / "work")
    assert tune_runs(plan) == []
    assert study.chosen() == {"a": slow, "b": fast}
    rates = {run.variant: study.recipe(run).stages[2].learning_rates.llm for run in study.test_runs()}
    assert rates["a"] == rates["b"] / 2


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"a": {"stages.*.learning_rates": 0.5}}, "None for variant b"),
        ({"a": {"stages.*.learning_rates": 3}, "b": {"stages.*.learning_rates": 1}}, "3} for variant a"),
        ({name: {"stages.*.learning_rates": 1} for name in "abc"}, "names c"),
    ],
)
def test_what_tuning_chose_must_be_candidates_of_the_variants(tmp_path, chosen, said):
    with pytest.raises(RecipeError, match=said):
        load_plan(write(tmp_path, tune=tuned_before(chosen)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"baseline": "aa"}, "baseline 'aa' is no variant: did you mean 'a'"),
        ({"variants": []}, "variants, a grid, or both"),
        ({"variants": [PLAN["variants"][0]] * 2}, "two variants are called a"),
        ({"variant": 1}, "Extra inputs"),
        ({"device": "tpu"}, "device"),
    ],
)
def test_mistakes_are_named(tmp_path, changes, said):
    with pytest.raises(RecipeError, match=said):
        load_plan(write(tmp_path, **changes))


def test_training_on_test_scenes_by_another_name_is_refused(tmp_path):
    changes = {"datasets.more": {"source": {"kind": "simulate", "seed": 7}, "tasks": ["layout"]},
               "datasets.single_date.source.seed": 7,
               "stages.align.mixture.words.datasets": ["more"]}  # fmt: skip
    plan, base = load_plan(write(tmp_path, set=changes))
    with pytest.raises(RecipeError, match="same seed 7"):
        recipe_of(plan, base, Run("a", 0), tmp_path)


def test_a_wrong_key_of_a_variant_is_named(tmp_path):
    variants = [{"name": "a", "why": "x", "set": {"lape.nttp": "off"}}]
    plan, base = load_plan(write(tmp_path, variants=variants))
    with pytest.raises(RecipeError, match="ntp"):
        recipe_of(plan, base, Run("a", 0), tmp_path)

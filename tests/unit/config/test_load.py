"""Recipes: validation, overrides, the strategy's own names."""

from pathlib import Path

import pytest
import yaml

from agrilape.config import dump_recipe, load_recipe, parse_recipe, shipped_recipes
from agrilape.config.recipe import DatasetConfig
from agrilape.dataset.tasks import TASKS
from agrilape.errors import RecipeError

MINIMAL = {
    "name": "tiny",
    "output": "runs/tiny",
    "datasets": {"farmland": {"source": {"kind": "simulate"}, "tasks": ["crop_box"]}},
    "stages": [
        {
            "name": name,
            "enable_lape": name != "align",
            "learning_rates": {"llm": 1e-3},
            "mixture": {"all": {"weight": 1, "datasets": ["farmland"]}},
            "steps": 3,
        }
        for name in ("align", "domain")
    ],
    "evaluation": {"datasets": ["farmland"]},
}


@pytest.fixture
def recipe_file(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(MINIMAL))
    return file


def test_every_shipped_recipe_is_valid():
    assert {"quickstart", "kits", "agri_rs", "lora", "full"} <= set(shipped_recipes())
    for name in shipped_recipes():
        assert load_recipe(name).stages


def test_strategy_names_reach_their_settings(recipe_file):
    recipe = load_recipe(
        recipe_file,
        ["num_spatial_tokens=120", "lape_warmup_steps=7", "lape_lr_multiplier=0.25", "spatial_pos_weight=3"],
    )
    assert recipe.lape.num_spatial_tokens == 120
    assert recipe.loss.spatial_pos_weight == 3
    assert {stage.lape_schedule.lape_warmup_steps for stage in recipe.stages} == {7}
    assert {stage.lape_schedule.lape_lr_multiplier for stage in recipe.stages} == {0.25}


def test_strategy_names_may_stand_at_the_top_of_a_recipe(recipe_file):
    names = {"num_spatial_tokens": 120, "lape_warmup_steps": 7, "temporal_pos_weight": 0.5}
    recipe_file.write_text(yaml.safe_dump({**MINIMAL, **names}))
    recipe = load_recipe(recipe_file, ["num_spatial_tokens=90"])
    assert recipe == load_recipe(
        recipe_file,
        ["lape.num_spatial_tokens=90", "stages.*.lape_schedule.lape_warmup_steps=7"],
    )
    assert (recipe.lape.num_spatial_tokens, recipe.loss.temporal_pos_weight) == (90, 0.5)
    assert parse_recipe({**MINIMAL, **names}).lape.num_spatial_tokens == 120


def test_a_setting_that_is_said_twice_differently_is_refused():
    with pytest.raises(RecipeError, match=r"num_spatial_tokens is 120, but .* is 100(.|\n)*say it once"):
        parse_recipe({**MINIMAL, "num_spatial_tokens": 120, "lape": {"num_spatial_tokens": 100}})


def test_a_stage_is_skipped_by_null(recipe_file):
    assert [stage.name for stage in load_recipe(recipe_file, ["stages.align=null"]).stages] == ["domain"]


def test_a_learned_gate_of_a_stage_makes_the_gate_of_lape_learned(recipe_file):
    learned = "stages.domain.lape_schedule.gate=learned"
    assert load_recipe(recipe_file).lape.gate == "fixed"
    assert load_recipe(recipe_file, [learned]).lape.gate == "learned"
    with pytest.raises(RecipeError, match=r"lape\.gate=learned"):
        load_recipe(recipe_file, [learned, "lape.gate=fixed"])


def test_loggers_are_given_by_name(recipe_file):
    assert load_recipe(recipe_file).report_to == ("tensorboard",)
    assert load_recipe(recipe_file, ["report_to=wandb"]).report_to == ("wandb",)
    assert load_recipe(recipe_file, ["report_to=[tensorboard, trackio]"]).report_to == (
        "tensorboard",
        "trackio",
    )
    with pytest.raises(RecipeError, match="report_to"):
        load_recipe(recipe_file, ["report_to=wanddb"])


def test_the_word_off_is_not_false(recipe_file):
    assert load_recipe(recipe_file, ["lape.ntp=off"]).lape.ntp == "off"
    with recipe_file.open("a") as file:
        file.write("\nmodel: {mixed_precision: off, trust_remote_code: no}\n")
    model = load_recipe(recipe_file).model
    assert (model.mixed_precision, model.trust_remote_code) == ("off", False)


def test_stages_are_addressed_by_name_and_number(recipe_file):
    recipe = load_recipe(recipe_file, ["stages.domain.steps=11", "stages.0.steps=12"])
    assert [stage.steps for stage in recipe.stages] == [12, 11]


def test_master_switch_turns_lape_off_everywhere(recipe_file):
    recipe = load_recipe(recipe_file, ["enable_lape=false"])
    assert recipe.coordinates == "text"
    assert not any(stage.enable_lape for stage in recipe.stages)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("lape.num_spatial_token=3", "did you mean 'num_spatial_tokens'"),
        ("stages.1.mixture.all.datasets=[farmlnd]", "did you mean 'farmland'"),
        ("stages.lape.steps=3", "align, domain"),
        ("lape.num_spatial_tokens=1", "num_spatial_tokens"),
        ("model.preset=null", "preset or a path"),
        ("coordinates=text", "enables LAPE"),
        ("steps", "cannot read the override"),
        ("stages.1.name=align", "share a name"),
        ("stages.domain.learning_rates={}", "domain: nothing trains"),
        ("stages.align.learning_rates={lape: 1.0e-3}", "it is off"),
        ("stages.align.learning_rates.lora=1.0e-3", "set model.lora_rank"),
        ("model.lora_rank=8", "learning_rates.lora instead of llm"),
        ("stages.domain.lape_schedule={gate: linear, lape_warmup_steps: 0}", "has no steps"),
    ],
)
def test_errors_name_the_field_and_the_remedy(recipe_file, override, said):
    with pytest.raises(RecipeError, match=said):
        load_recipe(recipe_file, [override])


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(RecipeError, match="did you mean 'quickstart'"):
        load_recipe("quikstart")


def test_a_dumped_recipe_reads_back_equal(recipe_file, tmp_path):
    recipe = load_recipe(recipe_file)
    dump_recipe(recipe, tmp_path / "out" / "recipe.yaml")
    assert load_recipe(tmp_path / "out" / "recipe.yaml") == recipe


def test_a_setting_that_came_later_and_is_not_used_leaves_what_is_prepared_as_it_is():
    """The key of a data set is made from its settings."""
    plain = DatasetConfig.model_validate({"source": {"kind": "folder", "path": "k"}})
    assert "only_split" not in plain.model_dump(mode="json")
    one = plain.model_copy(update={"only_split": "test"})
    assert DatasetConfig.model_validate_json(one.model_dump_json()) == one


def test_missing_parts_are_named():
    with pytest.raises(RecipeError, match="evaluation is missing"):
        parse_recipe({key: value for key, value in MINIMAL.items() if key != "evaluation"})


def test_a_run_folder_is_a_recipe_of_where_it_lies_and_a_checkpoint_one_of_its_stages(tmp_path):
    recipe = load_recipe("quickstart")
    run = tmp_path / "moved"
    dump_recipe(recipe, run / "recipe.yaml")
    (run / "stages" / "2-lape_warmup").mkdir(parents=True)
    assert load_recipe(run) == recipe.model_copy(update={"output": run})
    partial = load_recipe(run / "stages" / "2-lape_warmup", ["seed=3"])
    assert (partial.output, partial.seed) == (run, 3)
    assert [stage.name for stage in partial.stages] == ["align", "lape_warmup"]
    with pytest.raises(RecipeError, match="there is no recipe"):
        load_recipe(tmp_path)


def test_the_recipe_of_a_large_model_asks_all_that_there_is_to_ask():
    recipe = load_recipe("agri_rs")
    asked = [task for dataset in recipe.datasets.values() for task in dataset.tasks]
    assert sorted(asked) == sorted(TASKS)
    for dataset in recipe.datasets.values():
        dated = {TASKS[task].dated for task in dataset.tasks}
        assert dated == {dataset.series > 0}


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/b", ".", "", "a\\b", "x" * 300])
def test_names_of_data_sets_are_names_of_folders(name):
    raw = yaml.safe_load(yaml.safe_dump(MINIMAL).replace("farmland", "PLACE"))
    raw["datasets"] = {name: raw["datasets"]["PLACE"]}
    with pytest.raises(RecipeError, match=r"datasets.*the name"):
        parse_recipe(raw)


def test_a_recipe_of_the_users_own_keeps_its_comments(tmp_path):
    """It lies in its own run folder, as `recipe.yaml`: what was resolved goes beside it, and is the run."""
    mine = tmp_path / "recipe.yaml"
    mine.write_text("# what I found out\n" + yaml.safe_dump({**MINIMAL, "output": str(tmp_path)}))
    before = mine.read_text()
    dump_recipe(load_recipe(mine, ["seed=7"]), mine)
    assert mine.read_text() == before
    assert load_recipe(tmp_path).seed == 7
    assert load_recipe(mine).seed == 0
    other = tmp_path / "other" / "recipe.yaml"
    for seed in (1, 2):  # one that was written by a run is written again
        dump_recipe(load_recipe(mine, [f"seed={seed}"]), other)
    assert load_recipe(other.parent).seed == 2
    assert [path.name for path in other.parent.iterdir()] == ["recipe.yaml"]


def test_a_list_that_is_too_short_is_named_like_any_other_fault(tmp_path):
    source = {"kind": "simulate"}
    short = MINIMAL | {"datasets": {"farmland": {"source": source, "tasks": ["crop_box"], "split": []}}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(short))
    with pytest.raises(RecipeError, match=r"datasets\.farmland\.split"):
        load_recipe(tmp_path / "r.yaml")


def test_a_model_path_needs_no_preset_taken_back():
    assert parse_recipe({**MINIMAL, "model": {"path": "shipped:nano"}}).model.preset is None
    with pytest.raises(RecipeError, match="either a preset or a path"):
        parse_recipe({**MINIMAL, "model": {"preset": "nano", "path": "shipped:nano"}})


def test_a_kit_is_the_folder_that_the_tool_lays_out(recipe_file, capsys):
    """The former kind of source leads to where its data lies now; a warning says how it gets there."""
    raw = yaml.safe_load(recipe_file.read_text())
    raw["datasets"] = {
        "fields": {"source": {"kind": "kit", "name": "us_naip_field_polygons"}, "tasks": ["count"]},
        "jutland": {"source": {"kind": "kit", "name": "dk_s2_lpis2016"}, "tasks": ["count"]},
    } | raw["datasets"]
    recipe_file.write_text(yaml.safe_dump(raw))
    recipe = load_recipe(recipe_file)
    assert recipe.datasets["fields"].source.path == Path("data/kits/us_naip_field_polygons")
    assert recipe.datasets["fields"].source.images == "**/*.png"
    assert recipe.datasets["jutland"].source.images == "**/*.tif"
    assert "tools/make_kits.py" in capsys.readouterr().err

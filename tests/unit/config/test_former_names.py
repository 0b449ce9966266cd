"""What was written with the names of version 0.1 is still read, and still recognised."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from agrilape.config import load_recipe
from agrilape.config.former_names import in_digests, present_scores
from agrilape.config.load import dump_recipe
from agrilape.config.recipe import DatasetConfig, SimulateSource
from agrilape.errors import RecipeError
from agrilape.evaluate.suites import load_suite
from agrilape.prepare.opening import fingerprint
from agrilape.study.content_keys import digest_of, run_key
from agrilape.study.plan import load_plan
from agrilape.train.stages import fingerprints

FORMER = """
name: old
output: runs/old
coordinates: numerals
enable_lape: false
datasets:
  ground:
    source: {kind: folder, path: ground, fully_labelled: true}
    tasks: [greenest, green_span, field_and_span, crop_at_point]
    picture_side: 64
    series: 2
stages:
  - name: domain
    enable_lape: false
    learning_rates: {llm: 1.0e-3}
    introduction: {schedule: same, gate: off}
    mixture:
      all: {weight: 1.0, datasets: [ground], tasks: [greenest, crop_at_point]}
    recolour: 1.0
    steps: 2
evaluation: {datasets: [ground], tasks: [greenest], expectation: true, constrained: true}
"""
NOW = {
    "picture_side": "image_size", "fully_labelled": "exhaustively_labelled", "introduction": "lape_schedule",
    "recolour": "colour_jitter", "expectation": "soft_argmax", "constrained": "constrained_decoding",
    "numerals": "text", "greenest": "peak_of_season", "green_span": "growing_season",
    "field_and_span": "field_and_season",
}  # fmt: skip


@pytest.fixture
def former(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(FORMER)
    return path


def present_text() -> str:
    text = FORMER
    for old, new in NOW.items():
        text = (
            text.replace(f"{old}:", f"{new}:").replace(f" {old},", f" {new},").replace(f"[{old}", f"[{new}")
        )
    return text.replace("coordinates: numerals", "coordinates: text")


def test_a_recipe_in_former_names_means_the_same_and_says_what_they_are_now(former, tmp_path, capsys):
    recipe = load_recipe(former)
    told = " ".join(capsys.readouterr().err.split())
    assert all(f"{old} is now {new}" in told for old, new in NOW.items() if old != "numerals")
    assert told.count("warning") == 1
    now = tmp_path / "now.yaml"
    now.write_text(present_text())
    assert load_recipe(now) == recipe
    assert capsys.readouterr().err == ""
    load_recipe(former)
    assert capsys.readouterr().err == "", "once is enough"


def test_what_was_made_from_former_names_is_recognised(former):
    """The digests were made by version 0.1 from this very recipe."""
    recipe = load_recipe(former)
    assert fingerprints(recipe, {"ground": "k"}) == ["8eca117ce92f26ef"]
    assert run_key(recipe, {}, None) == "a0f589a4c2d4f6e1"
    assert digest_of(recipe.datasets["ground"].model_dump(mode="json")) == "1f3ba3250a8b21a7"
    on = ["enable_lape=true", "coordinates=position_tokens", "stages.domain.enable_lape=true"]
    assert fingerprints(load_recipe(former, on), {"ground": "k"}) == ["abbd6f25d8ea3274"]


def test_digests_do_not_confuse_settings():
    raw = yaml.safe_load(present_text())
    assert in_digests(raw) == yaml.safe_load(FORMER)


@pytest.mark.parametrize("override", [
    "stages.*.introduction.lape_warmup_steps=7", "stages.domain.introduction={lape_warmup_steps: 7}",
])  # fmt: skip
def test_overrides_in_former_names(override, tmp_path):
    (tmp_path / "now.yaml").write_text(present_text())
    recipe = load_recipe(
        tmp_path / "now.yaml", [override, "evaluation.constrained=false", "datasets.ground.tasks=[greenest]"]
    )
    assert recipe.stages[0].lape_schedule.lape_warmup_steps == 7
    assert not recipe.evaluation.constrained_decoding
    assert recipe.datasets["ground"].tasks == ("peak_of_season",)


def test_a_run_is_read_without_a_word(former, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text(FORMER)
    assert load_recipe(run).stages == load_recipe(former, ["stages.domain.steps=2"]).stages
    assert str(run) not in capsys.readouterr().err
    assert "lape_schedule" in dump_recipe(load_recipe(run), tmp_path / "new.yaml").read_text()


def test_both_names_at_once_are_refused(former):
    former.write_text(FORMER.replace("picture_side: 64", "picture_side: 64\n    image_size: 32"))
    with pytest.raises(RecipeError, match="picture_side"):
        load_recipe(former)


def test_settings_in_python_take_former_names():
    source = {"kind": "folder", "path": "x", "fully_labelled": True}
    config = DatasetConfig.model_validate({"source": source, "picture_side": 64, "tasks": ["greenest"]})
    assert (config.image_size, config.tasks) == (64, ("peak_of_season",))
    assert config.source.exhaustively_labelled


def test_plans_suites_and_scores_in_former_names(tmp_path):
    (tmp_path / "plan.yaml").write_text(
        "why: x\nbase: quickstart\nmeasure: [greenest.days, field_at_point.ciou]\n"
        "variants: [{name: a, why: y}]\n"
    )
    assert load_plan(tmp_path / "plan.yaml")[0].measure == (
        "peak_of_season.days",
        "field_at_point.cumulative_iou",
    )
    (tmp_path / "suite.yaml").write_text("tasks: {greenest: [days], field_at_point: [ciou]}\n")
    assert load_suite(tmp_path / "suite.yaml").tasks == {
        "peak_of_season": ("days",), "field_at_point": ("cumulative_iou",),
    }  # fmt: skip
    scores = {"tasks": {"greenest": {"days": {"value": 3.0}}, "absent_crop": {"declined": {"value": 1.0}}}}
    assert json.dumps(present_scores(scores)) == json.dumps(
        {
            "tasks": {
                "peak_of_season": {"days": {"value": 3.0}},
                "absent_crop": {"refusal_rate": {"value": 1.0}},
            }
        }
    )


def test_a_new_version_does_not_make_simulated_data_stale():
    assert fingerprint(SimulateSource()) == ["0.1.0"], "changes only where a seed gives another landscape"

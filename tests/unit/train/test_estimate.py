"""What a dry run says, against what a run then does."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agrilape.model import attach, build_preset, parameter_groups
from agrilape.tokens import add_position_tokens
from agrilape.train.estimate import estimate_recipe, missing_extras, what_to_set
from agrilape.train.setup import add_lora

sys.path.insert(0, str(Path(__file__).parents[2] / "integration"))
import train_case as case


def sizes(model) -> dict[str, int]:
    groups = parameter_groups(model)
    return {name: sum(p.numel() for _, p in members) for name, members in groups.items() if members}


def test_parameters_are_those_of_the_model_that_would_train(tmp_path) -> None:
    stages = [s.model_dump(mode="json") for s in case.recipe(tmp_path).stages]
    for stage in stages:
        stage["learning_rates"] = {"lora": 1e-3}
    recipe = case.recipe(tmp_path, stages=stages, model={"lora_rank": 3})
    align, warm = estimate_recipe(recipe, tmp_path)
    model, processor = build_preset("nano")
    model = add_lora(model, 3)
    assert align.parameters == sizes(model)
    assert set(align.trained) == {"lora"}
    attached = attach(build_preset("nano").model, add_position_tokens(processor, recipe.lape))
    assert warm.parameters == {**sizes(model), "lape": sizes(attached)["lape"]}
    assert set(warm.trained) == {"lora", "lape"}
    assert warm.checkpoint_bytes == 4 * sum(warm.trained.values())


def test_lengths_and_epochs_come_from_the_prepared_data(tmp_path) -> None:
    case.write_data(tmp_path, chips=40)
    recipe = case.recipe(tmp_path)
    align, warm = estimate_recipe(recipe, tmp_path)
    unprepared, _ = estimate_recipe(recipe, tmp_path / "nowhere")
    assert align.questions == 2
    assert 64 + 10 < align.tokens < 64 + 60
    assert align.epochs == pytest.approx({"words": 6 * 4 / 40})
    assert sum(warm.epochs.values()) == pytest.approx(6 * 4 / 40)
    assert align.seconds > 0
    trained = sum(align.trained.values())
    assert (unprepared.memory["weights"], unprepared.memory["training"]) == (4 * trained, 12 * trained)
    assert (
        align.memory_bytes == unprepared.memory_bytes + align.memory["activations"] + align.memory["logits"]
    )
    assert unprepared.tokens is None
    assert unprepared.seconds is None


def test_a_stage_that_will_not_fit_is_named_with_what_to_set_until_it_does(tmp_path) -> None:
    case.write_data(tmp_path, chips=40)
    stage = case.recipe(tmp_path, steps=4).stages[1].model_dump(mode="json") | {"batch_size": 16}
    recipe = case.recipe(tmp_path, stages=[stage], model={"mixed_precision": "off"})
    (plain,) = estimate_recipe(recipe, tmp_path, gpu=10**12)
    assert what_to_set(recipe, plain, 10**12) is None
    gpu = plain.memory_bytes - plain.memory["activations"]
    (small,) = estimate_recipe(recipe, tmp_path, gpu=gpu)
    assert small.memory["activations"] < plain.memory["activations"], "its parts are smaller"
    remedy = what_to_set(recipe, plain, gpu)
    assert remedy == "set model.gradient_checkpointing=true"
    again = recipe.model_copy(
        update={"model": recipe.model.model_copy(update={"gradient_checkpointing": True})}
    )
    (less,) = estimate_recipe(again, tmp_path, gpu=10**12)
    assert less.memory_bytes < plain.memory_bytes
    assert "lora" in what_to_set(again, less, less.memory["weights"])
    asked = recipe.model_copy(update={"model": recipe.model.model_copy(update={"tokens_at_once": 1})})
    (alone,) = estimate_recipe(asked, tmp_path)
    assert alone.memory["activations"] < estimate_recipe(recipe, tmp_path)[0].memory["activations"] / 4


def held(process: int) -> int:
    """Peak of a process so far, and what its children do not share with it now, in bytes.

    The kernel keeps the peak, so that a look now and then misses nothing of it.
    """
    status = Path(f"/proc/{process}/status").read_text()
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    rolls = [Path(f"/proc/{child}/smaps_rollup").read_text() for child in children]
    own = [re.findall(r"^Private_\w+:\s+(\d+)", roll, re.M) for roll in rolls]
    return 1024 * (int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) + sum(int(n) for one in own for n in one))


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux says what a process holds")
def test_memory_is_about_what_a_run_takes(tmp_path) -> None:
    case.write_data(tmp_path, chips=40)
    stage = case.recipe(tmp_path, steps=4).stages[1].model_dump(mode="json")
    changes = {"stages": [{**stage, "batch_size": 16, "questions_per_chip": 4}]}
    (estimate,) = estimate_recipe(case.recipe(tmp_path, **changes), tmp_path)
    command = [sys.executable, case.__file__, str(tmp_path / "run"), str(tmp_path), "never"]
    peak = 0
    with subprocess.Popen(
        [*command, json.dumps(changes)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.DEVNULL,
    ) as run:
        while run.poll() is None:
            try:
                peak = max(peak, held(run.pid))
            except (OSError, IndexError):  # it, or a child, has just ended
                continue
            time.sleep(0.02)
    assert run.returncode == 0
    assert 0.7 < estimate.memory_bytes / peak < 1.5
    beyond = peak - estimate.memory["process"]
    assert 0.7 < (estimate.memory_bytes - estimate.memory["process"]) / beyond < 1.5


def test_what_is_not_installed_is_said_before_training(tmp_path, monkeypatch) -> None:
    stages = [
        s.model_dump(mode="json") | {"learning_rates": {"lora": 1e-3}} for s in case.recipe(tmp_path).stages
    ]
    recipe = case.recipe(tmp_path, stages=stages, model={"lora_rank": 3})
    assert missing_extras(recipe) == []
    monkeypatch.setattr("agrilape.train.estimate.find_spec", lambda name: None)
    assert missing_extras(recipe) == ["lora_rank needs PEFT: pip install 'agrilape[peft]'"]

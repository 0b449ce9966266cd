"""Training a recipe: what it leaves behind, and that nothing can be lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agrilape.errors import RecipeError
from agrilape.model import lape_of, load_checkpoint, parameter_groups
from agrilape.model.inspect import inspect_checkpoint
from agrilape.samples.types import Picture
from agrilape.train import train_recipe
from agrilape.train.trainer import TrainingDivergedError

sys.path.insert(0, str(Path(__file__).parent))
import train_case as case

pytestmark = pytest.mark.timeout(240)
EXACT = {"mixed_precision": "off"}
TIMED = {"steps_per_second", "samples_per_second"}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    case.write_data(folder)
    return folder


@pytest.fixture(scope="module")
def exact(tmp_path_factory, data) -> Path:
    """A run in float32 throughout, where only the order of sums may differ."""
    run = tmp_path_factory.mktemp("exact")
    train_recipe(case.recipe(run, model=EXACT), run, data)
    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data) -> Path:
    run = tmp_path_factory.mktemp("run")
    train_recipe(case.recipe(run), run, data)
    return run


def log_of(run: Path, stage: str) -> list[dict]:
    lines = (run / "stages" / stage / "log.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMED} for line in lines]


def train_process(run: Path, data: Path, death: int = 0, launcher: tuple[str, ...] = (), **changes) -> int:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *launcher, case.__file__, str(run), str(data), str(death), json.dumps(changes)]
    return subprocess.run(command, env=environment, check=False, capture_output=True).returncode


def test_stages_leave_checkpoints_logs_and_stability(trained) -> None:
    first, second = (load_checkpoint(trained / "stages" / name) for name in ("1-align", "2-warm"))
    assert lape_of(first.model) is None
    assert second.config is not None
    assert second.config.num_spatial_tokens == 20
    rows = log_of(trained, "2-warm")
    assert [row["step"] for row in rows] == list(range(1, 7))
    assert [row["gate"] for row in rows] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert [row["lr_lape"] for row in rows[:5]] == [0, 0.25e-3, 0.5e-3, 0.75e-3, 1e-3]
    assert all(row["loss_text"] > 0 for row in log_of(trained, "1-align"))
    last = rows[-1]
    assert {"loss_height", "loss_width", "position_accuracy", "coordinate_error", "grad_norm"} <= set(last)
    assert set(last["lape_gradient"]) == {"input", "output", "injection", "ntp"}
    assert last["lape_gradient"]["ntp"] > 0
    assert sum(last["mixture"].values()) == pytest.approx(1)
    stability = json.loads((trained / "stages" / "2-warm" / "stability.json").read_text())
    assert stability["steps"] == 6
    assert stability["switch"] is not None
    assert list((trained / "stages" / "2-warm" / "tensorboard").iterdir())


def test_finished_stages_are_skipped_and_changed_ones_trained_again(trained, data, tmp_path, capsys) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    train_recipe(case.recipe(run), run, data)
    assert capsys.readouterr().out.count("skipped") == 2
    changed = case.recipe(run, loss={"spatial_pos_weight": 1.0})
    train_recipe(changed, run, data, only=["warm"])
    assert log_of(run, "1-align") == log_of(trained, "1-align")
    assert log_of(run, "2-warm")[-1]["loss"] != log_of(trained, "2-warm")[-1]["loss"]


@pytest.mark.parametrize("death", [1, 9])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(trained, data, tmp_path, death) -> None:
    run = tmp_path / "run"
    assert train_process(run, data, death) == -signal.SIGKILL
    if death == 9:  # as if the disk had lost the end of the newest checkpoint, too
        newest = max((run / "stages" / "2-warm" / "resume").glob("checkpoint-*"))
        weights = newest / "model.safetensors"
        os.truncate(weights, weights.stat().st_size // 2)
    assert train_process(run, data) == 0
    for stage in ("1-align", "2-warm"):
        assert log_of(run, stage) == log_of(trained, stage)
        names = ("model.safetensors", "lape.safetensors") if stage == "2-warm" else ("model.safetensors",)
        for name in names:
            ours, theirs = ((folder / "stages" / stage / name).read_bytes() for folder in (run, trained))
            assert ours == theirs


def test_accumulated_gradients_are_those_of_the_whole_batch(exact, data, tmp_path) -> None:
    stages = [s.model_dump(mode="json") for s in case.recipe(tmp_path).stages]
    halves = [{**stages[0], "batch_size": 2, "gradient_accumulation": 2}]
    train_recipe(case.recipe(tmp_path, stages=halves, model=EXACT), tmp_path, data)
    ours, theirs = ([row["loss"] for row in log_of(run, "1-align")] for run in (tmp_path, exact))
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_two_processes_learn_what_one_learns(exact, data, tmp_path) -> None:
    stages = [{**s.model_dump(mode="json"), "batch_size": 2} for s in case.recipe(tmp_path).stages]
    shipped = Path(__file__).parents[2] / "recipes" / "accelerate" / "ddp.yaml"
    launcher = ("-m", "accelerate.commands.launch", f"--config_file={shipped}")
    launcher += ("--num_processes=2", "--main_process_port=29611")  # without GPUs they talk through gloo
    assert train_process(tmp_path, data, launcher=launcher, stages=stages, model=EXACT) == 0
    for stage in ("1-align", "2-warm"):
        ours, theirs = ([row["loss"] for row in log_of(run, stage)] for run in (tmp_path, exact))
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_lora_trains_with_lape_and_checkpoints_hold_nothing_else(data, tmp_path) -> None:
    stages = [s.model_dump(mode="json") for s in case.recipe(tmp_path).stages]
    for stage in stages:
        stage["learning_rates"] = {"projector": 1e-3, "lora": 1e-2, "lape": 2e-3}
    changes = {"stages": stages, "model": {"lora_rank": 2}}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    *_, last = train_recipe(case.recipe(whole, **changes), whole, data)
    facts = inspect_checkpoint(last)
    assert facts["kind"] == "adapter"
    assert {name for name, count in facts["parameters"].items() if count} == {
        "projector", "lora", "lape", "total",
    }  # fmt: skip
    lora = dict(parameter_groups(load_checkpoint(last).model)["lora"])
    assert all(value.any() for name, value in lora.items() if "lora_B" in name)
    assert not any("vision" in name for name in lora)
    assert train_process(killed, data, death=9, **changes) == -signal.SIGKILL
    assert train_process(killed, data, **changes) == 0
    assert log_of(killed, "2-warm") == log_of(whole, "2-warm")


def test_divergence_stops_and_says_where_the_last_good_checkpoint_is(
    trained, data, tmp_path, monkeypatch
) -> None:
    recipe = case.recipe(tmp_path / "run", steps=8)
    from agrilape.train import loss

    original, calls = loss.AnswerCriterion.__call__, []

    def poisoned(self, *args, **kwargs):
        calls.append(1)
        result = original(self, *args, **kwargs)
        return result._replace(loss=result.loss * float("nan")) if len(calls) == 6 else result

    monkeypatch.setattr(loss.AnswerCriterion, "__call__", poisoned)
    with pytest.raises(TrainingDivergedError, match=r"at step 6(.|\n)*checkpoint-4"):
        train_recipe(recipe, tmp_path / "run", data)
    assert log_of(tmp_path / "run", "1-align")[-1]["step"] == 6


def test_lape_rows_are_frozen_and_off_in_a_later_stage_without_lape(trained, data, tmp_path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    stages = [stage.model_dump(mode="json") for stage in case.recipe(run).stages]
    stages.append({**stages[0], "name": "again", "steps": 2})
    train_recipe(case.recipe(run, stages=stages), run, data)
    before, after = (lape_of(load_checkpoint(run / "stages" / n).model) for n in ("2-warm", "3-again"))
    for name, rows in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], rows, rtol=0, atol=0)


def test_a_damaged_chip_is_left_out_and_said_so(tmp_path, monkeypatch, capsys) -> None:
    whole = case.example

    def example(number):
        made = whole(number)
        torn = replace(made.chip, pictures=(Picture(b"torn"),))
        return replace(made, chip=torn) if number == 5 else made

    monkeypatch.setattr(case, "example", example)
    case.write_data(tmp_path / "data", chips=8)
    stages = [case.recipe(tmp_path, steps=3).stages[0].model_dump(mode="json")]
    train_recipe(case.recipe(tmp_path, stages=stages), tmp_path, tmp_path / "data")
    said = capsys.readouterr().err
    assert "5: an image of chip 5 cannot be decoded" in said
    counts = [row.get("left_out", 0) for row in log_of(tmp_path, "1-align")]
    assert sum(counts) == said.count("is left out") > 0


def test_numerals_need_no_lape(data, tmp_path) -> None:
    recipe = case.recipe(tmp_path, steps=2, coordinates="numerals", enable_lape=False)
    folders = train_recipe(recipe, tmp_path, data)
    checkpoint = load_checkpoint(folders[-1])
    assert checkpoint.config is None
    assert checkpoint.coordinates == "numerals"


def test_places_without_lape_are_refused(data, tmp_path) -> None:
    stages = [stage.model_dump(mode="json") for stage in case.recipe(tmp_path).stages]
    stages[1]["enable_lape"] = False
    with pytest.raises(RecipeError, match="enable_lape"):
        train_recipe(case.recipe(tmp_path, steps=2, stages=stages), tmp_path, data)


def test_a_stage_needs_the_one_before_it(data, tmp_path) -> None:
    with pytest.raises(RecipeError, match="no finished stage"):
        train_recipe(case.recipe(tmp_path), tmp_path, data, only=["warm"])
    with pytest.raises(RecipeError, match="no stage nonsense"):
        train_recipe(case.recipe(tmp_path), tmp_path, data, only=["nonsense"])

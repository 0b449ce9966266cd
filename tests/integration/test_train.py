"""Training a recipe: what it leaves behind, and that nothing can be lost."""

from __future__ import annotations

import json
import math
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from tests.rounding import ROUNDINGS
from transformers import set_seed

from agrilape.config import dump_recipe, parse_recipe
from agrilape.dataset.manifest import read_store
from agrilape.dataset.mixture import Mixture
from agrilape.dataset.types import Example, Picture
from agrilape.errors import AgrilapeError, DataError, DiskError, RecipeError
from agrilape.model import lape_of, load_checkpoint, parameter_groups
from agrilape.model.checkpoint_info import inspect_checkpoint
from agrilape.report import write_report
from agrilape.tokens import Collator, PositionCodec, TrainingItem, packing_of
from agrilape.train import train_recipe
from agrilape.train.estimate import estimate_recipe
from agrilape.train.setup import prepare
from agrilape.train.stages import fingerprints
from agrilape.train.trainer import TrainingDivergedError

sys.path.insert(0, str(Path(__file__).parent))
import train_case as case

pytestmark = [pytest.mark.timeout(240), pytest.mark.usefixtures("one_thread")]
EXACT = {"mixed_precision": "off"}
ROUNDED = 2**-20
"""Float64 agrees far beyond this; losses in the log and rows in a checkpoint are float32 (2^-24 each)."""
TIMED = {"steps_per_second", "samples_per_second", "tokens_per_second"}
LAUNCHERS = Path(__file__).parents[2] / "recipes" / "accelerate"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    case.write_data(folder, chips=10)  # a stage draws 24: several epochs
    return folder


@pytest.fixture
def in_float64(monkeypatch) -> None:
    """Training in this test, and in the processes that it starts, computes in float64."""
    from agrilape.train import stages

    monkeypatch.setenv("FLOAT64", "1")
    monkeypatch.setattr(stages, "prepare", stages.prepare)  # to be restored
    case.compute_in_float64()


@pytest.fixture
def exact(in_float64, tmp_path_factory, data) -> Path:
    """A run in float64 throughout, where only the order of sums may differ."""
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


def train_process(run: Path, data: Path, death: str = "never", launcher: str | None = None, **changes) -> int:
    """Train in a process, or in two as a configuration that ships says; without GPUs they talk by gloo."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    start = [sys.executable]
    if launcher:
        start += ["-m", "accelerate.commands.launch", f"--config_file={LAUNCHERS / launcher}.yaml"]
        start += ["--num_processes=2", f"--main_process_port={free_port()}"]
    command = [*start, case.__file__, str(run), str(data), death, json.dumps(changes)]
    return subprocess.run(command, env=environment, check=False, capture_output=True).returncode


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def test_training_leaves_the_attention_out_whose_gradient_is_nan_under_masks(trained) -> None:
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    assert torch.backends.cuda.mem_efficient_sdp_enabled()


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
    assert min(last["task_tokens"].values()) > 0
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


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12))]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_killed_anywhere_goes_on_as_if_nothing_had_happened(trained, data, tmp_path, seed) -> None:
    """Once past a checkpoint; then in steps, between files of a checkpoint or stages: where chance has it."""
    run, dice, deaths = tmp_path / "run", random.Random(seed), 1
    assert train_process(run, data, "step:3") == -signal.SIGKILL
    while deaths < 3 and train_process(run, data, f"event:{dice.randint(1, 80)}") == -signal.SIGKILL:
        deaths += 1
    assert deaths > 1
    newest = max(
        run.glob("stages/*/resume/checkpoint-*/model.safetensors"), key=os.path.getmtime, default=None
    )
    if newest is not None:  # as if the disk had lost the end of it, too
        os.truncate(newest, newest.stat().st_size // 2)
    train_recipe(case.recipe(run), run, data)
    same_results(run, trained)


def same_results(run: Path, other: Path) -> None:
    """Log and weights of two runs are equal, bit for bit."""
    for stage in ("1-align", "2-warm"):
        assert log_of(run, stage) == log_of(other, stage)
        for file in (other / "stages" / stage).glob("*.safetensors"):
            assert (run / "stages" / stage / file.name).read_bytes() == file.read_bytes(), file


def test_no_room_on_the_disk_is_said_and_the_run_goes_on_when_there_is(trained, data, tmp_path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    train_recipe(case.recipe(tmp_path), tmp_path, data, only=["align"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        with pytest.raises(DiskError, match=r"no room(.|\n)*free some space"):
            train_recipe(case.recipe(tmp_path), tmp_path, data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    train_recipe(case.recipe(tmp_path), tmp_path, data)
    same_results(tmp_path, trained)


def test_the_seed_decides_everything(trained, data, tmp_path) -> None:
    train_recipe(case.recipe(tmp_path / "same"), tmp_path / "same", data)
    same_results(tmp_path / "same", trained)
    train_recipe(case.recipe(tmp_path / "other", seed=1), tmp_path / "other", data, only=["align"])
    assert log_of(tmp_path / "other", "1-align")[0]["loss"] != log_of(trained, "1-align")[0]["loss"]


def test_accumulated_gradients_are_those_of_the_whole_batch(exact, data, tmp_path) -> None:
    stages = [s.model_dump(mode="json") for s in case.recipe(tmp_path).stages]
    halves = [{**stages[0], "batch_size": 2, "gradient_accumulation": 2}]
    train_recipe(case.recipe(tmp_path, stages=halves, model=EXACT), tmp_path, data)
    same_losses(tmp_path, exact, "1-align")


def test_as_many_tokens_at_once_as_there_is_room_for_change_nothing(
    exact, data, tmp_path, monkeypatch
) -> None:
    from agrilape.train.trainer import StageTrainer

    original, passes = StageTrainer.compute_loss, []

    def counted(self, *args, **kwargs):
        passes.append(1)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(StageTrainer, "compute_loss", counted)
    train_recipe(case.recipe(tmp_path, model={**EXACT, "tokens_at_once": 1}), tmp_path, data)
    assert len(passes) == 2 * 6 * 4 * 2, "each question about four chips a step, in two stages of six, alone"
    for stage in ("1-align", "2-warm"):
        same_losses(tmp_path, exact, stage)
    recipes = [case.recipe(tmp_path, model={**EXACT, "tokens_at_once": n}) for n in (1, None)]
    assert fingerprints(recipes[0], {"fields": "1"}) == fingerprints(recipes[1], {"fields": "1"})


@pytest.mark.parametrize(
    ("again", "remedy"), [(False, "gradient_checkpointing=true"), (True, "tokens_at_once=")]
)
@pytest.mark.parametrize("place", ["pass", "update"])
def test_out_of_memory_names_the_setting_and_the_last_checkpoint(
    data, tmp_path, monkeypatch, again, remedy, place
) -> None:
    from agrilape.train import loss

    owner, name = {"pass": (loss.AnswerCriterion, "__call__"), "update": (torch.optim.AdamW, "step")}[place]
    original, calls = getattr(owner, name), []

    def full(self, *args, **kwargs):
        calls.append(1)
        if len(calls) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, name, full)
    model = {**EXACT, "gradient_checkpointing": again}
    with pytest.raises(AgrilapeError) as caught:
        train_recipe(case.recipe(tmp_path, model=model), tmp_path, data)
    assert "stage align: the GPU is out of memory" in caught.value.problem
    assert remedy in caught.value.remedy
    assert "checkpoint-2" in caught.value.remedy
    monkeypatch.undo()
    assert len(train_recipe(case.recipe(tmp_path, model=model), tmp_path, data)) == 2, "it goes on from there"


@pytest.mark.parametrize("when", ["forward", "backward"])
def test_a_part_for_which_there_is_no_room_is_divided_and_its_step_made_again(
    exact, data, tmp_path, monkeypatch, capsys, when
) -> None:
    from agrilape.train.trainer import StageTrainer

    room, refused, hooks, original = 100, [], [], StageTrainer.compute_loss

    def no_room(*_) -> None:
        refused.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def narrow(self, model, inputs, *args, **kwargs):
        too_much = inputs["input_ids"].numel() > room and self.state.global_step > 1
        while hooks:
            hooks.pop().remove()
        if too_much and when == "forward":
            no_room()
        if too_much:  # when most weights have their gradients already, and others have not
            hooks.append(model.get_input_embeddings().weight.register_hook(no_room))
        return original(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(StageTrainer, "compute_loss", narrow)
    stages = [
        {**s.model_dump(mode="json"), "batch_size": 2, "gradient_accumulation": 2}
        for s in case.recipe(tmp_path).stages
    ]
    train_recipe(case.recipe(tmp_path, stages=stages, model=EXACT), tmp_path, data)
    assert refused
    said = " ".join(capsys.readouterr().err.split())
    assert "step 3: no room on the GPU for a pass over" in said
    assert "model.tokens_at_once" in said
    for stage in ("1-align", "2-warm"):
        same_losses(tmp_path, exact, stage)


def test_a_model_in_four_bits_learns_and_its_adapter_loads_on_the_base_model_as_it_was(
    data, tmp_path, monkeypatch
) -> None:
    stages = [s.model_dump(mode="json") for s in case.recipe(tmp_path).stages]
    for stage in stages:
        stage["learning_rates"] = {"lora": 1e-3, "projector": 1e-3}
    model = {"lora_rank": 4, "quantisation": "nf4", "dtype": "bfloat16", "gradient_checkpointing": True}
    recipe = case.recipe(tmp_path, stages=stages, model=model)
    (first,) = train_recipe(recipe, tmp_path, data, only=["align"])[:1]
    prepared = prepare(recipe, recipe.stages[1], first)
    assert {str(p.dtype) for p in prepared.model.parameters() if p.requires_grad} == {"torch.float32"}
    assert sum(p.dtype == torch.uint8 for p in prepared.model.parameters()) == 4 * 7
    folder = train_recipe(recipe, tmp_path, data)[-1]
    assert all(math.isfinite(row["loss"]) for row in log_of(tmp_path, "2-warm"))

    four = prepare(recipe, recipe.stages[1], folder).model.eval()
    with monkeypatch.context() as without:  # whoever uses the adapter need not have it
        without.setitem(sys.modules, "bitsandbytes", None)
        whole = load_checkpoint(folder)
    assert {p.dtype for n, p in whole.model.named_parameters() if "lora" not in n and "lape" not in n} == {
        torch.float32
    }
    shown = Collator(whole.processor, PositionCodec(whole.config))(
        [TrainingItem(case.example(number), case.example(number).samples) for number in range(4)]
    )
    labels = shown.pop("labels")[:, 1:]
    shown.pop("position_targets")
    losses = []
    for one in (four, whole.model):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            logits = one(**shown).logits[:, :-1].float()
        losses.append(float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())))
    assert losses[0] == pytest.approx(losses[1], rel=0.1), "4 bits round, no more"


def test_two_processes_learn_what_one_learns(exact, data, tmp_path) -> None:
    stages = [{**s.model_dump(mode="json"), "batch_size": 2} for s in case.recipe(tmp_path).stages]
    assert train_process(tmp_path, data, launcher="ddp", stages=stages, model=EXACT) == 0
    for stage in ("1-align", "2-warm"):
        same_losses(tmp_path, exact, stage)


def same_losses(run: Path, other: Path, stage: str, rounded: float = ROUNDED) -> None:
    """Two runs, in float64 unless said otherwise, learnt the same, but for the order of sums."""
    ours, theirs = log_of(run, stage), log_of(other, stage)
    for name in ("loss", "grad_norm"):
        assert [row[name] for row in ours] == pytest.approx([row[name] for row in theirs], rel=rounded)
    assert ours[-1]["mixture"] == theirs[-1]["mixture"]
    told, also = (
        sum((Counter(row.get("task_tokens")) for row in rows), Counter()) for rows in (ours, theirs)
    )
    assert told == also
    assert told.total() > 0
    for name in ("lape_gradient", "lape_rows"):
        assert ours[-1].get(name, {}) == pytest.approx(theirs[-1].get(name, {}), rel=rounded)


@pytest.mark.parametrize(("lora", "eps", "rate"), [(None, 1e-3, 2e-3), (2, 1e-8, 1e-2)])
def test_a_run_may_go_on_in_any_topology(data, tmp_path, monkeypatch, lora, eps, rate) -> None:
    """One process, then two that share the model (FSDP2), then two that each hold it, then one again.

    Weights are equal but for rounding if AdamW's `eps` is not far below every gradient. At 1e-8 it is: a
    key's bias has no gradient, since softmax ignores what is added to all scores, and the rounding that
    stands in for it, divided by its own size, moves the bias by up to the whole rate. With the vision tower
    in training its key biases differed by 2e-5 then, and 20 of 36,864 query weights by up to 1e-4; the losses
    by 1e-6. LoRA leaves no biases to train.

    FSDP2 shares float32 alone, whose rounding is the processor's. So losses are compared as in
    `tests.rounding`, and weights up to a hundredth of how far 8 steps at the highest rate can move them; a
    lost optimiser state, or a batch seen twice, moves them by several times that.
    """
    monkeypatch.setenv("ADAM_EPS", str(eps))
    monkeypatch.setattr(torch.optim.AdamW, "__init__", torch.optim.AdamW.__init__)  # to be restored
    case.divide_by_at_least(eps)
    warm = case.recipe(tmp_path, steps=8).stages[1].model_dump(mode="json")
    warm |= {"batch_size": 2, "gradient_accumulation": 2}
    if lora:
        warm["learning_rates"] = {"projector": 1e-3, "lora": 1e-2, "lape": 2e-3}
    changes = {"stages": [warm], "model": {**EXACT, "lora_rank": lora}}
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert train_process(run, data, "step:3", **changes) == -signal.SIGKILL
    for launcher in ("fsdp2", "ddp"):
        assert train_process(run, data, "step:2", launcher, **changes) != 0
    steps = [row["step"] for row in log_of(run, "1-warm")]
    assert steps == [1, 2, 3, 4, 5, 6]
    train_recipe(case.recipe(run, **changes), run, data)
    train_recipe(case.recipe(whole, **changes), whole, data)
    same_losses(run, whole, "1-warm", ROUNDINGS * 2**-24)
    ours, theirs = (load_checkpoint(r / "stages" / "1-warm").model.state_dict() for r in (run, whole))
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=0, atol=8 * rate / 100, msg=name)


def test_processes_that_share_a_model_hold_none_of_it_whole(data, tmp_path) -> None:
    warm = case.recipe(tmp_path, steps=2).stages[1].model_dump(mode="json")
    warm["learning_rates"] = {"projector": 1e-3, "lora": 1e-2, "lape": 2e-3}
    changes = {"stages": [warm], "model": {**EXACT, "lora_rank": 2}}
    assert train_process(tmp_path, data, launcher="fsdp2", **changes) == 0
    whole = {path.name: path.read_text() for path in tmp_path.glob("whole.*")}
    assert whole == {"whole.0": "0", "whole.1": "0"}


def test_lora_trains_with_lape_and_checkpoints_hold_nothing_else(data, tmp_path) -> None:
    stages = [s.model_dump(mode="json") for s in case.recipe(tmp_path).stages]
    for stage in stages:
        stage["learning_rates"] = {"projector": 1e-3, "lora": 1e-2, "lape": 2e-3}
    changes = {"stages": stages, "model": {"lora_rank": 2}}
    *_, last = train_recipe(case.recipe(tmp_path, **changes), tmp_path, data)
    facts = inspect_checkpoint(last)
    assert facts["kind"] == "adapter"
    assert {name for name, count in facts["parameters"].items() if count} == {
        "projector", "lora", "lape", "total",
    }  # fmt: skip
    lora = dict(parameter_groups(load_checkpoint(last).model)["lora"])
    assert all(value.any() for name, value in lora.items() if "lora_B" in name)
    assert not any("vision" in name for name in lora)


def test_lora_that_does_not_train_yet_is_not_saved_and_begins_in_a_later_stage(data, tmp_path) -> None:
    stages = [s.model_dump(mode="json") for s in case.recipe(tmp_path).stages]
    stages[0]["learning_rates"] = {"projector": 1e-3}
    stages[1]["learning_rates"] = {"projector": 1e-3, "lora": 1e-2, "lape": 2e-3}
    changes = {"stages": stages, "model": {"lora_rank": 2}}
    recipe = case.recipe(tmp_path, **changes)
    before = estimate_recipe(recipe, data)
    first, last = train_recipe(recipe, tmp_path, data)
    kept = inspect_checkpoint(first)
    assert (kept["kind"], set(kept["parameters"])) == ("adapter", {"projector", "total"})
    assert "lora" in inspect_checkpoint(last)["parameters"]
    for folder, estimate in zip((first, last), before, strict=True):
        written = inspect_checkpoint(folder)["bytes"]
        assert estimate.checkpoint_bytes == pytest.approx(written, rel=0.05)
    load_checkpoint(first)


def test_computing_activations_again_changes_nothing(exact, data, tmp_path) -> None:
    model = {**EXACT, "gradient_checkpointing": True}
    train_recipe(case.recipe(tmp_path, model=model), tmp_path, data)
    for stage in ("1-align", "2-warm"):
        same_losses(tmp_path, exact, stage)


def test_a_frozen_language_model_is_computed_again_too(in_float64, data, tmp_path, monkeypatch) -> None:
    from transformers.models.llama.modeling_llama import LlamaAttention

    forward, calls = LlamaAttention.forward, []

    def counted(self, *args, **kwargs):
        calls.append(1)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(LlamaAttention, "forward", counted)
    stage = case.recipe(tmp_path, steps=2).stages[0].model_dump(mode="json")
    stage["learning_rates"] = {"projector": 1e-3}
    counts = []
    for again in (False, True):
        model = {**EXACT, "gradient_checkpointing": again}
        calls.clear()
        train_recipe(
            case.recipe(tmp_path / str(again), stages=[stage], model=model), tmp_path / str(again), data
        )
        counts.append(len(calls))
    assert counts[1] == 2 * counts[0] > 0
    same_losses(tmp_path / "True", tmp_path / "False", "1-align")


def test_activations_are_computed_again_where_the_recipe_says_so(tmp_path) -> None:
    recipe = case.recipe(tmp_path, model={"gradient_checkpointing": True})
    assert prepare(recipe, recipe.stages[1], None).model.is_gradient_checkpointing
    recipe = case.recipe(tmp_path)
    assert not prepare(recipe, recipe.stages[1], None).model.is_gradient_checkpointing


@pytest.mark.parametrize("model", [{"dtype": "bfloat16"}, {"mixed_precision": "auto"}])
def test_bfloat16_learns_what_float32_learns_and_the_rows_stay_float32(
    data, tmp_path, monkeypatch, model
) -> None:
    exact = tmp_path / "float32"
    train_recipe(case.recipe(exact, model=EXACT), exact, data)
    monkeypatch.setattr("agrilape.train.precision.is_bfloat16_fast", lambda device: True)
    *_, last = train_recipe(case.recipe(tmp_path, model=model), tmp_path, data)
    weights = load_checkpoint(last).model.state_dict()
    dtypes = {name.startswith("lape."): value.dtype for name, value in weights.items()}
    assert dtypes == {True: torch.float32, False: getattr(torch, model.get("dtype", "float32"))}
    ours, theirs = ([row["loss"] for row in log_of(run, "2-warm")] for run in (tmp_path, exact))
    assert ours == pytest.approx(theirs, rel=0.02)
    assert ours != theirs


def test_a_learned_gate_opens_by_itself_and_is_logged_and_kept(data, tmp_path) -> None:
    warm = case.recipe(tmp_path).stages[1].model_dump(mode="json")
    warm["lape_schedule"] |= {"gate": "learned", "schedule": "same"}
    *_, last = train_recipe(case.recipe(tmp_path, stages=[warm]), tmp_path, data)
    row = log_of(tmp_path, "1-warm")[-1]
    assert "gate" not in row
    gates = lape_of(load_checkpoint(last).model).axis_gates.tolist()
    assert list(row["lape_gate"]) == ["height", "width", "temporal"]
    assert gates[0] != 0 != gates[1]
    assert gates[2] == 0  # no image of these has a time


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


@pytest.mark.parametrize(
    ("rate", "weight", "sentence"),
    [(1e-9, 2.0, "Position tokens hardly learn: the expected coordinate is off by"),
     (0.1, 1000.0, "Position tokens crowd out text: its loss rose from")],
)  # fmt: skip
def test_positions_that_never_learn_or_crowd_out_text_are_said_so(
    data, tmp_path, capsys, rate, weight, sentence
) -> None:
    """On the console, in the stage's figures and in the report; by a log that shows it."""
    warm = case.recipe(tmp_path, steps=64).stages[1].model_dump(mode="json")
    warm |= {"learning_rates": {"llm": rate, "lape": 1e-12}, "warmup_steps": 40, "schedule": "constant"}
    warm |= {"checkpoint_every": 1000}
    recipe = case.recipe(tmp_path, stages=[warm], loss={"spatial_pos_weight": weight}, report_to=[])
    dump_recipe(recipe, tmp_path / "recipe.yaml")
    train_recipe(recipe, tmp_path, data)
    assert f"stage warm: {sentence}" in " ".join(capsys.readouterr().err.split())
    stability = json.loads((tmp_path / "stages" / "1-warm" / "stability.json").read_text())
    assert any(said.startswith(sentence) for said in stability["advice"])
    assert len(stability["advice"]) == 1 or rate > 1e-9  # where nothing trains, nothing is crowded out
    assert sentence in write_report(tmp_path).read_text()
    name = "coordinate_error" if "learn" in sentence else "loss_text"
    values = [row[name] for row in log_of(tmp_path, "1-warm") if name in row]
    first, last = sum(values[:20]) / 20, sum(values[-20:]) / 20
    assert last > 0.9 * first if "learn" in sentence else last > 1.2 * first


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
    assert sum(counts) == said.count("is skipped") > 0
    assert "could not be used" in said


def test_questions_longer_than_the_context_are_dropped_whole_and_counted(data, tmp_path, monkeypatch) -> None:
    from agrilape.tokens.collator import Collator

    monkeypatch.setattr(Collator, "length", lambda self, item: setattr(self, "max_length", 78) or 0)
    train_recipe(case.recipe(tmp_path, steps=2), tmp_path, data, only=["align"])
    stability = json.loads((tmp_path / "stages" / "1-align" / "stability.json").read_text())
    (row,) = [row for row in log_of(tmp_path, "1-align") if "too_long" in row]
    assert 0 < row["too_long"] == stability["too_long"] < 2 * 4 * 2
    assert "did not fit" in stability["advice"][0]


def test_a_batch_of_which_nothing_can_be_used_is_passed_over(data, tmp_path, monkeypatch) -> None:
    from agrilape.train import stages
    from agrilape.train.micro_batches import in_micro_batches

    def barren(collator, collate=None, spare=0, most=None):
        make, calls = in_micro_batches(collator, collate, spare, most), []

        def batch(items):
            calls.append(1)
            made = make(items)
            return {**made, "parts": [], "items": [], "left_out": ["all: torn"]} if len(calls) > 1 else made

        return batch

    monkeypatch.setattr(stages, "in_micro_batches", barren)
    monkeypatch.setattr("agrilape.train.arguments.loader_processes", lambda: 0)
    train_recipe(case.recipe(tmp_path, steps=3), tmp_path, data, only=["align"])
    assert [row["loss"] > 0 for row in log_of(tmp_path, "1-align")] == [True, False, False]
    with pytest.raises(DataError, match="20 batches in a row"):
        train_recipe(case.recipe(tmp_path, steps=30), tmp_path, data, only=["align"])


def test_a_stage_may_be_repeated_or_skipped(trained, data, tmp_path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    run = tmp_path / "run"
    before = (run / "stages" / "2-warm" / "stage.json").stat().st_mtime_ns
    train_recipe(case.recipe(run), run, data, resume=False, only=["warm"])
    assert (run / "stages" / "2-warm" / "stage.json").stat().st_mtime_ns > before
    same_results(run, trained)
    alone = case.recipe(tmp_path / "alone")
    alone = alone.model_copy(update={"stages": alone.stages[1:]})
    assert [f.name for f in train_recipe(alone, tmp_path / "alone", data)] == ["1-warm"]


class Trackio(ModuleType):
    """Takes down what it is told."""

    def __init__(self) -> None:
        super().__init__("trackio")
        self.runs: list[tuple[str, str, list]] = []
        self.config = type("Config", (dict,), {"update": lambda *args, **kwargs: None})()
        self.context_vars = SimpleNamespace(current_space_id=SimpleNamespace(get=lambda: None))

    def init(self, project, name, **kwargs) -> None:
        self.runs.append((project, name, []))

    def log(self, values) -> None:
        self.runs[-1][2].append(values)

    def finish(self) -> None:
        self.runs[-1][2].append("finished")


def test_trackio_gets_every_stage_as_a_run_of_its_own(data, tmp_path, monkeypatch) -> None:
    trackio = Trackio()
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    monkeypatch.setattr("agrilape.train.arguments.find_spec", lambda name: name)
    monkeypatch.setattr("transformers.integrations.integration_utils.is_trackio_available", lambda: True)
    run = tmp_path / "spring"
    train_recipe(case.recipe(run, steps=2, report_to="trackio"), run, data)
    assert [(project, name) for project, name, _ in trackio.runs] == [
        ("test", "spring-align"),
        ("test", "spring-warm"),
    ]
    first, *_, last = trackio.runs[1][2]
    assert last == "finished"
    assert first["train/loss"] == log_of(run, "2-warm")[-1]["loss"]
    assert first["train/lape_gradient/ntp"] > 0
    assert not (run / "stages" / "2-warm" / "tensorboard").exists()


def test_loggers_that_are_not_installed_are_refused_before_training(data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("agrilape.train.arguments.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"pip install agrilape\[trackio\]"):
        train_recipe(case.recipe(tmp_path, report_to="trackio"), tmp_path, data)


def test_numerals_need_no_lape(data, tmp_path) -> None:
    recipe = case.recipe(tmp_path, steps=2, coordinates="text", enable_lape=False)
    folders = train_recipe(recipe, tmp_path, data)
    checkpoint = load_checkpoint(folders[-1])
    assert checkpoint.config is None
    assert checkpoint.coordinates == "text"


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


def test_a_logged_loss_is_that_of_each_next_token_by_the_whole_model(data, tmp_path) -> None:
    """Neither unshifted nor without the position tokens, as fused losses have it that know one matrix."""
    warm = case.recipe(tmp_path, steps=1).stages[1].model_dump(mode="json")
    warm |= {"augment": False, "lape_schedule": {**warm["lape_schedule"], "gate": "off"}}
    changes = {"stages": [warm], "model": EXACT, "loss": {"targets": "hard", "spatial_pos_weight": 1.0}}
    recipe = case.recipe(tmp_path, steps=1, **changes)
    train_recipe(recipe, tmp_path, data)
    (row,) = log_of(tmp_path, "1-warm")
    set_seed(0)
    prepared = prepare(recipe, recipe.stages[0], None)
    mixture = Mixture(recipe.stages[0].mixture, {"fields": read_store(data / "fields", "train")}, 0, 2)
    chips = [mixture.draw(index) for index in range(4)]
    batch = Collator(prepared.processor, PositionCodec(prepared.lape), packing=packing_of(prepared.model))(
        [(Example(example.chip, asked), asked) for example, asked in chips]
    )
    labels = batch.pop("labels")
    del batch["position_targets"]
    with torch.no_grad():
        scores = prepared.model.eval()(**batch).logits.log_softmax(-1)
    losses = {"text": [], "height": [], "width": []}
    kinds = {token: axis for axis in ("height", "width") for token in prepared.lape.token_ids[axis]}
    for line, place in (labels[:, 1:] != -100).nonzero().tolist():
        wanted = int(labels[line, place + 1])
        losses[kinds.get(wanted, "text")].append(-float(scores[line, place, wanted]))
    for kind, values in losses.items():
        assert row[f"loss_{kind}"] == pytest.approx(sum(values) / len(values), abs=1e-4)
    everything = [value for values in losses.values() for value in values]
    assert row["loss"] == pytest.approx(sum(everything) / len(everything), abs=1e-4)


@pytest.mark.parametrize("slip", ["task", "model"])
def test_a_slip_in_the_recipe_costs_nothing_that_was_trained(trained, data, tmp_path, slip) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    before = sorted((run / "stages" / "1-align").iterdir())
    model = {"preset": None, "path": str(tmp_path / "nowhere")} if slip == "model" else {}
    raw = case.recipe(run, model=model).model_dump(mode="json", exclude_unset=True)
    if slip == "task":
        raw["stages"][0]["mixture"]["words"]["tasks"] = ["sceen"]
    with pytest.raises(AgrilapeError, match="sceen" if slip == "task" else "nowhere"):
        train_recipe(parse_recipe(raw), run, data)
    assert sorted((run / "stages" / "1-align").iterdir()) == before


def test_a_finished_stage_gives_way_only_to_a_finished_successor(trained, data, tmp_path) -> None:
    """Trained anew with other settings and killed, it is still there; what follows goes on and takes over."""
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    changed = case.recipe(run, loss={"spatial_pos_weight": 1.0})
    assert train_process(run, data, "step:3", loss={"spatial_pos_weight": 1.0}) == -signal.SIGKILL
    same_results(run, trained)
    assert (run / "stages" / ".2-warm.next" / "resume" / "begun.json").is_file()
    train_recipe(changed, run, data)
    assert log_of(run, "2-warm")[-1]["loss"] != log_of(trained, "2-warm")[-1]["loss"]
    assert sorted(path.name for path in (run / "stages").iterdir()) == ["1-align", "2-warm"]
    assert train_process(run, data, "step:3") == -signal.SIGKILL  # back, killed ...
    train_recipe(changed, run, data)  # ... and given up: what is there needs no successor
    assert sorted(path.name for path in (run / "stages").iterdir()) == ["1-align", "2-warm"]
    train_recipe(case.recipe(run), run, data)
    same_results(run, trained)

"""Going on from a model that was trained: what it had learnt is still there at the first step."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from agrilape.cli import main
from agrilape.config import dump_recipe, load_recipe
from agrilape.dataset.manifest import read_store
from agrilape.dataset.mixture import Mixture
from agrilape.errors import ModelError, RecipeError
from agrilape.model import lape_of, load_checkpoint, merge, save_checkpoint
from agrilape.model.checkpoint_info import inspect_checkpoint
from agrilape.pipeline import train_run
from agrilape.tokens import Collator, PositionCodec, packing_of
from agrilape.train import train_recipe
from agrilape.train.stages import StageRun

sys.path.insert(0, str(Path(__file__).parent))
import train_case as case

pytestmark = [pytest.mark.timeout(240), pytest.mark.usefixtures("one_thread")]
LONG = {"mixed_precision": "off"}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    case.write_data(folder, chips=4)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data) -> Path:
    """A run of both stages."""
    run = tmp_path_factory.mktemp("finished") / "run"
    train_recipe(case.recipe(run, model=LONG), run, data)
    return run


@pytest.fixture(scope="module")
def adapted(tmp_path_factory, data) -> Path:
    """A run whose checkpoint is an adapter: LoRA and LAPE."""
    run = tmp_path_factory.mktemp("adapted") / "run"
    train_recipe(going_on(run, None, lora=True), run, data)
    return run


def going_on(run: Path, path: Path | str | None, lora: bool = False, **changes):
    """A recipe of the stage with LAPE alone, which says nothing of LAPE itself."""
    stage = case.recipe(run).stages[1].model_dump(mode="json")
    stage["lape_schedule"]["gate"] = "off"
    if lora:
        stage["learning_rates"] = {"projector": 1e-3, "lora": 1e-3, "lape": 2e-3}
    model = {**LONG, "preset": None, "path": str(path), "lora_rank": 4 if lora else None}
    if path is None:
        model |= {"preset": "nano", "path": None}
    lape = {"num_spatial_tokens": 20, "num_temporal_tokens": 10} if path is None else {}
    return case.recipe(run, **{"stages": [stage], "model": model, "lape": lape, **changes})


def rows_of(run: Path, stage: str) -> list[dict]:
    return [json.loads(line) for line in (run / "stages" / stage / "log.jsonl").read_text().splitlines()]


LEARNT = ("loss", "loss_height", "loss_width", "position_accuracy", "coordinate_error", "gate")


def test_the_first_step_is_that_of_one_run_which_never_ended(finished, tmp_path, data, monkeypatch) -> None:
    monkeypatch.setattr(StageRun, "seed", 7)  # else the two stages draw other chips
    last = {**going_on(tmp_path, finished).stages[0].model_dump(mode="json"), "name": "more"}
    stages = [stage.model_dump(mode="json") for stage in case.recipe(tmp_path).stages]
    whole = tmp_path / "whole"
    shutil.copytree(finished, whole)
    train_recipe(case.recipe(whole, model=LONG, stages=[*stages, last]), whole, data, only=["more"])
    new = tmp_path / "new"
    train_recipe(going_on(new, finished, stages=[last]), new, data)
    first, other = rows_of(whole, "3-more")[0], rows_of(new, "1-more")[0]
    assert {name: first[name] for name in LEARNT} == {name: other[name] for name in LEARNT}
    assert first["gate"] == 1


def logits(checkpoint, data: Path) -> torch.Tensor:
    """What a model says of some chips."""
    stage = case.recipe(data).stages[1]
    mixture = Mixture(stage.mixture, {"fields": read_store(data / "fields", "train")}, 0, 2)
    collator = Collator(
        checkpoint.processor,
        PositionCodec(checkpoint.config),
        "position_tokens",
        packing_of(checkpoint.model),
    )
    batch = collator([mixture.draw(number) for number in range(2)])
    names = ("input_ids", "attention_mask", "position_ids", "pixel_values", "image_times")
    with torch.no_grad():
        return checkpoint.model(**{n: batch[n] for n in names if n in batch}).logits


@pytest.mark.parametrize("name", ["run", "checkpoint"])
def test_a_run_folder_means_its_last_finished_stage(finished, name, tmp_path, data) -> None:
    path = finished if name == "run" else finished / "stages" / "2-warm"
    shutil.copytree(finished, tmp_path / "half")
    unfinished = tmp_path / "half" / "stages" / "3-more"
    shutil.copytree(finished / "stages" / "2-warm", unfinished)
    (unfinished / "stage.json").unlink()
    (unfinished / "resume").mkdir()
    kept, again = load_checkpoint(path), load_checkpoint(tmp_path / "half")
    assert torch.equal(logits(kept, data), logits(again, data))
    assert kept.config.num_spatial_tokens == 20


def opened(recipe):
    """What a stage would train."""
    from agrilape.train.setup import prepare
    from agrilape.train.starting_model import continued_recipe as adopt

    return prepare(adopt(recipe), recipe.stages[-1], None)


def test_adapters_go_on_with_their_lora_or_take_it_into_the_weights(adapted, tmp_path, data) -> None:
    trained = load_checkpoint(adapted)
    before = logits(trained, data)
    for lora in (True, False):
        prepared = opened(going_on(tmp_path, adapted, lora=lora))
        assert hasattr(prepared.model, "get_base_model") == lora
        after = logits(type(trained)(prepared.model.eval(), prepared.processor, prepared.lape), data)
        assert torch.allclose(before, after, atol=1e-4)
    train_recipe(going_on(tmp_path, adapted, lora=True), tmp_path, data)
    assert inspect_checkpoint(tmp_path / "stages" / "1-warm")["kind"] == "adapter"


def test_lora_on_a_trained_checkpoint_keeps_its_rows_without_the_base_ones(finished, tmp_path, data) -> None:
    run = tmp_path / "run"
    train_recipe(going_on(run, finished, lora=True), run, data)
    again = load_checkpoint(run)
    assert again.config == load_checkpoint(finished).config
    stage = run / "stages" / "1-warm"
    base = json.loads((stage / "agrilape.json").read_text())["base"]
    assert (stage / base / "config.json").is_file(), "also for others than us: it leads from where it lies"
    rows = lape_of(again.model).rows("in")
    assert not torch.equal(rows, lape_of(load_checkpoint(finished).model).rows("in"))  # trained further


def test_a_merged_model_takes_its_rows_and_its_injection_back(finished, tmp_path, data) -> None:
    trained = load_checkpoint(finished)
    before = logits(trained, data)
    save_checkpoint(tmp_path / "merged", merge(trained.model), trained.processor, trained.meta)
    prepared = opened(going_on(tmp_path / "run", tmp_path / "merged"))
    after = logits(type(trained)(prepared.model.eval(), prepared.processor, prepared.lape), data)
    assert torch.allclose(before, after, atol=1e-5)
    train_recipe(going_on(tmp_path / "run", tmp_path / "merged"), tmp_path / "run", data)
    assert lape_of(load_checkpoint(tmp_path / "run").model) is not None


def test_a_merged_model_may_also_go_on_without_lape(finished, tmp_path, data) -> None:
    trained = load_checkpoint(finished)
    save_checkpoint(tmp_path / "merged", merge(trained.model), trained.processor, trained.meta)
    stage = going_on(tmp_path, finished).stages[0].model_dump(mode="json")
    stage |= {"enable_lape": False, "learning_rates": {"llm": 1e-3}}
    recipe = going_on(tmp_path / "run", tmp_path / "merged", coordinates="text", stages=[stage])
    train_recipe(recipe, tmp_path / "run", data)
    assert lape_of(load_checkpoint(tmp_path / "run").model) is None


def test_a_stage_of_words_in_between_keeps_lape(finished, tmp_path, data) -> None:
    recipe = going_on(tmp_path, finished)
    words = case.recipe(tmp_path).stages[0].model_dump(mode="json")
    recipe = going_on(tmp_path, finished, stages=[words, recipe.stages[0].model_dump(mode="json")])
    train_recipe(recipe, tmp_path, data, only=["align"])
    before, after = (lape_of(load_checkpoint(run).model).state_dict() for run in (finished, tmp_path))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before if name != "gate_value")


@pytest.mark.parametrize("bins", [39, 77, 12])
def test_interpolated_rows_keep_what_a_coordinate_means(finished, tmp_path, data, bins) -> None:
    lape = {"num_spatial_tokens": bins, "num_temporal_tokens": 19, "resize": "interpolate"}
    prepared = opened(going_on(tmp_path, finished, lape=lape))
    assert prepared.lape.num_spatial_tokens == bins
    old, new = (lape_of(model) for model in (load_checkpoint(finished).model, prepared.model))
    hidden = torch.randn(64, old.width, generator=torch.Generator().manual_seed(0))
    for axis, ids in prepared.lape.token_ids.items():
        text = prepared.processor.tokenizer.convert_ids_to_tokens(ids)
        assert text == list(PositionCodec(prepared.lape).tokens(axis))
        scores = [(hidden @ one.table(axis, "out").T).detach() for one in (old, new)]
        means = [(one.softmax(1) * torch.linspace(0, 1, one.shape[1])).sum(1) for one in scores]
        coarse = min(one.shape[1] for one in scores)
        assert (means[0] - means[1]).abs().max() < 1 / (coarse - 1)
        if (len(ids) - 1) % (old.config.bins(axis) - 1) == 0:  # every old place is a new one as well
            step = (len(ids) - 1) // (old.config.bins(axis) - 1)
            assert torch.allclose(new.table(axis, "in")[::step], old.table(axis, "in"), atol=1e-6)
    assert torch.equal(old.unit, new.unit)
    where = torch.tensor([[0.2, 0.3, 0.4, 0.6]])
    added = [one.injection(where, torch.full((1,), torch.nan)) for one in (old, new)]
    assert torch.cosine_similarity(*added).item() > 0.97


def test_resized_rows_train_and_are_saved_as_any_others(finished, tmp_path, data) -> None:
    recipe = going_on(tmp_path, finished, lape={"num_spatial_tokens": 30, "resize": "interpolate"})
    dump_recipe(recipe, tmp_path / "r.yaml")
    train_run_with(tmp_path, data, recipe)
    saved = json.loads((tmp_path / "stages" / "1-warm" / "lape_config.json").read_text())
    assert (saved["num_spatial_tokens"], saved["num_temporal_tokens"]) == (30, 10)
    assert "resize" not in saved
    assert load_checkpoint(tmp_path).config.num_spatial_tokens == 30
    train_run_with(tmp_path, data, load_recipe(tmp_path))  # the resolved recipe says the same: nothing to do
    assert load_recipe(tmp_path).lape.num_temporal_tokens == 10


def train_run_with(run: Path, data: Path, recipe) -> None:
    if not (run / "data").exists():
        shutil.copytree(data, run / "data")
    train_run(recipe)


def test_what_is_kept_is_said_and_stands_in_the_resolved_recipe(finished, tmp_path, data, capsys) -> None:
    lape = {"initialisation": "mean"}
    stage = going_on(tmp_path, finished).stages[0].model_dump(mode="json")
    stage["lape_schedule"]["gate"] = "linear"
    train_run_with(tmp_path, data, going_on(tmp_path, finished, lape=lape, stages=[stage]))
    said = capsys.readouterr().out
    assert "20 spatial and 10 temporal" in said
    assert "initialisation mean is not used" in said
    assert "gate=off" in said
    kept = load_recipe(tmp_path).lape
    assert (kept.num_spatial_tokens, kept.num_temporal_tokens, kept.initialisation) == (20, 10, "smooth")
    train_run_with(tmp_path, data, load_recipe(tmp_path))
    assert "finished before" in capsys.readouterr().out


def test_a_dry_run_says_what_is_kept(finished, adapted, tmp_path, data, capsys, monkeypatch) -> None:
    for path, lora in ((finished, False), (adapted, True)):
        dump_recipe(going_on(tmp_path, path, lora=lora), tmp_path / "r.yaml")
        text = (tmp_path / "r.yaml").read_text()
        kept = [line for line in text.splitlines() if "_tokens:" not in line]
        (tmp_path / "r.yaml").write_text("\n".join(kept))
        monkeypatch.setattr(sys, "argv", ["agrilape", "train", str(tmp_path / "r.yaml"), "--dry-run"])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        said = capsys.readouterr().out
        assert "LAPE is kept: 20 spatial" in said
        assert "lape parameters" in said


def test_a_learned_gate_begins_open(finished, tmp_path, data) -> None:
    stage = going_on(tmp_path, finished).stages[0].model_dump(mode="json")
    stage["lape_schedule"]["gate"] = "learned"
    prepared = opened(going_on(tmp_path, finished, stages=[stage]))
    trained = load_checkpoint(finished)
    after = logits(type(trained)(prepared.model.eval(), prepared.processor, prepared.lape), data)
    assert lape_of(prepared.model).axis_gates.tolist() == [1, 1, 1]
    assert torch.allclose(logits(trained, data), after, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lape": {"num_spatial_tokens": 30}}, "resize=interpolate"),
        ({"lape": {"num_temporal_tokens": 30}}, "trained with 10"),
        ({"lape": {"injection": "input"}}, "lape.injection"),
        ({"lape": {"injection_scale_width": 2.0}}, "another model"),
        ({"lape": {"injection_rms": None}}, "injection_rms"),
        ({"lape": {"ntp": "value"}}, "lape.ntp"),
        ({"lape": {"tied": True}}, "lape.tied"),
        ({"enable_lape": False}, "agrilape merge"),
    ],
)
def test_what_contradicts_a_trained_model_is_refused(finished, tmp_path, data, changes, words) -> None:
    with pytest.raises(RecipeError, match=words):
        train_recipe(going_on(tmp_path, finished, **changes), tmp_path, data)
    assert not (tmp_path / "stages").exists()


def test_other_lora_the_own_run_folder_and_nothing_to_resize_are_refused(
    finished, adapted, tmp_path, data
) -> None:
    recipe = going_on(tmp_path, adapted, lora=True)
    other = recipe.model_copy(update={"model": recipe.model.model_copy(update={"lora_rank": 2})})
    with pytest.raises(RecipeError, match="rank 4"):
        train_recipe(other, tmp_path, data)
    with pytest.raises(RecipeError, match="output"):
        train_recipe(going_on(finished, finished), finished, data)
    with pytest.raises(RecipeError, match="no trained rows"):
        train_recipe(going_on(tmp_path, None, lape={"resize": "interpolate"}), tmp_path, data)
    (tmp_path / "empty" / "stages").mkdir(parents=True)
    with pytest.raises(ModelError, match="no checkpoint"):
        train_recipe(going_on(tmp_path, tmp_path / "empty"), tmp_path, data)


def test_a_start_that_was_trained_again_makes_the_stage_stale(finished, tmp_path, data, capsys) -> None:
    start = tmp_path / "start"
    shutil.copytree(finished, start)
    recipe = going_on(tmp_path / "run", start)
    train_recipe(recipe, tmp_path / "run", data)
    done = start / "stages" / "2-warm" / "stage.json"
    done.write_text(json.dumps({**json.loads(done.read_text()), "made_from": "other"}))
    capsys.readouterr()
    train_recipe(recipe, tmp_path / "run", data)
    assert "finished before" not in capsys.readouterr().out


def test_the_model_that_ships_is_a_start(tmp_path, data) -> None:
    train_recipe(going_on(tmp_path, "shipped:nano"), tmp_path, data)
    assert load_checkpoint(tmp_path).config.num_spatial_tokens == 100
    run = tmp_path / "lora"
    train_recipe(going_on(run, "shipped:nano", lora=True), run, data)
    assert inspect_checkpoint(run / "stages" / "1-warm")["base"] == "shipped:nano"
    assert load_checkpoint(run).config.num_spatial_tokens == 100

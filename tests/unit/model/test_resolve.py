"""What a name of a model means, and that nothing of a trained one is lost on the way."""

import json
import shutil
import time

import huggingface_hub.constants as hub
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

import agrilape
from agrilape.config.lape import LapeConfig
from agrilape.errors import ModelError
from agrilape.model import (
    attach,
    build_preset,
    find_checkpoint,
    lape_of,
    load_model,
    merge,
    save_adapter,
    save_checkpoint,
)
from agrilape.model.convert import unmerge
from agrilape.tokens import add_position_tokens
from agrilape.train.setup import add_lora

SMALL = LapeConfig(num_spatial_tokens=20, num_temporal_tokens=5)


def attached(config=SMALL):
    model, processor = build_preset("nano", seed=1)
    return attach(model, add_position_tokens(processor, config)).eval(), processor


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    save_checkpoint(folder / "c", *attached(), {"coordinates": "position_tokens"})
    model, processor = build_preset("nano", seed=1)
    save_checkpoint(folder / "plain", model, processor)
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub, on a machine that cannot reach it."""
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def put(cache, name, folder):
    """As if a model had been fetched."""
    place = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / ("0" * 40))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0" * 40)


def test_a_model_with_lape_is_not_loaded_without(saved, tmp_path):
    shutil.copytree(saved / "c", tmp_path / "run" / "stages" / "1-a")
    for path in (saved / "c", tmp_path / "run", "shipped:nano"):
        with pytest.raises(ModelError, match=r"agrilape\.from_pretrained"):
            load_model(path)
        assert lape_of(agrilape.from_pretrained(path).model) is not None
    assert lape_of(load_model(saved / "plain")) is None


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (["lape_config.json"], "without their settings"),
        (["lape.safetensors"], r"lape\.safetensors"),
        (["lape_config.json", "lape.safetensors"], "has position tokens"),
    ],
)
def test_a_checkpoint_that_lost_files_of_lape_is_no_plain_model(saved, tmp_path, lost, words):
    shutil.copytree(saved / "c", tmp_path / "c")
    for name in lost:
        (tmp_path / "c" / name).unlink()
    with pytest.raises(ModelError, match=words):
        agrilape.from_pretrained(tmp_path / "c")


def test_a_checkpoint_on_the_hub_keeps_its_lape(saved, cache):
    put(cache, "team/ours", saved / "c")
    put(cache, "team/plain", saved / "plain")
    (cache / "models--team--plain" / "snapshots" / ("0" * 40) / "agrilape.json").unlink()
    ours = agrilape.from_pretrained("team/ours")
    assert ours.config.num_spatial_tokens == 20
    assert ours.model.config.name_or_path == "team/ours"
    assert lape_of(agrilape.from_pretrained("team/plain").model) is None
    with pytest.raises(ModelError, match="has LAPE"):
        load_model("team/ours")
    with pytest.raises(ModelError, match="team/nowhere"):
        agrilape.from_pretrained("team/nowhere")


def test_what_an_adapter_names_is_not_fetched(saved, cache, tmp_path, monkeypatch):
    model, processor = attached()
    model.config.name_or_path = model.name_or_path = "team/plain"
    save_adapter(tmp_path / "a", model, processor)
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)  # it could be
    with pytest.raises(ModelError, match="hf download team/plain"):
        agrilape.from_pretrained(tmp_path / "a")
    put(cache, "team/plain", saved / "plain")
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    assert agrilape.from_pretrained(tmp_path / "a").config.num_spatial_tokens == 20


@pytest.mark.parametrize("base", ["../gone", "/no/such/folder", "a/b/c"])
def test_a_base_model_that_is_gone_is_said(tmp_path, base):
    model, processor = attached()
    save_adapter(tmp_path / "a", model, processor)
    meta = tmp_path / "a" / "agrilape.json"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "base": base}))
    with pytest.raises(ModelError, match=r"base=\.\.\."):
        agrilape.from_pretrained(tmp_path / "a")
    assert agrilape.from_pretrained(tmp_path / "a", base="preset:nano:1").config is not None


def test_an_adapter_of_another_tool_fetches_nothing(tmp_path):
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": "team/huge", "r": 8})
    )
    for load in (agrilape.from_pretrained, load_model, find_checkpoint):
        with pytest.raises(ModelError, match="not made by agrilape"):
            load(tmp_path)


def test_an_adapter_of_words_alone_is_loaded_with_its_base(tmp_path):
    model, processor = build_preset("nano", seed=1)
    save_checkpoint(tmp_path / "a", add_lora(model, 2), processor, {"coordinates": "position_tokens"})
    with pytest.raises(ModelError, match="without its base"):
        load_model(tmp_path / "a")
    assert agrilape.from_pretrained(tmp_path / "a").config is None


def test_the_base_of_an_adapter_gives_up_its_own_rows(saved, tmp_path):
    base = agrilape.from_pretrained(saved / "c")
    with torch.no_grad():
        lape_of(base.model).table("width", "in").add_(1)
    save_adapter(tmp_path / "a", base.model, base.processor)
    loaded = lape_of(agrilape.from_pretrained(tmp_path / "a").model)
    assert torch.equal(loaded.rows("in"), lape_of(base.model).rows("in"))


@pytest.mark.parametrize("ntp", ["gradient", "value"])
@pytest.mark.parametrize("tied", [True, False])
def test_merged_rows_come_back_as_they_were(tmp_path, ntp, tied):
    model, processor = attached(SMALL.model_copy(update={"ntp": ntp, "tied": tied, "gate": "learned"}))
    lape = lape_of(model)
    lape.unit.fill_(0.3)
    with torch.no_grad():
        lape.axis_gates.copy_(torch.tensor([0.1, 0.2, 0.3]))
    tables = {name: value.clone() for name, value in lape.state_dict().items()}
    save_checkpoint(tmp_path / "m", merge(model), processor)
    merged = agrilape.from_pretrained(tmp_path / "m").model
    config = unmerge(merged)
    again = lape_of(merged).state_dict()
    assert config.injection == "mean"
    assert not hasattr(merged.config, "agrilape")
    assert tables.keys() == again.keys()
    assert all(torch.allclose(tables[name], again[name], atol=1e-5) for name in tables)


def test_new_rows_do_not_replace_those_of_a_model_that_was_loaded_without_them(saved, tmp_path):
    plain = AutoModelForImageTextToText.from_pretrained(saved / "c")
    processor = AutoProcessor.from_pretrained(saved / "c")
    config = add_position_tokens(processor, SMALL)
    with pytest.raises(ModelError, match=r"agrilape\.from_pretrained"):
        attach(plain, config)
    assert lape_of(attach(plain, config, anew=True)) is not None
    model, processor = attached()
    merged = merge(model)
    with pytest.raises(ModelError, match="trained with LAPE"):
        attach(merged, add_position_tokens(processor, SMALL))


def test_no_model_and_an_unfinished_run_are_said(tmp_path):
    with pytest.raises(ModelError, match="no checkpoint"):
        find_checkpoint(tmp_path)
    (tmp_path / "stages" / "1-a" / "resume").mkdir(parents=True)
    (tmp_path / "stages" / "1-a" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="no checkpoint"):
        agrilape.from_pretrained(tmp_path)


def test_a_hub_that_does_not_answer_is_not_asked_again(monkeypatch, capsys) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    began = time.monotonic()
    with pytest.raises(ModelError, match="not on this machine"):
        load_model("some-team/some-model")
    assert time.monotonic() - began < 10
    assert "does not answer" in capsys.readouterr().err

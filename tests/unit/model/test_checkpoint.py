import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from tests.processors import build_processor
from tests.rounding import assert_same_but_for_rounding
from transformers import AutoModelForImageTextToText, AutoProcessor

from agrilape.cli.inspect import merge as merge_checkpoint
from agrilape.config.lape import LapeConfig
from agrilape.errors import ModelError
from agrilape.model import (
    attach,
    build_preset,
    lape_of,
    load_checkpoint,
    load_processor,
    parameter_groups,
    save_adapter,
    save_checkpoint,
)  # fmt: skip
from agrilape.model.checkpoint_info import inspect_checkpoint
from agrilape.model.tokenizer import build_tokenizer
from agrilape.tokens import add_position_tokens


@pytest.fixture(scope="module")
def nano():
    return build_preset("nano", seed=1)


@pytest.fixture
def built():
    model, processor = build_preset("nano", seed=1)
    config = add_position_tokens(processor, LapeConfig(num_spatial_tokens=20, num_temporal_tokens=5))
    return attach(model, config).eval(), processor


def batch(processor, text="<|user|><image>Where is the maize? <WIDTH-003><|end|><|assistant|>"):
    picture = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    return processor(images=[picture], text=[text], return_tensors="pt")


def logits(model, processor):
    with torch.no_grad():
        return model(**batch(processor), image_times=torch.tensor([0.4])).logits


def test_nano_is_an_ordinary_model_that_plain_transformers_loads(nano, tmp_path):
    model, processor = nano
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, processor_again = (
        AutoModelForImageTextToText.from_pretrained(tmp_path),
        AutoProcessor.from_pretrained(tmp_path),
    )
    text = "<|user|><image>Where is the maize?<|end|><|assistant|>"
    inputs, inputs_again = batch(processor, text), batch(processor_again, text)
    assert torch.equal(inputs["input_ids"], inputs_again["input_ids"])
    assert (inputs["input_ids"] == model.config.image_token_id).sum() == 64
    with torch.no_grad():
        assert torch.equal(model.eval()(**inputs).logits, again.eval()(**inputs_again).logits)


def test_a_seed_fixes_the_preset_and_leaves_the_global_generator():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, other, third = (build_preset("nano", seed).model.state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not all(torch.equal(one[name], third[name]) for name in one)


def test_the_words_of_farmland_are_single_tokens(nano):
    tokenizer = nano.processor.tokenizer
    for word in ("maize", " maize", " wheat", " July", " Where", "Which", " greenest", " 7"[1:]):
        assert len(tokenizer.encode(word, add_special_tokens=False)) == 1, word
    assert len(tokenizer.encode("2021", add_special_tokens=False)) == 4
    odd = "zürich <ø> 12.5 ha"
    assert tokenizer.decode(tokenizer.encode(odd, add_special_tokens=False)) == odd


def test_unknown_preset_names_the_known():
    with pytest.raises(ModelError, match="nano"):
        build_preset("giant")


def test_checkpoint_round_trip(built, tmp_path):
    model, processor = built
    before = logits(model, processor)
    lape_of(model).gate = 1.0
    save_checkpoint(tmp_path / "c", model, processor, {"coordinates": "position_tokens", "stage": "domain"})
    save_checkpoint(tmp_path / "c", model, processor, {"coordinates": "position_tokens", "stage": "again"})
    loaded = load_checkpoint(tmp_path / "c")
    assert torch.equal(logits(loaded.model, loaded.processor), before)
    assert loaded.config == lape_of(model).config
    assert loaded.meta["stage"] == "again"
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_failed_save_keeps_the_last_checkpoint(built, tmp_path):
    model, processor = built
    save_checkpoint(tmp_path / "c", model, processor, {"n": 1})
    with pytest.raises(TypeError):
        save_checkpoint(tmp_path / "c", model, processor, {"n": object()})
    assert load_checkpoint(tmp_path / "c").meta == {"n": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_an_adapter_finds_its_base_and_holds_only_what_was_trained(built, tmp_path):
    model, processor = built
    for group, named in parameter_groups(model).items():
        for _, parameter in named:
            parameter.requires_grad_(group in ("projector", "lape"))
    with torch.no_grad():
        model.model.multi_modal_projector.linear_1.weight += 0.1
    before = logits(model, processor)
    save_adapter(tmp_path / "a", model, processor)
    loaded = load_checkpoint(tmp_path / "a")
    assert torch.equal(logits(loaded.model, loaded.processor), before)
    facts = inspect_checkpoint(tmp_path / "a")
    assert facts["kind"] == "adapter"
    assert facts["base"] == "preset:nano:1"
    assert set(facts["parameters"]) == {"lape", "projector", "total"}

    for parameter in loaded.model.parameters():  # a later stage freezes the projector, which still differs
        parameter.requires_grad_(False)
    save_adapter(tmp_path / "b", loaded.model, loaded.processor)
    again = load_checkpoint(tmp_path / "b")
    assert torch.equal(logits(again.model, again.processor), before)


def test_inspect_counts_exactly(built, tmp_path):
    model, processor = built
    facts = inspect_checkpoint(save_checkpoint(tmp_path / "c", model, processor, {"stage": "x"}))
    assert facts["parameters"]["lape"] == 2 * (20 + 20 + 5) * 128
    assert facts["parameters"]["total"] == sum(p.numel() for p in model.parameters())
    assert facts["lape"]["tables"]["temporal_out"] == [5, 128]
    assert facts["model"] == "llava"
    assert json.loads(json.dumps(facts))["extra"] == {"stage": "x"}


@pytest.mark.parametrize("injection", ["mean", "off"])
def test_a_merged_checkpoint_is_plain_and_says_what_it_lost(tmp_path, capsys, injection):
    model, processor = build_preset("nano", seed=1)
    settings = LapeConfig(num_spatial_tokens=20, num_temporal_tokens=5, injection=injection)
    attach(model, add_position_tokens(processor, settings))
    save_checkpoint(tmp_path / "c", model, processor, {"stage": "domain"})
    merge_checkpoint(tmp_path / "c", tmp_path / "merged")
    facts = inspect_checkpoint(tmp_path / "merged")
    assert facts["lape"] is None
    assert facts["injection_lost"] == (injection == "mean")
    capsys.readouterr()
    loaded = load_checkpoint(tmp_path / "merged")
    assert ("without LAPE's injection" in capsys.readouterr().err) == (injection == "mean")
    assert lape_of(loaded.model) is None
    assert loaded.meta == {"stage": "domain"}
    assert loaded.config.token_ids == lape_of(model).config.token_ids
    with torch.no_grad():
        plain = loaded.model(**batch(processor)).logits
        if injection == "off":
            assert_same_but_for_rounding(plain, logits(model, processor))
        else:
            assert not torch.allclose(plain, logits(model, processor), atol=1e-3)


@pytest.mark.parametrize("name", ["lape.safetensors", "lape_config.json", "agrilape.json"])
def test_a_damaged_file_is_named_with_a_remedy(built, tmp_path, name):
    save_checkpoint(tmp_path / "c", *built)
    (tmp_path / "c" / name).write_bytes(b"{torn")
    with pytest.raises(ModelError, match=r"copy or train it again"):
        load_checkpoint(tmp_path / "c")


def test_an_incomplete_adapter_says_what_is_missing(built, tmp_path):
    model, processor = built
    model.config.name_or_path = model.name_or_path = ""
    save_adapter(tmp_path / "a", model, processor)
    with pytest.raises(ModelError, match="base="):
        load_checkpoint(tmp_path / "a")
    assert load_checkpoint(tmp_path / "a", base="preset:nano:1").config == lape_of(model).config
    (tmp_path / "a" / "trained.safetensors").unlink()
    with pytest.raises(ModelError, match=r"trained\.safetensors"):
        load_checkpoint(tmp_path / "a", base="preset:nano:1")


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision is there")
def test_a_processor_that_wants_torchvision_says_what_to_install(tmp_path):
    processor = build_processor("qwen2_5_vl", build_tokenizer())
    processor.tokenizer.save_pretrained(tmp_path)
    processor.image_processor.save_pretrained(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "processor_class": "Qwen2_5_VLProcessor"}))
    with pytest.raises(ModelError, match=r"[Tt]orchvision(.|\n)*agrilape\[families\]"):
        load_processor(tmp_path)


def test_no_checkpoint_is_said(tmp_path):
    for read in (load_checkpoint, inspect_checkpoint):
        with pytest.raises(ModelError, match="folder"):
            read(tmp_path)


@pytest.mark.parametrize("name", ["../other.safetensors", "/tmp/x.safetensors", "a/b.safetensors", 3])
def test_an_index_of_weights_names_files_of_its_folder(built, tmp_path, name):
    folder = save_checkpoint(tmp_path / "model", *built[:2])
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))
    with pytest.raises(ModelError, match="the name of a file of weights"):
        load_checkpoint(folder)

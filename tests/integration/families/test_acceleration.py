"""What makes GPUs faster changes nothing that is computed; a kernel for them is stood in for here."""

from types import SimpleNamespace

import pytest
import torch
from tests.rounding import assert_same_but_for_rounding
from torch.nn.functional import scaled_dot_product_attention

from agrilape.model.attach import inner_model
from agrilape.train import acceleration
from agrilape.train.setup import add_lora


def varlen(calls: list[int]):
    """What `torch.nn.attention.varlen.varlen_attn` computes, on any device."""

    def attend(query, key, value, starts, _, longest, __):
        assert longest == (starts[1:] - starts[:-1]).max()
        calls.append(len(starts) - 1)
        parts = [one.split((starts[1:] - starts[:-1]).tolist()) for one in (query, key, value)]
        heads = [[one.transpose(0, 1).float() for one in part] for part in zip(*parts, strict=True)]
        return torch.cat([scaled_dot_product_attention(*part).transpose(0, 1) for part in heads])

    return attend


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_windows_attended_at_once_are_those_attended_one_by_one(family_case, name, monkeypatch) -> None:
    case, calls = family_case(name), []
    pictures = torch.randint(
        0, 255, (2, 80, 120, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(5)
    ).numpy()
    data = dict(case.images(list(pictures), return_tensors="pt"))
    base = case.model.base_model
    before = torch.cat(list(base.get_image_features(**data).pooler_output))
    monkeypatch.setattr(acceleration, "varlen", SimpleNamespace(varlen_attn=varlen(calls)))
    monkeypatch.setattr(acceleration.torch, "bfloat16", torch.float32)  # which the kernel of GPUs cannot take
    acceleration.attend_windows_at_once(case.model)
    after = torch.cat(list(base.get_image_features(**data).pooler_output))
    assert len(calls) == 2, "once per layer"
    assert max(calls) >= (4 if name == "qwen2_5_vl" else 2)
    assert_same_but_for_rounding(after, before)
    assert case.model.config.get_text_config()._attn_implementation == "sdpa"


def test_other_towers_and_old_versions_of_torch_are_left_alone(family_case, monkeypatch) -> None:
    llava = family_case("llava").model
    acceleration.attend_windows_at_once(llava)
    assert llava.config.vision_config._attn_implementation == "sdpa"
    monkeypatch.setattr(acceleration, "varlen", None)
    qwen = family_case("qwen2_5_vl").model
    acceleration.attend_windows_at_once(qwen)
    assert qwen.config.vision_config._attn_implementation == "sdpa"


def test_lora_without_casts_computes_the_same_under_autocast(family_case) -> None:
    case = family_case("llava")
    model = add_lora(case.model, 2)
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value)
    ids = torch.arange(20, 60)[None]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        before = model(input_ids=ids).logits
        acceleration.skip_lora_casts(model)
        after = model(input_ids=ids).logits
    assert torch.equal(after, before)


def test_the_parts_of_the_language_models_layers_are_compiled_and_nothing_else(
    family_case, monkeypatch
) -> None:
    model = add_lora(family_case("llava").model, 2)
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: compiled.append(self))
    acceleration.compile_layers(model)
    layers = inner_model(model).base_model.get_decoder().layers
    assert compiled == [part for layer in layers for part in layer.children()]
    assert len(compiled) == 2 * 4

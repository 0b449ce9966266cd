"""A frozen base model in few bytes, beside parts that train in float32."""

import sys

import pytest
import torch

from agrilape.errors import ModelError
from agrilape.model import build_preset, parameter_groups
from agrilape.model.frozen_base import keep_projector_in_float32, language_matrices, quantise


def test_only_the_language_models_matrices_lose_bits() -> None:
    model, before = build_preset("nano").model, build_preset("nano").model
    quantise(model, torch.bfloat16)
    names = [name for name, _ in language_matrices(model)]
    assert names == [name for name, _ in language_matrices(before)]
    assert len(names) == 4 * 7
    kept = dict(model.named_parameters())
    for name, value in before.named_parameters():
        if name.removesuffix(".weight") in names:
            assert kept[name].dtype == torch.uint8
            assert kept[name].numel() == value.numel() / 2
        else:
            assert torch.equal(kept[name], value), name
    one, other = (m.get_submodule(names[0]) for m in (model, before))
    x = torch.randn(5, one.in_features)
    apart = (one(x).float() - other(x)).norm() / other(x).norm()
    assert 0.001 < apart < 0.15, "16 levels per weight"


def test_without_bitsandbytes_it_is_said_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.nn", None)
    with pytest.raises(ModelError, match="bitsandbytes") as caught:
        quantise(build_preset("nano").model, torch.bfloat16)
    assert "agrilape[qlora]" in caught.value.remedy


def test_a_projector_in_float32_takes_and_gives_what_the_rest_computes_in() -> None:
    model = build_preset("nano").model.bfloat16()
    keep_projector_in_float32(model)
    widths = {
        group: {value.dtype for _, value in members} for group, members in parameter_groups(model).items()
    }
    assert widths["projector"] == {torch.float32}
    assert widths["llm"] == widths["vision"] == {torch.bfloat16}
    pixels = torch.randn(1, 3, 128, 128, dtype=torch.bfloat16)
    (features,) = model.base_model.get_image_features(pixels).pooler_output
    assert features.dtype == torch.bfloat16
    features.float().sum().backward()
    gradient = next(value for _, value in parameter_groups(model)["projector"]).grad
    assert gradient.dtype == torch.float32
    assert gradient.abs().max() > 0

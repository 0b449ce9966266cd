"""The examples of docs/model.md do what they say."""

import re
from pathlib import Path

import pytest
import torch
from transformers import CLIPVisionConfig, LlamaConfig, VipLlavaConfig, VipLlavaForConditionalGeneration

from agrilape.config.lape import LapeConfig
from agrilape.errors import ModelError
from agrilape.model import attach, lape_of
from agrilape.model.grids import FAMILIES, extents_of

PAGE = (Path(__file__).parents[3] / "docs" / "model.md").read_text()
FIRST, NEW_FAMILY, DECODING = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(FIRST, names)
    assert lape_of(names["model"]) is None
    assert lape_of(names["plain"]) is None
    loaded = names["agrilape"].from_pretrained("adapter")
    prompt = loaded.processor(text="<image> where?", images=[_image()], return_tensors="pt")
    names |= {"model": loaded.model, "inputs": prompt, "config": loaded.config}
    exec(DECODING, names)
    generated = names["positions"].lookup(names["answers"])[0] >= 0
    assert len(names["finer"][0]) == int(generated.sum())


def test_the_example_of_a_new_family_covers_the_image(monkeypatch):
    monkeypatch.setattr("agrilape.model.grids.FAMILIES", dict(FAMILIES))
    exec(NEW_FAMILY, names := {})
    vision = type("Vision", (), {"image_size": 32, "patch_size": 8})
    config = type("Config", (), {"model_type": "my_vlm", "vision_config": vision})
    (extents,) = extents_of(config)(names["ImageCall"](config, torch.zeros(1, 3, 32, 32)))
    assert extents.shape == (16, 4)
    area = (extents[:, 2] - extents[:, 0]) * (extents[:, 3] - extents[:, 1])
    assert area.sum() == 1


def test_a_family_added_like_the_example_takes_lape(monkeypatch):
    """VipLLaVA, which is not supported: refused at first, and with the example's function like any other."""
    monkeypatch.setattr("agrilape.model.grids.FAMILIES", dict(FAMILIES))
    size = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = VipLlavaConfig(
        vision_config=CLIPVisionConfig(**size, image_size=32, patch_size=8),
        text_config=LlamaConfig(**size, vocab_size=100), image_token_id=90, vision_feature_layers=[-1],
    )  # fmt: skip
    model = VipLlavaForConditionalGeneration(config).eval()
    ids = {"height": (10, 11, 12), "width": (13, 14, 15), "temporal": (16, 17)}
    settings = LapeConfig(num_spatial_tokens=3, num_temporal_tokens=2, token_ids=ids)
    with pytest.raises(ModelError, match=r"`vipllava` is not supported; known: gemma3"):
        attach(model, settings)
    exec(NEW_FAMILY.replace("my_vlm", "vipllava"), {})
    attach(model, settings)
    prompt = torch.tensor([[1, *[90] * 16, 10, 13, 5]])
    logits = []
    for gate in (1.0, 0.0):
        lape_of(model).gate = gate
        logits.append(model(prompt, pixel_values=torch.ones(1, 3, 32, 32)).logits)
    assert not torch.equal(*logits)


def test_every_family_is_in_the_table():
    table = PAGE.split("## Families")[1].split("A series is")[0]
    assert set(re.findall(r"`(\w+)`", table)) >= set(FAMILIES)


def _image():
    from PIL import Image

    return Image.new("RGB", (64, 64))

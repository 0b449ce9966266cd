"""The examples of docs/model.md do what they say."""

import re
from pathlib import Path

import torch

from agrilape.model import lape_of
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


def test_every_family_is_in_the_table():
    table = PAGE.split("## Families")[1].split("A series is")[0]
    assert set(re.findall(r"`(\w+)`", table)) >= set(FAMILIES)


def _image():
    from PIL import Image

    return Image.new("RGB", (64, 64))

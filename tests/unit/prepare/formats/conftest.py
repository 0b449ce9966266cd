"""Small releases in the layouts of their publishers."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agrilape.prepare.formats import SkippedRows


@pytest.fixture
def omissions():
    return SkippedRows()


@pytest.fixture
def paint(tmp_path):
    """Write a picture of random pixels below the folder."""

    def write(name, width=200, height=100, seed=0):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def write_json(tmp_path):
    """Write JSON, or JSON lines for a file of that name, below the folder."""

    def write(name, value) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = name.endswith(".jsonl")
        path.write_text("\n".join(map(json.dumps, value)) if lines else json.dumps(value), encoding="utf-8")
        return path

    return write


@pytest.fixture
def talk():
    """A conversation of questions and answers by turns."""

    def build(*texts):
        return [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(texts)]

    return build

"""Families other than the built-in one through the pipeline: a folder of a model, `train`, `evaluate`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agrilape.evaluate.inference import Decoding, predict_samples
from agrilape.model import lape_of, load_checkpoint, parameter_groups
from agrilape.train import train_recipe

sys.path.insert(0, str(Path(__file__).parents[1]))
import train_case as case

PLAIN = ("paligemma", "idefics3", "gemma3", "llava_next")  # processors that load without torchvision


@pytest.mark.parametrize(
    "name", [*PLAIN[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in PLAIN[2:])]
)
def test_a_family_is_trained_and_answers(speaker, name, tmp_path):
    base = speaker(name)
    base.model.save_pretrained(tmp_path / "base")
    base.processor.save_pretrained(tmp_path / "base")
    case.write_data(tmp_path / "data", chips=8)
    recipe = case.recipe(tmp_path / "run", steps=3, model={"preset": None, "path": str(tmp_path / "base")})
    train_recipe(recipe, tmp_path / "run", tmp_path / "data")

    trained = load_checkpoint(tmp_path / "run" / "stages" / "2-warm")
    assert lape_of(trained.model).gate > 0
    groups = parameter_groups(trained.model)
    before = dict(base.model.named_parameters())
    for group in ("vision", "projector", "llm"):
        moved = [not value.equal(before[name]) for name, value in groups[group] if name in before]
        assert any(moved), group
    examples = [case.example(100), case.example(101)]
    decoding = Decoding(constrained_decoding=True, max_new_tokens=24)
    answers = [
        answer
        for batch in predict_samples(trained, examples, batch_size=4, decoding=decoding)
        for answer in batch
    ]
    assert len(answers) == 8
    assert not any(answer.problems for answer in answers)

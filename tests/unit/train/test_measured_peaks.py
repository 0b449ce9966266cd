"""What a dry run says of 7B models, against peaks measured on one H200 by benchmarks/train.py."""

import pytest
import torch
from tests.benchmarks import load

from agrilape.config import parse_recipe
from agrilape.train.activations import Arithmetic, activation_bytes, logit_bytes
from agrilape.train.estimate import PROCESS_BYTES, count_parameters, weight_bytes
from agrilape.train.optim import peak_rates

LORA = {"lora": 1e-4, "projector": 1e-5, "lape": 5e-4}
ALL = {"vision": 1e-6, "projector": 1e-5, "llm": 1e-6, "lape": 1e-4}
ADAPTED = {"lora_rank": 32}
FOUR = {"lora_rank": 32, "quantisation": "nf4"}
PEAKS = [
    ("qwen2_5_vl_7b", ADAPTED, LORA, 16, 424, 22.8),
    ("qwen2_5_vl_7b", FOUR, LORA, 8, 424, 11.1),
    ("qwen2_5_vl_7b", {}, ALL, 16, 424, 67.3),
    ("llava_onevision_7b", ADAPTED, LORA, 16, 1704, 33.8),
]
"""Configuration, settings, what trained, rows of a pass, tokens of each, peak in GB."""


@pytest.fixture(scope="module")
def outlines():
    models = load("large_models")
    made = {}
    for name in {peak[0] for peak in PEAKS}:
        with torch.device("meta"):
            config, _ = models.CONFIGS[name](False)
            made[name] = models.random_model(config, torch.device("meta"), torch.bfloat16)
    return made


@pytest.mark.parametrize(("name", "settings", "rates", "rows", "length", "peak"), PEAKS)
def test_measured_peaks_are_within_a_quarter(outlines, name, settings, rates, rows, length, peak) -> None:
    stage = {
        "name": "domain", "enable_lape": True, "learning_rates": rates, "steps": 2,
        "introduction": {"schedule": "same"},
        "mixture": {"fields": {"weight": 1.0, "datasets": ["fields"]}},
    }  # fmt: skip
    recipe = parse_recipe({
        "name": "peak", "output": "run",
        "datasets": {"fields": {"source": {"kind": "simulate"}, "tasks": ["crop_box"]}},
        "model": {"preset": None, "path": "base", "dtype": "bfloat16", "gradient_checkpointing": True,
                  **settings},
        "evaluation": {"datasets": ["fields"]}, "stages": [stage],
    })  # fmt: skip
    model, stage = outlines[name], recipe.stages[0]
    held = weight_bytes(recipe, count_parameters(recipe, stage, model), model)
    trained = peak_rates(stage.learning_rates, lape=True)
    part = {
        "input_ids": torch.zeros(rows, length), "labels": torch.zeros(rows, length),
        "attention_mask": torch.zeros(rows, 1, length, length, dtype=torch.bool),
        "scored": torch.zeros(200), "answered": torch.zeros(rows * 80),
        "pixel_values": torch.zeros(*((rows * 784, 1176) if "qwen" in name else (rows * 2, 3, 384, 384))),
    }  # fmt: skip
    mixed = Arithmetic(product=2, mixed=True, on_cpu=False)
    passing = activation_bytes(model, part, mixed, "vision" in rates, again=True)
    said = PROCESS_BYTES + sum(held.values()) + 3 * sum(held[group] for group in trained)
    said += sum(passing.peak(logit_bytes(model, part, mixed)))
    assert said / 1e9 == pytest.approx(peak, rel=0.25)

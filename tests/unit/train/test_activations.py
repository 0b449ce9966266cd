"""Bytes of activations, against peaks measured on one H200."""

from types import SimpleNamespace

import pytest
import torch

from agrilape.config.recipe import ModelConfig
from agrilape.train import memory_budget
from agrilape.train.activations import Arithmetic, activation_bytes, logit_bytes, tokens_that_fit

MIXED = Arithmetic(product=2, mixed=True, on_cpu=False)
PROCESS, ADAM = 0.54e9, 12
WEIGHTS = {"qwen2_5_vl": 8.292e9, "llava_onevision": 8.03e9}
LORA = 81e6
"""Measured with gradient checkpointing, LoRA 32, float32 weights, products in bfloat16: tokens of a step,
which was one part (from its speed), parameters that train, peak in GB. Assumed: half of the places scored."""
PEAKS = [
    ("qwen2_5_vl", 35_200, 45e6, 63.8),
    ("qwen2_5_vl", 19_200, LORA, 47.8),
    ("llava_onevision", 29_600, 17e6, 56.8),
    ("llava_onevision", 20_000, LORA, 45.9),
]


def qwen2_7b():
    """Of the sizes that both models share: their language model's."""
    text = SimpleNamespace(
        hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28,
        num_key_value_heads=4, vocab_size=152_064,
    )  # fmt: skip
    return SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: text))


def part(tokens: int, scored: float):
    rows, length = 16, tokens // 16
    return {
        "input_ids": torch.zeros(rows, length),
        "labels": torch.zeros(rows, length),
        "attention_mask": torch.zeros(rows, length),
        "scored": torch.zeros(int(scored * length)),
        "answered": torch.zeros(tokens // 20),
    }


@pytest.mark.parametrize(("family", "tokens", "trained", "peak"), PEAKS)
def test_peaks_with_gradient_checkpointing_are_within_a_quarter(family, tokens, trained, peak) -> None:
    batch = part(tokens, 0.5)
    held = activation_bytes(qwen2_7b(), batch, MIXED, sees=False, again=True)
    passing = sum(held.peak(logit_bytes(qwen2_7b(), batch, MIXED)))
    said = PROCESS + 4 * WEIGHTS[family] + ADAM * trained + passing
    assert said / 1e9 == pytest.approx(peak, rel=0.25)


@pytest.mark.parametrize("again", [False, True])
def test_tokens_that_fit_do(again) -> None:
    memory_budget = 30 * 10**9
    tokens = tokens_that_fit(memory_budget, qwen2_7b(), MIXED, False, again)
    for number, fits in ((tokens // 16 * 16, True), (int(1.1 * tokens), False)):
        batch = part(number, 0.5) | {"answered": torch.zeros(0)}
        held = activation_bytes(qwen2_7b(), batch, MIXED, sees=False, again=again)
        assert (sum(held.peak(logit_bytes(qwen2_7b(), batch, MIXED))) <= memory_budget) == fits
    assert tokens_that_fit(-1, qwen2_7b(), MIXED, False, again) == 1


def test_a_part_is_as_large_as_the_free_memory_allows_beside_what_is_still_to_come(monkeypatch) -> None:
    model = torch.nn.Linear(1000, 1000, bias=False)
    model.config = qwen2_7b().config
    config, device = ModelConfig(gradient_checkpointing=True), torch.device("cuda")
    monkeypatch.setattr(memory_budget, "is_mixed", lambda *_: True)
    sizes = []
    for free, trains in ((10**10, False), (2 * 10**10, False), (10**10, True)):
        monkeypatch.setattr(memory_budget, "free_bytes", lambda _, free=free: free)
        model.requires_grad_(trains)
        sizes.append(memory_budget.most_tokens(config, model, device, sees=False))
    assert sizes[0] > 1000
    assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.01)
    weight = 4 * 10**6
    own = [
        tokens_that_fit(int(memory_budget.USED * 10**10) - n * weight, model, MIXED, False, True)
        for n in (1, 4)
    ]
    assert [sizes[0], sizes[2]] == own
    asked = config.model_copy(update={"tokens_at_once": 123})
    assert memory_budget.most_tokens(asked, model, device, sees=False) == 123


def test_a_cpu_sets_no_limit() -> None:
    assert (
        memory_budget.most_tokens(ModelConfig(), torch.nn.Linear(2, 2), torch.device("cpu"), sees=False)
        is None
    )

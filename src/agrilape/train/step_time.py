"""How long a step takes, found by taking some: for models small enough to be built for it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from statistics import median
from typing import Any

import torch

from agrilape.config.recipe import Recipe, StageConfig
from agrilape.model.shared_images import shared_images
from agrilape.train.loss import AnswerCriterion
from agrilape.train.precision import keep_cpu_attention_in_float32
from agrilape.train.setup import prepare

TIMED = 7
"""Batches that are timed, after one that warms up; their median counts, since other programs run beside."""
BESIDE = 1.15
"""What a step takes beside forward and backward passes: optimiser, log, loading of data on the same cores."""


def seconds_per_batch(
    recipe: Recipe,
    stage: StageConfig,
    batches: Sequence[Mapping[str, Any]],
    device: torch.device,
    mixed: bool,
) -> float | None:
    """Usual time of a batch, forward and backward, with the built-in model; None where none can be timed.

    Args:
        recipe: What would be trained; its model is a preset.
        stage: The stage.
        batches: Some of its batches, in parts.
        device: Where it would train.
        mixed: Products in bfloat16.
    """
    if len(batches) < 2:
        return None
    prepared = prepare(recipe, stage, None)
    model = prepared.model.to(device).train()
    if mixed:
        keep_cpu_attention_in_float32()
    criterion = AnswerCriterion(recipe.loss, prepared.lape)
    times = []
    for batch in islice(cycle(batches), TIMED + 1):
        began = time.perf_counter()
        for part in batch["parts"]:
            _pass(model, criterion, dict(_on(part, device)), mixed, prepared.lape is None)
        model.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - began)
    return BESIDE * median(times[1:])


def _on(part: Mapping[str, Any], device: torch.device) -> Iterator[tuple[str, Any]]:
    for name, value in part.items():
        yield name, value.to(device) if isinstance(value, torch.Tensor) else value


def _pass(model: Any, criterion: AnswerCriterion, inputs: dict[str, Any], mixed: bool, bare: bool) -> None:
    """One part forward and backward, as the Trainer makes it."""
    labels, targets = inputs.pop("labels")[:, 1:], inputs.pop("position_targets")[:, 1:]
    inputs.pop("cover", None)
    if bare:
        inputs.pop("image_times", None)
    scored, answered = inputs.pop("scored"), inputs.pop("answered")
    device = labels.device.type
    shared = shared_images(model, inputs["input_ids"], inputs.pop("chip_of_row", None))
    with shared, torch.autocast(device, torch.bfloat16, enabled=mixed):
        outputs = model(**inputs, logits_to_keep=scored, use_cache=False)
    loss = criterion(outputs.logits, labels[:, scored], targets[:, scored], len(answered), answered).loss
    loss.backward()  # type: ignore[no-untyped-call]
    float(loss.detach())  # waits for the device

"""The scale of the injection, fixed before a stage by images that do not depend on how batches are shared.

By the first images that a process sees it would depend on the size of a batch, on that of its parts, and on
the number of processes: losses of one process and of two differed by 3e-4.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from agrilape.errors import DataError
from agrilape.model import lape_of
from agrilape.model.attach import inner_model
from agrilape.tokens import Collator, TrainingItem
from agrilape.train.sampling import TrainingSamples

CHIPS = 16


def fix_scale(model: Any, collator: Collator, data: TrainingSamples, device: torch.device) -> None:
    """Scale the injection to the visual features of a stage's first chips, unless it was scaled before.

    Args:
        model: Prepared for the stage, whole.
        collator: Makes its batches.
        data: All that the stage will see, the same in every process.
        device: Where to compute.
    """
    lape = lape_of(model)
    if lape is None or not lape.injects or lape.calibrated or lape.config.injection_rms is None:
        return
    model.to(device).eval()
    lape.enabled = False  # features as they are
    sums = torch.tensor([_power(model, batch, device) for batch in _batches(collator, data)]).double()
    lape.enabled = True
    if len(sums):
        total, count = sums.sum(0)
        lape.scale_to((total / count).to(lape.unit))
        lape.calibrated = True


def _batches(collator: Collator, data: TrainingSamples) -> Iterator[dict[str, Any]]:
    """One chip at a time, with one question; those that cannot be used are passed over here."""
    for index in range(min(CHIPS, len(data))):
        item = data[index]
        with suppress(DataError):
            yield dict(collator([TrainingItem(item.example, item.samples[:1])]))


@torch.no_grad()
def _power(model: Any, batch: dict[str, Any], device: torch.device) -> tuple[float, int]:
    """Sum of squares of a batch's visual features, and how many numbers they are."""
    base = inner_model(model).base_model
    taken = signature(base.get_image_features).parameters
    given = {name: value.to(device) for name, value in batch.items() if name in taken}
    features = base.get_image_features(**given).pooler_output
    flat = features if isinstance(features, Tensor) else torch.cat(list(features))
    return float(flat.double().square().sum()), flat.numel()

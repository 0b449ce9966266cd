"""How LAPE's rows begin."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from agrilape.config.lape import AXES, Axis
from agrilape.errors import ModelError
from agrilape.model.lape import Direction, Lape

_WAVES = 24


@torch.no_grad()
def initialise(lape: Lape, embeddings: Tensor, head: Tensor, tokenizer: Any = None) -> None:
    """Fill all tables by the method that the config names.

    Randomness comes from torch's global generator, as for any other layer.

    Args:
        lape: The module to fill.
        embeddings: Input embeddings of the text vocabulary, `[V, D]`.
        head: Output rows of the text vocabulary, `[V, D]`.
        tokenizer: Needed for `numerals` only.

    Raises:
        ModelError: `numerals` without a tokenizer.
    """
    for axis in AXES:
        waves = torch.randn(_WAVES, embeddings.shape[1])
        lape.table(axis, "in").copy_(_rows(lape, axis, "in", embeddings.float(), waves, tokenizer))
        if not lape.tied:
            lape.table(axis, "out").copy_(_rows(lape, axis, "out", head.float(), waves, tokenizer))


def _rows(
    lape: Lape, axis: Axis, direction: Direction, text: Tensor, waves: Tensor, tokenizer: Any
) -> Tensor:
    bins, width = lape.config.bins(axis), text.shape[1]
    match lape.config.initialisation:
        case "reference":  # what nn.Embedding and nn.Linear begin with
            if direction == "in":
                return torch.randn(bins, width)
            return torch.empty(bins, width).uniform_(-(width**-0.5), width**-0.5)
        case "statistics":
            mean, deviation = text.mean(0).cpu(), text.std(0).cpu()
            return mean + 0.1 * deviation * torch.randn(bins, width)
        case "mean":
            return text.mean(0).expand(bins, width)
        case "numerals":
            return _numerals(bins, text, tokenizer)
        case "smooth":
            norm: Tensor = text.norm(dim=1)
            return smooth_code(bins, waves) * norm.mean().cpu()


def smooth_code(bins: int, waves: Tensor) -> Tensor:
    """Unit rows that change smoothly with position: cosines of rising frequency and falling weight.

    Args:
        bins: Number of rows N.
        waves: Random direction of each frequency, `[K, D]`.

    Returns:
        `[N, D]`; neighbours are alike, rows further apart grow independent.
    """
    position = torch.linspace(0, 1, bins)
    frequency = torch.arange(len(waves), dtype=torch.float32)
    basis = torch.cos(math.pi * frequency * position[:, None]) / (1 + frequency).sqrt()
    return torch.nn.functional.normalize(basis @ waves, dim=1)


def _numerals(bins: int, text: Tensor, tokenizer: Any) -> Tensor:
    """Embedding of the number's own text, leading tokens first: token k of `037` weighs 2^-k.

    A plain mean would make 12 and 21 the same row under a tokenizer that splits digits.
    """
    if tokenizer is None:
        raise ModelError(
            "initialisation `numerals` needs the tokenizer", "call attach(model, config, tokenizer)"
        )
    rows = []
    for index in range(bins):
        ids = tokenizer.encode(f"{index:03d}", add_special_tokens=False)
        weights = torch.exp2(-torch.arange(len(ids), dtype=torch.float32, device=text.device))
        rows.append((weights / weights.sum()) @ text[ids])
    return torch.stack(rows)

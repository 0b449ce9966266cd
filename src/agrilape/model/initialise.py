"""Initialisation of LAPE's position embeddings."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from agrilape.config.lape import AXES, Axis
from agrilape.errors import ModelError
from agrilape.model.gradients import Direction
from agrilape.model.lape import Lape

_WAVES = 24


@torch.no_grad()
def initialise(lape: Lape, embeddings: Tensor, head: Tensor, tokenizer: Any = None) -> None:
    """Fill all tables by the method that the config names.

    Randomness comes from torch's global generator, as for any other layer.

    Args:
        lape: The module to fill.
        embeddings: Input embeddings of the whole vocabulary, `[V, D]`; the position tokens' own do not count.
        head: Output rows of the whole vocabulary, `[V, D]`, likewise.
        tokenizer: Needed for `numerals` only.

    Raises:
        ModelError: `numerals` without a tokenizer.
    """
    matrices: dict[Direction, Tensor] = {"in": embeddings} if lape.tied else {"in": embeddings, "out": head}
    texts = {direction: _text_rows(lape, matrix) for direction, matrix in matrices.items()}
    for axis in AXES:
        waves = torch.randn(_WAVES, embeddings.shape[1])
        for direction, matrix in matrices.items():
            if lape.config.initialisation == "numerals":
                rows = _numerals(lape.config.bins(axis), matrix, tokenizer)
            else:
                rows = _rows(lape, axis, direction, texts[direction], waves)
            lape.table(axis, direction).copy_(rows)


def _text_rows(lape: Lape, matrix: Tensor) -> Tensor:
    """Rows of all tokens but the position tokens, float32."""
    text = torch.ones(len(matrix), dtype=torch.bool)
    text[lape.token_ids] = False
    return matrix[text.to(matrix.device)].float()


def _rows(lape: Lape, axis: Axis, direction: Direction, text: Tensor, waves: Tensor) -> Tensor:
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
        case _:  # smooth
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


def _numerals(bins: int, matrix: Tensor, tokenizer: Any) -> Tensor:
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
        weights = torch.exp2(-torch.arange(len(ids), dtype=torch.float32, device=matrix.device))
        rows.append((weights / weights.sum()) @ matrix[ids].float())
    return torch.stack(rows)

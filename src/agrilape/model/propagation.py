"""Neighbouring-token propagation (NTP): a position that is learnt teaches the positions beside it."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

Propagation = Literal["gradient", "value", "off"]


def propagation_matrix(bins: int, *, normalised: bool = False) -> Tensor:
    """M[i, j] = 2^-|i-j|, `[N, N]` float32; rows divided by their sums if normalised."""
    index = torch.arange(bins, dtype=torch.float32)
    matrix = torch.exp2(-(index[:, None] - index[None, :]).abs())
    return matrix / matrix.sum(1, keepdim=True) if normalised else matrix


def propagate(rows: Tensor, matrix: Tensor, mode: Propagation) -> Tensor:
    """Apply propagation to one table.

    `gradient` (the published form, W + M W - stopgrad(M W)) leaves values alone and turns the gradient G into
    (I + M^T) G. `value` smooths the rows themselves, M W, for which the matrix must be normalised.

    Args:
        rows: Table, `[N, D]`.
        matrix: Propagation matrix, `[N, N]`.
        mode: What is propagated.
    """
    if mode == "off":
        return rows
    if mode == "value":
        return matrix.to(rows.dtype) @ rows
    if not torch.is_grad_enabled():
        return rows.detach()
    propagated: Tensor = _PropagateGradient.apply(rows, matrix)  # type: ignore[no-untyped-call]
    return propagated


class _PropagateGradient(torch.autograd.Function):
    """Identity whose gradient reaches the neighbours.

    W + M W - stopgrad(M W) is not exactly W in floating point (relative error 4e-3 in bfloat16); this is.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, matrix: Tensor) -> Tensor:
        ctx.save_for_backward(matrix)
        return rows.view_as(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (matrix,) = ctx.saved_tensors
        (gradient,) = gradients
        return gradient + matrix.to(gradient.dtype).T @ gradient, None

"""Cross-entropy on answers, with targets that know where between two position tokens the truth lies.

A coordinate p on an axis of N tokens sits at u = p (N-1), mostly between two bins. `two_hot` shares the
target between both: (1-r) CE(floor u) + r CE(floor u + 1) with r = u - floor u, which equals the
cross-entropy against the dense two-hot distribution, without building one. `gaussian` spreads it over the
axis, `hard` takes the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from agrilape.config.lape import AXES, Axis, LapeConfig
from agrilape.config.recipe import LossConfig
from agrilape.tokens.packing import IGNORED

KINDS = ("text", *AXES)


class AnswerLoss(NamedTuple):
    """Loss of one batch and what it is made of.

    Attributes:
        loss: Weighted loss, a scalar with gradient.
        sums: [4, 4], one row per kind (text, height, width, temporal); columns: unweighted cross-entropy,
            number of tokens, tokens predicted exactly, absolute error of the expected coordinate in bins (0
            for text).
    """

    loss: Tensor
    sums: Tensor


@dataclass(frozen=True)
class _AxisTokens:
    """The vocabulary columns of one axis."""

    name: Axis
    ids: Tensor
    weight: float


class AnswerCriterion:
    """Token cross-entropy over answers, weighted by the kind of token.

    Args:
        config: Kind of target and weights.
        lape: Position tokens with resolved ids; None where none are in use, when every token is text.
    """

    def __init__(self, config: LossConfig, lape: LapeConfig | None = None) -> None:
        self.config = config
        weights = {
            "height": config.spatial_pos_weight,
            "width": config.spatial_pos_weight,
            "temporal": config.temporal_pos_weight,
        }
        ids = (lape.token_ids if lape else None) or {}
        self.axes = [_AxisTokens(a, torch.tensor(ids[a]), weights[a]) for a in AXES if a in ids]

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        position_targets: Tensor,
        normaliser: Tensor | float | None = None,
    ) -> AnswerLoss:
        """Score the answers of a batch.

        Args:
            logits: [B, L, V], each predicting the token at its own place in `labels` (already shifted).
            labels: [B, L] token ids, -100 outside the answers.
            position_targets: [B, L] exact coordinates in bins; NaN for text and where only the label is
                known.
            normaliser: Number of answer tokens to divide by; None: those of this batch. With gradient
                accumulation it is the number in the whole step, so that accumulation does not change the
                gradient.

        Returns:
            The loss and its parts.
        """
        rows, wanted, exact = _answered(logits, labels, position_targets)
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        width = max([self._spread(axis) for axis in self.axes], default=1)
        columns = wanted[:, None].repeat(1, width)
        shares = F.pad(
            rows.new_ones(len(wanted), 1), (0, width - 1)
        )  # all of it on the label, as text has it
        weights = rows.new_ones(len(wanted))
        kinds, errors = torch.zeros_like(wanted), torch.zeros_like(weights)
        for axis in self.axes:
            chosen, bins = self._on_axis(axis, wanted)
            kinds[chosen], weights[chosen] = KINDS.index(axis.name), axis.weight
            position = torch.where(exact[chosen].isnan(), bins, exact[chosen]).to(rows.dtype)
            errors[chosen] = self._error(axis, rows.detach(), chosen, position)
            spread = self._spread(axis)
            columns[chosen, :spread], shares[chosen, :spread] = self._target(axis, bins, position)
        entropy: Tensor = _TargetEntropy.apply(rows, columns, shares)  # type: ignore[no-untyped-call]
        hits = rows.detach().argmax(-1) == wanted
        facts = torch.stack([entropy.detach(), torch.ones_like(errors), hits.to(errors.dtype), errors], dim=1)
        sums = facts.new_zeros(len(KINDS), 4).index_add_(0, kinds, facts)
        total = normaliser if normaliser is not None else max(len(wanted), 1)
        return AnswerLoss((entropy * weights).sum() / total, sums)

    @staticmethod
    def _on_axis(axis: _AxisTokens, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of an axis' tokens among the answer tokens, and their bins."""
        matches = wanted[:, None] == axis.ids.to(wanted.device)
        chosen, bins = matches.nonzero(as_tuple=True)
        return chosen, bins

    @staticmethod
    def _error(axis: _AxisTokens, rows: Tensor, chosen: Tensor, position: Tensor) -> Tensor:
        """Distance of the expected coordinate from the true one, `[P]` bins."""
        likely = rows[chosen[:, None], axis.ids.to(rows.device)].softmax(-1)
        places = torch.arange(len(axis.ids), device=rows.device, dtype=rows.dtype)
        return (likely @ places - position).abs()

    def _spread(self, axis: _AxisTokens) -> int:
        """Over how many tokens the target of a position is spread."""
        return {"hard": 1, "two_hot": 2, "gaussian": len(axis.ids)}[self.config.targets]

    def _target(self, axis: _AxisTokens, bins: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens around each position [P] and the share of the target on each: two of [P, spread]."""
        ids = axis.ids.to(bins.device)
        if self.config.targets == "hard":
            return ids[bins, None], torch.ones_like(position)[:, None]
        if self.config.targets == "two_hot":
            low = position.floor().clamp(0, len(ids) - 2)
            share = (position - low)[:, None]
            neighbours = low.long()[:, None] + torch.arange(2, device=ids.device)
            return ids[neighbours], torch.cat([1 - share, share], dim=1)
        places = torch.arange(len(ids), device=ids.device, dtype=position.dtype)
        distance = (places - position[:, None]) / self.config.gaussian_sigma
        return ids.expand(len(position), -1), (-0.5 * distance**2).softmax(-1)


class _TargetEntropy(torch.autograd.Function):
    """Cross-entropy `[R]` of logits `[R, V]` against targets that lie on K tokens each.

    The gradient, softmax minus target, is written over the log-probabilities that the forward pass kept. The
    library's cross-entropy holds two more `[R, V]` tensors at that moment; at V = 150,000 each costs as much
    as the logits. A second backward pass through the same graph is an error, which autograd raises.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, columns: Tensor, shares: Tensor) -> Tensor:
        log_probabilities = logits.log_softmax(-1)
        ctx.save_for_backward(log_probabilities, columns, shares)
        return -(log_probabilities.gather(1, columns) * shares).sum(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        log_probabilities, columns, shares = ctx.saved_tensors
        upstream = gradients[0].unsqueeze(1)
        gradient = log_probabilities.exp_().mul_(upstream)
        return gradient.scatter_add_(1, columns, -shares * upstream), None, None


def _answered(logits: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The places that are scored, `[R, V]`, `[R]`, `[R]`; logits are copied only if there are others."""
    chosen = labels != IGNORED
    if chosen.all():
        return logits.flatten(0, 1), labels.flatten(), targets.flatten()
    return logits[chosen], labels[chosen], targets[chosen]


def summarise(sums: Tensor) -> dict[str, float]:
    """Turn summed rows of `AnswerLoss.sums` into what is logged.

    Args:
        sums: [4, 4], summed over any number of batches.

    Returns:
        `loss_<kind>` and, for position tokens, `position_accuracy` (exact token) and `coordinate_error`
        (bins); kinds that did not occur are left out.
    """
    table = sums.double().tolist()
    values = {f"loss_{kind}": row[0] / row[1] for kind, row in zip(KINDS, table, strict=True) if row[1]}
    if table[0][1]:
        values["text_accuracy"] = table[0][2] / table[0][1]
    positions = [row for row in table[1:] if row[1]]
    if positions:
        tokens = sum(row[1] for row in positions)
        values["position_accuracy"] = sum(row[2] for row in positions) / tokens
        values["coordinate_error"] = sum(row[3] for row in positions) / tokens
    return values

"""Cross-entropy on answers, with targets that know where between two position tokens the truth lies.

A coordinate p on an axis of N tokens sits at u = p (N-1), mostly between two bins. `two_hot` shares the
target between both: (1-r) CE(floor u) + r CE(floor u + 1) with r = u - floor u, which equals the
cross-entropy against the dense two-hot distribution, without building one. `gaussian` spreads it over the
axis, `hard` takes the label.

To a cross-entropy all wrong bins are equally wrong. `distance_weight` adds how far the stated probability has
to be moved along the axis to the truth, as a share of the axis: the Wasserstein-1 distance, in one dimension
the area between both cumulative distributions (Vallender, 1974, doi:10.1137/1118101; as a loss over ordered
classes: Hou, Yu and Samaras, 2016, arXiv:1611.05916).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import Any, NamedTuple, Self

import torch
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
class _Vocabulary:
    """Position tokens of all axes in one numbering, as tensors to look up; the last entry stands for text.

    Attributes:
        number: Number of each vocabulary id, `[highest id + 2]`; -1 for text.
        ids: Vocabulary id of each number, `[P]`.
        bins: Its bin on its axis, `[P + 1]`.
        kinds: Its place in `KINDS`, `[P + 1]`.
        firsts: Number of the first bin, of each kind, `[4]`.
        counts: Number of bins, of each kind, `[4]`; 1 for text.
        weights: Weight in the loss, of each kind, `[4]`.
    """

    number: Tensor
    ids: Tensor
    bins: Tensor
    kinds: Tensor
    firsts: Tensor
    counts: Tensor
    weights: Tensor

    @classmethod
    def of(cls, token_ids: Mapping[Axis, Sequence[int]], weights: Mapping[Axis, float]) -> Self:
        """Number the tokens axis by axis."""
        ids = [token for axis in AXES for token in token_ids.get(axis, ())]
        counts = [len(token_ids.get(axis, ())) for axis in AXES]
        number = torch.full((max(ids, default=-1) + 2,), -1)
        number[ids] = torch.arange(len(ids))
        return cls(
            number,
            torch.tensor(ids),
            torch.tensor([place for count in counts for place in range(count)] + [0]),
            torch.tensor([kind for kind, count in enumerate(counts, 1) for _ in range(count)] + [0]),
            torch.tensor([0, *accumulate(counts, initial=0)][:-1]),
            torch.tensor([1, *counts]),
            torch.tensor([1.0, *(weights[axis] for axis in AXES)]),
        )

    def to(self, device: torch.device) -> _Vocabulary:
        """The same on another device."""
        return _Vocabulary(*(getattr(self, one.name).to(device) for one in fields(self)))


class AnswerCriterion:
    """Token cross-entropy over answers, weighted by the kind of token.

    Nothing is read back from the device, which would wait for it, if `answered` is given.

    Args:
        config: Kind of target and weights.
        lape: Position tokens with resolved ids; None where none are in use, when every token is text.
    """

    def __init__(self, config: LossConfig, lape: LapeConfig | None = None) -> None:
        self.config = config
        weights: dict[Axis, float] = {
            "height": config.spatial_pos_weight,
            "width": config.spatial_pos_weight,
            "temporal": config.temporal_pos_weight,
        }
        self._vocabulary = _Vocabulary.of((lape.token_ids if lape else None) or {}, weights)
        self._spread = {"hard": 1, "two_hot": 2, "gaussian": int(self._vocabulary.counts.max())}

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        position_targets: Tensor,
        normaliser: Tensor | float | None = None,
        answered: Tensor | None = None,
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
            answered: Indices of the answers in the flattened labels, `[R]`; None: they are looked for.

        Returns:
            The loss and its parts.
        """
        rows, wanted, exact = _answered(logits, labels, position_targets, answered)
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        if self._vocabulary.ids.device != rows.device:
            self._vocabulary = self._vocabulary.to(rows.device)
        known = self._vocabulary
        number = known.number[wanted.clamp(max=len(known.number) - 1)]
        kinds = known.kinds[number]
        position = torch.where(exact.isnan(), known.bins[number], exact).to(rows.dtype)
        columns, shares = self._targets(wanted, kinds, position)
        entropy: Tensor = _TargetEntropy.apply(rows, columns, shares)  # type: ignore[no-untyped-call]
        hits = rows.detach().argmax(-1) == wanted
        errors = self._errors(rows.detach(), kinds, position)
        loss = entropy
        if self.config.distance_weight and len(known.ids):
            loss = entropy + self.config.distance_weight * self._distances(rows, kinds, position)
        facts = torch.stack([entropy.detach(), torch.ones_like(errors), hits.to(errors.dtype), errors], dim=1)
        sums = facts.new_zeros(len(KINDS), 4).index_add_(0, kinds, facts)
        total = normaliser if normaliser is not None else max(len(wanted), 1)
        return AnswerLoss((loss * known.weights[kinds]).sum() / total, sums)

    def _targets(self, wanted: Tensor, kinds: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens on which the target of each answer lies, and its share on each: two of `[R, spread]`.

        A text token has all of it on itself.
        """
        spread = self._spread[self.config.targets]
        known = self._vocabulary
        if spread == 1 or not len(known.ids):
            return wanted[:, None], torch.ones_like(position)[:, None]
        last = (known.counts[kinds] - 1)[:, None]
        offsets = torch.arange(spread, device=wanted.device)
        if self.config.targets == "two_hot":
            low = torch.minimum(position.floor().clamp(min=0).long()[:, None], (last - 1).clamp(min=0))
            share = position[:, None] - low
            shares, bins = torch.cat([1 - share, share], dim=1), low + offsets
        else:
            distance = (offsets - position[:, None]) / self.config.gaussian_sigma
            shares = (-0.5 * distance**2).masked_fill(offsets > last, -torch.inf).softmax(-1)
            bins = offsets.expand(len(wanted), -1)
        tokens = known.ids[known.firsts[kinds][:, None] + torch.minimum(bins, last)]
        return torch.where(kinds[:, None] > 0, tokens, wanted[:, None]), shares

    def _errors(self, rows: Tensor, kinds: Tensor, position: Tensor) -> Tensor:
        """Distance of the expected coordinate from the true one, `[R]` bins; 0 for text."""
        known = self._vocabulary
        if not len(known.ids):
            return torch.zeros_like(position)
        likely, _ = self._on_axis(rows, kinds)
        return (likely @ known.bins[:-1].to(rows.dtype) - position).abs() * (kinds > 0)

    def _distances(self, rows: Tensor, kinds: Tensor, position: Tensor) -> Tensor:
        """Wasserstein-1 distance of the distribution over the axis from the two-hot truth, `[R]`; 0 for text.

        A share of the axis, so that axes of different numbers of tokens weigh alike.
        """
        known = self._vocabulary
        likely, elsewhere = self._on_axis(rows, kinds)
        true = (known.bins[:-1] + 1 - position[:, None]).clamp(0, 1)
        gaps = (likely.cumsum(-1) - true).abs().masked_fill(elsewhere, 0)
        return gaps.sum(-1) / (known.counts[kinds] - 1).clamp(min=1) * (kinds > 0)

    def _on_axis(self, rows: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        """Probability of each position token on the answer's axis, `[R, P]`, and which are on another."""
        known = self._vocabulary
        elsewhere = known.kinds[:-1] != kinds.clamp(min=1)[:, None]
        return rows[:, known.ids].masked_fill(elsewhere, -torch.inf).softmax(-1), elsewhere


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


def _answered(
    logits: Tensor, labels: Tensor, targets: Tensor, answered: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The places that are scored, `[R, V]`, `[R]`, `[R]`; logits are copied only if there are others."""
    if answered is None:
        answered = (labels.flatten() != IGNORED).nonzero().squeeze(1)
    flat = logits.flatten(0, 1), labels.flatten(), targets.flatten()
    if len(answered) == labels.numel():
        return flat
    rows, wanted, exact = (one[answered] for one in flat)
    return rows, wanted, exact


def summarise(sums: Tensor) -> dict[str, float]:
    """Turn summed rows of `AnswerLoss.sums` into what is logged.

    Args:
        sums: [4, 4], summed over any number of batches.

    Returns:
        `loss_<kind>` and, for position tokens, `position_accuracy` (exact token) and `coordinate_error`
        (bins); kinds that did not occur are skipped.
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

"""Cross-entropy on answers, with targets that know where between two position tokens the truth lies.

A coordinate p on an axis of N tokens sits at u = p (N-1), mostly between two bins. `two_hot` shares the
target between both: (1-r) CE(floor u) + r CE(floor u + 1) with r = u - floor u, which equals the
cross-entropy against the dense two-hot distribution, without building one. `gaussian` spreads it over the
axis, `hard` takes the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from agrilape.config.lape import AXES, Axis, LapeConfig
from agrilape.config.recipe import LossConfig

KINDS = ("text", *AXES)
IGNORED = -100


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
        answered = labels != IGNORED
        rows, wanted, exact = logits[answered], labels[answered], position_targets[answered]
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        entropy = F.cross_entropy(rows, wanted, reduction="none")
        weights = torch.ones_like(entropy)
        sums = entropy.new_zeros(len(KINDS), 4)
        is_text = torch.ones_like(wanted, dtype=torch.bool)
        for axis in self.axes:
            chosen, bins = self._on_axis(axis, wanted)
            is_text[chosen] = False
            if not len(chosen):
                continue
            entropy, error = self._soften(axis, entropy, rows, chosen, bins, exact)
            weights[chosen] = axis.weight
            hits = rows.detach()[chosen].argmax(-1) == wanted[chosen]
            sums[KINDS.index(axis.name)] = _row(entropy.detach()[chosen], hits, error)
        if is_text.any():
            hits = rows.detach()[is_text].argmax(-1) == wanted[is_text]
            sums[0] = _row(entropy.detach()[is_text], hits, entropy.new_zeros(()))
        total = normaliser if normaliser is not None else max(len(wanted), 1)
        return AnswerLoss((entropy * weights).sum() / total, sums)

    @staticmethod
    def _on_axis(axis: _AxisTokens, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of an axis' tokens among the answer tokens, and their bins."""
        matches = wanted[:, None] == axis.ids.to(wanted.device)
        chosen, bins = matches.nonzero(as_tuple=True)
        return chosen, bins

    def _soften(
        self, axis: _AxisTokens, entropy: Tensor, rows: Tensor, chosen: Tensor, bins: Tensor, exact: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Replace hard cross-entropies of an axis by soft ones; also sum the coordinate error."""
        columns = rows[chosen][:, axis.ids.to(rows.device)]
        hard = bins.to(columns.dtype)
        position = torch.where(exact[chosen].isnan(), hard, exact[chosen].to(columns.dtype))
        places = torch.arange(columns.shape[1], device=columns.device, dtype=columns.dtype)
        expected = columns.detach().softmax(-1) @ places
        error = (expected - position).abs().sum()
        if self.config.targets == "hard":
            return entropy, error
        # entropy = logsumexp - hard logit, so only the logit is exchanged
        at_label = columns.gather(1, bins[:, None]).squeeze(1)
        softened = entropy[chosen] + at_label - self._target_logit(columns, position, places)
        return entropy.index_copy(0, chosen, softened), error

    def _target_logit(self, columns: Tensor, position: Tensor, places: Tensor) -> Tensor:
        """Expectation of an axis' logits [P, N] under the target distribution around each position [P]."""
        if self.config.targets == "gaussian":
            distance = (places - position[:, None]) / self.config.gaussian_sigma
            return ((-0.5 * distance**2).softmax(-1) * columns).sum(-1)
        low = position.floor().clamp(0, columns.shape[1] - 2)
        share = position - low
        index = low.long()[:, None]
        at_low, at_high = columns.gather(1, index).squeeze(1), columns.gather(1, index + 1).squeeze(1)
        return (1 - share) * at_low + share * at_high


def _row(entropy: Tensor, hits: Tensor, error: Tensor) -> Tensor:
    """One row of `AnswerLoss.sums`."""
    count = torch.tensor(float(len(entropy)), device=entropy.device)
    return torch.stack([entropy.sum(), count, hits.sum().to(entropy.dtype), error.to(entropy.dtype)])


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

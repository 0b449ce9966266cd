"""A differential check of LAPE against the published formulas, in float64, on random weights.

The formulas are written out here as LLaVA-ST states them, dense and slow, and share no code with the module.
Where agrilape departs from them on purpose, the check uses the convention in common: patches and text of one
axis share the continuous index u = p (N-1), see docs/decisions.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from agrilape.config.lape import AXES, Axis, LapeConfig
from agrilape.config.recipe import LossConfig
from agrilape.model import Lape
from agrilape.model.gradients import Direction
from agrilape.train.loss import AnswerCriterion

TOLERANCE = 1e-10
_BINS, _WIDTH, _TEXT = 23, 16, 40


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        name: What is compared.
        formula: As published.
        difference: Largest absolute difference.
    """

    name: str
    formula: str
    difference: float

    @property
    def passed(self) -> bool:
        """Whether the difference is below the tolerance."""
        return self.difference < TOLERANCE


def check_parity(seed: int = 0) -> list[Check]:
    """Compare value, gradient, injection and loss with the published formulas."""
    generator = torch.Generator().manual_seed(seed)
    lape = _random_lape(generator)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return [
        Check("rows: value", "W + M W - stopgrad(M W)", _row_value(lape)),
        Check("rows: gradient", "(I + M^T) G", _row_gradient(lape, random)),
        Check("reading position tokens", "rows of [text; W_in] by id", _embedding(lape, random)),
        Check("writing position tokens", "h [text; W_out]^T", _logits(lape, random)),
        Check(
            "injection", "interpolated mean of (W_in + W_out) / 2, axes added", _injection(lape, generator)
        ),
        Check("loss", "cross-entropy of the dense two-hot target", _two_hot_loss(lape, random, generator)),
    ]


def _random_lape(generator: torch.Generator) -> Lape:
    """Untied tables in float64; position tokens follow the text, as in the reference."""
    ids = {axis: tuple(range(_TEXT + _BINS * k, _TEXT + _BINS * (k + 1))) for k, axis in enumerate(AXES)}
    config = LapeConfig(
        num_spatial_tokens=_BINS, num_temporal_tokens=_BINS, token_ids=ids, injection_rms=None
    )
    lape = Lape(config, _WIDTH, tied=False)
    for parameter in lape.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return lape


def _published_rows(weight: Tensor) -> Tensor:
    matrix = torch.tensor(
        [[2.0 ** -abs(i - j) for j in range(len(weight))] for i in range(len(weight))], dtype=torch.float64
    )
    propagated = matrix @ weight
    return weight + propagated - propagated.detach()


def _axis_rows(lape: Lape, axis: Axis, direction: Direction) -> Tensor:
    start = AXES.index(axis) * _BINS
    return lape.rows(direction)[start : start + _BINS]


def _row_value(lape: Lape) -> float:
    directions: tuple[Direction, ...] = ("in", "out")
    return max(
        _distance(_axis_rows(lape, axis, direction), _published_rows(lape.table(axis, direction)))
        for axis in AXES
        for direction in directions
    )


def _row_gradient(lape: Lape, random: Callable[..., Tensor]) -> float:
    weight, upstream = lape.table("width", "in"), random(_BINS, _WIDTH)
    gradients = [
        torch.autograd.grad((rows * upstream).sum(), weight)[0]
        for rows in (_axis_rows(lape, "width", "in"), _published_rows(weight))
    ]
    return _distance(*gradients)


def _embedding(lape: Lape, random: Callable[..., Tensor]) -> float:
    text = random(_TEXT + 3 * _BINS, _WIDTH)
    ids = torch.arange(len(text)).flip(0).view(1, -1)
    whole = torch.cat([text[:_TEXT], *(_published_rows(lape.table(axis, "in")) for axis in AXES)])
    return _distance(lape.embed(ids, text[ids]), whole[ids])


def _logits(lape: Lape, random: Callable[..., Tensor]) -> float:
    text, hidden = random(_TEXT + 3 * _BINS, _WIDTH), random(2, 5, _WIDTH)
    whole = torch.cat([text[:_TEXT], *(_published_rows(lape.table(axis, "out")) for axis in AXES)])
    return _distance(lape.write_logits(hidden, hidden @ text.T), hidden @ whole.T)


def _injection(lape: Lape, generator: torch.Generator) -> float:
    x, y, t = torch.rand(3, 50, generator=generator, dtype=torch.float64)
    published = torch.zeros(50, _WIDTH, dtype=torch.float64)
    for axis, position in (("width", x), ("height", y), ("temporal", t)):
        mean = (lape.get_parameter(f"{axis}_in") + lape.get_parameter(f"{axis}_out")) / 2
        u = position * (_BINS - 1)
        low = u.floor().long().clamp(max=_BINS - 2)
        share = (u - low).unsqueeze(-1)
        published += (1 - share) * mean[low] + share * mean[low + 1]
    return _distance(lape.injection(torch.stack([x, y, x, y], dim=1), t), published)


def _two_hot_loss(lape: Lape, random: Callable[..., Tensor], generator: torch.Generator) -> float:
    """Mean over one token per axis, at unit weights."""
    targets = torch.rand(1, len(AXES), generator=generator, dtype=torch.float64) * (_BINS - 1)
    logits = random(1, len(AXES), _TEXT + len(AXES) * _BINS)
    dense = torch.zeros_like(logits)
    labels = torch.zeros(1, len(AXES), dtype=torch.long)
    for k, axis in enumerate(AXES):
        low, share = int(targets[0, k]), float(targets[0, k] % 1)
        ids = (lape.config.token_ids or {})[axis]
        dense[0, k, ids[low]], dense[0, k, ids[low + 1]] = 1 - share, share
        labels[0, k] = ids[round(float(targets[0, k]))]
    published = -(dense * F.log_softmax(logits, dim=-1)).sum(-1).mean()
    ours = AnswerCriterion(LossConfig(spatial_pos_weight=1.0), lape.config)(logits, labels, targets).loss
    return _distance(ours, published)


def _distance(ours: Tensor, published: Tensor) -> float:
    return float((ours - published).detach().abs().max())

"""A trained LAPE under other settings, or out of a merged model: what it means stays."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from agrilape.config.lape import AXES, LapeConfig
from agrilape.errors import ModelError
from agrilape.model.attach import attach, detach, lape_of, vocabulary_modules
from agrilape.model.gradients import Direction
from agrilape.model.lape import SCALARS, Lape
from agrilape.model.merge import merged_settings
from agrilape.tokens.vocabulary import add_position_tokens


@torch.no_grad()
def convert(model: Any, processor: Any, config: LapeConfig) -> LapeConfig:
    """Give LAPE other numbers of tokens or a learned gate, in place.

    The rows of an axis are interpolated between their neighbours, so that a coordinate p keeps its meaning:
    it stood at u = p (N - 1) and stands at u' = p (N' - 1). A learned gate begins open.

    Args:
        model: With LAPE.
        processor: Given the tokens that are new.
        config: The settings wanted; of other differences nothing is made.

    Returns:
        The settings, with `token_ids` resolved.
    """
    old = lape_of(model)
    assert old is not None
    axes = [old.config.bins(axis) for axis in AXES]
    rows = {
        direction: torch.cat(
            [
                interpolated(table, config.bins(axis))
                for axis, table in zip(AXES, torch.split(old.rows(direction), axes), strict=True)
            ]
        )
        for direction in old.directions
    }
    scalars = {name: value for name, value in old.state_dict().items() if name in SCALARS}
    detach(model)
    wanted = config.model_copy(update={"resize": "refuse", "tied": old.tied})
    return _attached(model, add_position_tokens(processor, wanted), rows, scalars).config


def interpolated(rows: Tensor, bins: int) -> Tensor:
    """Rows of an axis, `[N, D]`, at `bins` places evenly spread from its first row to its last."""
    u = torch.linspace(0, len(rows) - 1, bins, device=rows.device)
    lower = u.long().clamp(max=len(rows) - 2)
    return torch.lerp(rows[lower], rows[lower + 1], (u - lower).unsqueeze(1))


@torch.no_grad()
def unmerge(model: Any) -> LapeConfig:
    """Take merged rows out of the vocabulary, into LAPE again, in place; the injection comes back with them.

    A model that was merged before the scale of its injection was noted begins it anew.

    Raises:
        ModelError: Nothing was merged into the model.
    """
    config = merged_settings(model)
    if config is None or config.token_ids is None:
        raise ModelError("no LAPE was merged into this model", "attach it")
    injected = model.config.agrilape.get("injected", {})
    ids = [token for axis in AXES for token in config.token_ids[axis]]
    embedding, head = vocabulary_modules(model)
    rows: dict[Direction, Tensor] = {"in": embedding.weight[ids].float(), "out": head.weight[ids].float()}
    scalars = {name: torch.tensor(value) for name, value in injected.get("state", {}).items()}
    wanted = config.model_copy(update={"injection": injected.get("injection", "mean")})
    del model.config.agrilape
    return _attached(model, wanted, rows, scalars).config


def _attached(
    model: Any, config: LapeConfig, rows: dict[Direction, Tensor], scalars: dict[str, Tensor]
) -> Lape:
    attach(model, config.model_copy(update={"initialisation": "mean"}), anew=True)  # needs no tokenizer
    lape = lape_of(model)
    assert lape is not None
    lape.config = lape.config.model_copy(update={"initialisation": config.initialisation})
    for direction in lape.directions:
        lape.set_rows(direction, rows[direction])
    if config.gate == "learned":
        scalars = {"axis_gates": torch.ones(len(AXES)), **scalars}
    lape.load_state_dict({**lape.state_dict(), **scalars})
    return lape

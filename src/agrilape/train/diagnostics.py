"""How the LAPE rows stand against the language model's own."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from agrilape.config.lape import AXES
from agrilape.model.gradients import Direction
from agrilape.model.lape import Lape
from agrilape.train.sharding import full_tensor

DIRECTIONS: tuple[Direction, ...] = ("in", "out")


@torch.no_grad()
def describe_rows(lape: Lape, model: Any) -> dict[str, float]:
    """Row norms and the likeness of neighbours.

    Args:
        lape: The rows.
        model: The model that they belong to.

    Returns:
        Per table `<axis>_<direction>`: `row_norm_*`, the mean norm over the mean norm of the text rows, and
        `neighbour_cosine_*`, the mean cosine of adjacent rows (1: all alike, 0: no order).
    """
    weights = {"in": model.get_input_embeddings().weight, "out": model.get_output_embeddings().weight}
    # The matrices' own rows at the position tokens' ids are never read.
    words = torch.ones(len(weights["in"]), dtype=torch.bool, device=weights["in"].device)
    words[lape.token_ids] = False
    text = {d: full_tensor(weight.float().norm(dim=1))[words].mean() for d, weight in weights.items()}
    values = {}
    for axis in AXES:
        for direction in DIRECTIONS[:1] if lape.tied else DIRECTIONS:
            rows = full_tensor(lape.table(axis, direction))
            name = f"{axis}_{direction}"
            values[f"row_norm_{name}"] = float(rows.norm(dim=1).mean() / text[direction])
            values[f"neighbour_cosine_{name}"] = float(F.cosine_similarity(rows[1:], rows[:-1]).mean())
    return values


@torch.no_grad()
def describe_gates(lape: Lape) -> dict[str, float]:
    """Opening of a learned gate by axis; empty where the gate follows a schedule."""
    if lape.config.gate != "learned":
        return {}
    return dict(zip(AXES, full_tensor(lape.axis_gates).tolist(), strict=True))

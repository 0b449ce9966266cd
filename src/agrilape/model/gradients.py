"""Where the gradient of LAPE's rows comes from: position tokens read, written, injection, neighbours."""

from __future__ import annotations

from functools import partial
from typing import Literal, Protocol

import torch
from torch import Tensor

from agrilape.config.lape import LapeConfig

Direction = Literal["in", "out"]
Use = Literal["input", "output", "injection"]
Key = tuple[Use, Direction]


class EmbeddingRows(Protocol):
    """What a record must know of the module whose rows it watches."""

    config: LapeConfig
    tied: bool
    width: int
    token_ids: Tensor
    propagation: Tensor


class GradientRecord:
    """Sums of gradients by use and direction, filled by one or more backward passes."""

    def __init__(self) -> None:
        self._sums: dict[Key, Tensor] = {}

    def watch(self, rows: Tensor, use: Use, direction: Direction) -> None:
        """Record the gradient that will reach these rows, `[P, D]`."""
        rows.register_hook(partial(self._add, (use, direction)))  # type: ignore[no-untyped-call]

    def _add(self, key: Key, gradient: Tensor) -> None:
        gradient = gradient.detach()
        self._sums[key] = self._sums[key] + gradient if key in self._sums else gradient

    def norms(self, lape: EmbeddingRows) -> dict[str, float]:
        """L2 norms over all tables: of each use, and of what propagation adds to their sum (`ntp`).

        In a distributed run they are of the processes' mean gradient, and every process must ask for them.
        """
        squares = {"input": 0.0, "output": 0.0, "injection": 0.0, "ntp": 0.0}
        totals: dict[Direction, Tensor] = {}
        for (use, direction), gradient in self._of_all_processes(lape).items():
            squares[use] += float(gradient.square().sum())
            totals[direction] = totals[direction] + gradient if direction in totals else gradient
        if lape.config.ntp == "gradient":
            for total in totals.values():
                squares["ntp"] += float((lape.propagation.T @ total).square().sum())
        return {source: square**0.5 for source, square in squares.items()}

    def _of_all_processes(self, lape: EmbeddingRows) -> dict[Key, Tensor]:
        """The sums, averaged over the processes as gradients are; a process may have no use for some rows."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self._sums
        means = {}
        for key in _keys(lape):
            mean = torch.zeros(len(lape.token_ids), lape.width, device=lape.token_ids.device)
            mean += self._sums.get(key, 0)  # a copy: tables of one use may share a gradient's memory
            torch.distributed.all_reduce(mean)
            means[key] = mean / torch.distributed.get_world_size()
        return means


def _keys(lape: EmbeddingRows) -> list[Key]:
    """All uses of all rows, in one order for every process."""
    sides: dict[Use, tuple[Direction, ...]] = {
        "input": ("in",),
        "output": ("in",) if lape.tied else ("out",),
        "injection": ("in",) if lape.tied or lape.config.injection == "input" else ("in", "out"),
    }
    return [(use, side) for use, chosen in sides.items() for side in chosen]

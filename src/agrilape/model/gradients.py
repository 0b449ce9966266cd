"""Where the gradient of LAPE's rows comes from: position tokens read, written, injection, neighbours."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from torch import Tensor

if TYPE_CHECKING:
    from agrilape.config.lape import Axis
    from agrilape.model.lape import Direction, Lape

Use = Literal["input", "output", "injection"]


class GradientRecord:
    """Sums of gradients by use and table, filled by one or more backward passes."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Use, Axis, Direction], Tensor] = {}

    def watch(self, rows: Tensor, use: Use, axis: Axis, direction: Direction) -> None:
        """Record the gradient that will reach these rows, `[N, D]`."""
        rows.register_hook(partial(self._add, (use, axis, direction)))  # type: ignore[no-untyped-call]

    def _add(self, key: tuple[Use, Axis, Direction], gradient: Tensor) -> None:
        gradient = gradient.detach()
        self._sums[key] = self._sums[key] + gradient if key in self._sums else gradient

    def norms(self, lape: Lape) -> dict[str, float]:
        """L2 norms over all tables: of each use, and of what propagation adds to their sum (`ntp`)."""
        squares = {"input": 0.0, "output": 0.0, "injection": 0.0, "ntp": 0.0}
        totals: dict[tuple[Axis, Direction], Tensor] = {}
        for (use, axis, direction), gradient in self._sums.items():
            squares[use] += float(gradient.square().sum())
            table = (axis, direction)
            totals[table] = totals[table] + gradient if table in totals else gradient
        if lape.config.ntp == "gradient":
            for (axis, _), total in totals.items():
                spread = lape.get_buffer(f"{axis}_propagation").T @ total
                squares["ntp"] += float(spread.square().sum())
        return {source: square**0.5 for source, square in squares.items()}

"""Positions on an axis and the tokens that stand for them.

One convention everywhere: the coordinate p in [0, 1] on an axis of N tokens has the continuous index
u = p (N - 1), so the first token stands for 0 and the last for 1. Input tokens, targets, decoding and the
injection into visual features all use this u.
"""

from __future__ import annotations

import math

from agrilape.config.lape import Axis, LapeConfig

TOKEN_NAMES: dict[Axis, str] = {"height": "HEIGHT", "width": "WIDTH", "temporal": "TEMP"}


def nearest(u: float) -> int:
    """Whole index nearest to a continuous one; halves go up, so that order is kept."""
    return math.floor(u + 0.5)


class PositionCodec:
    """Converts between coordinates, continuous indices and position tokens.

    Args:
        config: How many tokens each axis has.
    """

    def __init__(self, config: LapeConfig) -> None:
        self._tokens: dict[Axis, tuple[str, ...]] = {
            axis: tuple(f"<{name}-{index:03d}>" for index in range(config.bins(axis)))
            for axis, name in TOKEN_NAMES.items()
        }

    def bins(self, axis: Axis) -> int:
        """Number of tokens on an axis."""
        return len(self._tokens[axis])

    def tokens(self, axis: Axis) -> tuple[str, ...]:
        """Texts of an axis's tokens in order of position, such as `<WIDTH-037>`."""
        return self._tokens[axis]

    def position(self, axis: Axis, p: float) -> float:
        """Continuous index u in [0, N - 1] of a coordinate; one outside [0, 1] is clipped.

        Raises:
            ValueError: If the coordinate is not a number.
        """
        if math.isnan(p):
            raise ValueError(f"a coordinate on the {axis} axis is not a number")
        return min(max(p, 0.0), 1.0) * (self.bins(axis) - 1)

    def index(self, axis: Axis, p: float) -> int:
        """Index of the token nearest to a coordinate."""
        return nearest(self.position(axis, p))

    def coordinate(self, axis: Axis, u: float) -> float:
        """Coordinate in [0, 1] of a continuous index."""
        return u / (self.bins(axis) - 1)

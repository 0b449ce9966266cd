"""Array arithmetic that the metrics share."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]


def floats(values: ArrayLike) -> Floats:
    """Values as a float64 array."""
    return np.asarray(values, dtype=np.float64)


def divide(numerator: ArrayLike, denominator: ArrayLike, otherwise: ArrayLike = 0.0) -> Floats:
    """Quotient, broadcast; `otherwise` where the denominator is not positive."""
    top, bottom = floats(numerator), floats(denominator)
    default = np.broadcast_to(floats(otherwise), np.broadcast_shapes(top.shape, bottom.shape)).copy()
    return np.divide(top, bottom, out=default, where=bottom > 0)

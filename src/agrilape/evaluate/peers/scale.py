"""Coordinates on another scale than the format declares: found out before they are scored as nonsense."""

from __future__ import annotations

import numpy as np

from agrilape.errors import DataError
from agrilape.evaluate.metrics.arrays import Floats

SCALES = (1, 100, 1000)
"""Scales that systems use, beside pixels."""


def check_scale(name: str, scale: float, boxes: Floats, side: str) -> None:
    """Check that boxes `[N, 4]` are on a scale; NaN stands for boxes that could not be read.

    Raises:
        DataError: They are mostly beyond it, or all within a hundredth of it; the likely scale is named.
    """
    known = boxes[np.isfinite(boxes).all(axis=1)]
    if not len(known):
        return
    largest = np.abs(known).max(axis=1)
    if np.median(largest) > scale or largest.max() <= scale / 99:
        likely = next((one for one in SCALES if largest.max() <= one), "pixels")
        raise DataError(
            f"{side} boxes reach {largest.max():g}, but {name} writes 0 to {scale:g}",
            f"the scale is more likely {likely}: convert the file, or choose another --format",
        )


def check_order(name: str, boxes: Floats) -> None:
    """Check that no true box `[N, 4]` is reversed: nothing that is answered could ever match it.

    A given box that is reversed is a wrong answer.

    Raises:
        DataError: One is.
    """
    if number := int((boxes[:, :2] > boxes[:, 2:]).any(axis=1).sum()):
        raise DataError(
            f"{number} of {len(boxes)} true boxes are reversed: left or top lies beyond right or bottom",
            f"correct the truths, or choose another --format than {name}",
        )

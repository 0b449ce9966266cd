"""Coordinates on another scale than the format declares: found out before they are scored as nonsense."""

from __future__ import annotations

import numpy as np

from agrilape.errors import DataError
from agrilape.evaluate.metrics.arrays import Floats

SCALES = (1, 100, 1000)
"""Scales that systems use, beside pixels."""


def check_scale(name: str, scale: float, places: Floats, what: str) -> None:
    """Check that boxes `[N, 4]` or spans `[N, 2]` are on a scale; NaN stands for what could not be read.

    Raises:
        DataError: They are mostly beyond it, or all within a hundredth of it; the likely scale is named.
    """
    known = places[np.isfinite(places).all(axis=1)]
    if not len(known):
        return
    largest = np.abs(known).max(axis=1)
    likely = next((str(one) for one in SCALES if largest.max() <= one), "pixels")
    if places.shape[1] == 2:
        likely = "that of seconds or frames"
    smaller = scale > SCALES[0] and 0 < largest.max() <= scale / 99
    if smaller or np.median(largest) > scale:
        raise DataError(
            f"{what} reach {largest.max():g}, but {name} writes 0 to {scale:g}",
            f"the scale is more likely {likely}: convert the file, or choose another --format",
        )


def check_order(name: str, places: Floats, what: str = "boxes") -> None:
    """Check that no true box `[N, 4]` or span `[N, 2]` is reversed: no answer could ever match it.

    A given one that is reversed is a wrong answer.

    Raises:
        DataError: One is.
    """
    low, high = np.hsplit(places, 2)
    if number := int((low > high).any(axis=1).sum()):
        raise DataError(
            f"{number} of {len(places)} true {what} are reversed: an end lies before its start",
            f"correct the truths, or choose another --format than {name}",
        )

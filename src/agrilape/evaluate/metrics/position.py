"""Errors of position on the ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from agrilape.evaluate.metrics.arrays import Floats, floats
from agrilape.evaluate.metrics.boxes import as_boxes


def box_centres(boxes: ArrayLike) -> Floats:
    """Centres `[..., 2]` of boxes `[..., 4]`."""
    array = as_boxes(boxes)
    return (array[..., :2] + array[..., 2:]) / 2


def position_error_m(predicted: ArrayLike, true: ArrayLike, ground_m: ArrayLike) -> Floats:
    """Distance in metres between normalised points `[N, 2]`.

    Args:
        predicted: Points in [0, 1]; NaN (unreadable) is charged the image's diagonal, the largest error.
        true: Points in [0, 1].
        ground_m: Width and height of the image on the ground, in metres, `[N, 2]` or `[2]`.
    """
    size = floats(ground_m)
    offset = (floats(predicted) - floats(true)) * size
    error = np.hypot(offset[..., 0], offset[..., 1])
    return np.where(np.isnan(error), np.hypot(size[..., 0], size[..., 1]), error)

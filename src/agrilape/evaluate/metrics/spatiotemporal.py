"""Space-time tubes: which field, and when."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from agrilape.evaluate.metrics.arrays import Floats, divide, floats
from agrilape.evaluate.metrics.boxes import as_boxes, box_area, box_iou, box_overlap


def tube_iou(predicted: ArrayLike, true: ArrayLike) -> float:
    """vIoU, 0 to 1: box IoU summed over the dates in both tubes, over the number of dates in either.

    Zhang et al. (2020), spatio-temporal video grounding.

    Args:
        predicted: A box per acquisition date `[T, 4]`; NaN where the tube is absent.
        true: Likewise.

    Returns:
        NaN when both tubes are absent throughout.
    """
    a, b = as_boxes(predicted), as_boxes(true)
    present_a, present_b = ~np.isnan(a).any(axis=1), ~np.isnan(b).any(axis=1)
    either = int(np.count_nonzero(present_a | present_b))
    both = present_a & present_b
    return float(box_iou(a[both], b[both]).sum()) / either if either else float("nan")


def prism_iou(boxes: ArrayLike, spans: ArrayLike, true_boxes: ArrayLike, true_spans: ArrayLike) -> Floats:
    """Volume IoU, 0 to 1, of tubes whose box stands still, as a field does.

    Args:
        boxes: Predicted boxes `[N, 4]`; NaN (unreadable) scores 0.
        spans: Predicted spans `[N, 2]`; NaN scores 0.
        true_boxes: Likewise.
        true_spans: Likewise.
    """
    a, b = floats(spans), floats(true_spans)
    shared_area, _ = box_overlap(boxes, true_boxes)
    shared = shared_area * _duration(np.maximum(a[..., 0], b[..., 0]), np.minimum(a[..., 1], b[..., 1]))
    volumes = box_area(boxes) * _duration(a[..., 0], a[..., 1])
    union = volumes + box_area(true_boxes) * _duration(b[..., 0], b[..., 1]) - shared
    return divide(shared, union)


def _duration(start: Floats, end: Floats) -> Floats:
    return np.nan_to_num(np.clip(end - start, 0, None))

"""Overlap of axis-parallel boxes, and the scores made from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from agrilape.evaluate.metrics.arrays import Floats, divide, floats


def as_boxes(boxes: ArrayLike) -> Floats:
    """Boxes as a float array `[..., 4]`; no boxes become `[0, 4]`.

    Raises:
        ValueError: If the last dimension is not 4.
    """
    array = floats(boxes)
    if array.shape == (0,):
        return array.reshape(0, 4)
    if array.shape[-1] != 4:
        raise ValueError(f"boxes are (left, top, right, bottom), got shape {array.shape}")
    return array


def box_area(boxes: ArrayLike) -> Floats:
    """Area of boxes `[..., 4]` in their own squared unit; 0 for a reversed or NaN box."""
    left, top, right, bottom = np.moveaxis(as_boxes(boxes), -1, 0)
    area: Floats = np.nan_to_num(np.clip(right - left, 0, None) * np.clip(bottom - top, 0, None))
    return area


def box_overlap(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    """Areas of intersection and union of boxes `[..., 4]`, broadcast against each other."""
    a, b = as_boxes(a), as_boxes(b)
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., 2:], b[..., 2:])
    intersection = np.nan_to_num(np.prod(np.clip(high - low, 0, None), axis=-1))
    return intersection, box_area(a) + box_area(b) - intersection


def box_iou(a: ArrayLike, b: ArrayLike) -> Floats:
    """Intersection over union, 0 to 1, of boxes `[..., 4]` paired by broadcasting (Jaccard, 1912).

    Two empty boxes have IoU 0: an answer without extent finds nothing.
    """
    intersection, union = box_overlap(a, b)
    return divide(intersection, union)


def box_iou_matrix(a: ArrayLike, b: ArrayLike) -> Floats:
    """IoU of every box of `a` `[P, 4]` with every box of `b` `[T, 4]`, as `[P, T]`."""
    return box_iou(as_boxes(a)[:, None, :], as_boxes(b)[None, :, :])


def box_iou_matrices(pairs: Sequence[tuple[Floats, Floats]]) -> list[Floats]:
    """The IoU matrix `[P, T]` of each sample's boxes `[P, 4]` and `[T, 4]`, all computed at once."""
    if not pairs:
        return []
    left = np.concatenate([np.repeat(a, len(b), axis=0) for a, b in pairs])
    right = np.concatenate([np.tile(b, (len(a), 1)) for a, b in pairs])
    shapes = [(len(a), len(b)) for a, b in pairs]
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    flat = np.split(box_iou(left, right), ends[:-1])
    return [iou.reshape(shape) for iou, shape in zip(flat, shapes, strict=True)]


def accuracy_at(iou: ArrayLike, threshold: float) -> float:
    """Acc@threshold: share of all samples with IoU >= threshold, 0 to 1; NaN without samples."""
    values = floats(iou)
    return float(np.mean(values >= threshold)) if values.size else float("nan")


def mean_iou(iou: ArrayLike) -> float:
    """mIoU: mean over all samples, 0 to 1, unreadable ones at 0; NaN without samples."""
    values = floats(iou)
    return float(np.mean(np.nan_to_num(values))) if values.size else float("nan")


def cumulative_iou(a: ArrayLike, b: ArrayLike) -> float:
    """cIoU: summed intersection over summed union, 0 to 1; large objects weigh more (Yu et al., 2016)."""
    intersection, union = box_overlap(a, b)
    total = float(np.sum(union))
    return float(np.sum(intersection)) / total if total > 0 else float("nan")


def enclosing(boxes: ArrayLike) -> Floats:
    """The smallest box `[4]` around boxes `[N, 4]`; NaN for none."""
    array = as_boxes(boxes)
    if len(array) == 0:
        return np.full(4, np.nan)
    return np.concatenate([array[:, :2].min(axis=0), array[:, 2:].max(axis=0)])

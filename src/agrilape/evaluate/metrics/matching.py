"""Several answers against several truths: one-to-one matching, precision and recall, average precision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from agrilape.evaluate.metrics.arrays import Floats, divide, floats

SPLIT = 64  # answers that may match something, from which on parts are matched by themselves
COCO_THRESHOLDS = tuple(np.arange(50, 100, 5) / 100)


class Matches(NamedTuple):
    """Outcome of matching the answers of one sample, addable over samples.

    Attributes:
        true_positives: Matched pairs.
        predictions: Number of answers.
        truths: Number of truths.
        iou: Sum of the matched pairs' IoU.
    """

    true_positives: int
    predictions: int
    truths: int
    iou: float


def match(iou: ArrayLike, threshold: float = 0.5) -> list[tuple[int, int]]:
    """One-to-one pairs (prediction, truth) with IoU >= threshold: as many as possible, then the best in sum.

    Solved exactly by the Hungarian method (Kuhn, 1955), so no truth is found twice.

    Args:
        iou: IoU `[P, T]`.
        threshold: Least IoU of a pair.
    """
    matrix = floats(iou)
    if matrix.size == 0:
        return []
    admissible = matrix >= threshold
    if admissible.any(1).sum() < SPLIT:
        return _assign(matrix, admissible)
    # Answers and truths of different parts of a map overlap nowhere: each part is a small problem of its own.
    count, parts = connected_components(_graph(admissible), directed=False)
    found: list[tuple[int, int]] = []
    by_part = np.argsort(parts[: len(matrix)], kind="stable")
    ends = np.searchsorted(parts[by_part], np.arange(count + 1))
    of_truth = parts[len(matrix) :]
    columns_by_part = np.argsort(of_truth, kind="stable")
    column_ends = np.searchsorted(of_truth[columns_by_part], np.arange(count + 1))
    for part in range(count):
        rows = by_part[ends[part] : ends[part + 1]]
        columns = columns_by_part[column_ends[part] : column_ends[part + 1]]
        if len(rows) and len(columns):
            block = np.ix_(rows, columns)
            found += [(int(rows[r]), int(columns[c])) for r, c in _assign(matrix[block], admissible[block])]
    return sorted(found)


def _assign(matrix: Floats, admissible: NDArray[np.bool_]) -> list[tuple[int, int]]:
    # One more pair outweighs every gain in IoU, which cannot exceed the number of pairs.
    gain = np.where(admissible, matrix + min(matrix.shape) + 1, 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if admissible[r, c]]


def _graph(admissible: NDArray[np.bool_]) -> coo_array:
    """Answers and truths as nodes, `[P + T, P + T]`, with an edge for each pair that may be matched."""
    rows, columns = np.nonzero(admissible)
    nodes = sum(admissible.shape)
    return coo_array((np.ones(len(rows), np.int8), (rows, columns + len(admissible))), (nodes, nodes))


def count_matches(iou: ArrayLike, threshold: float = 0.5) -> Matches:
    """Match one sample's IoU matrix `[P, T]` and count."""
    matrix = floats(iou)
    pairs = match(matrix, threshold)
    return Matches(len(pairs), matrix.shape[0], matrix.shape[1], float(sum(matrix[pair] for pair in pairs)))


def precision(true_positives: ArrayLike, predictions: ArrayLike) -> Floats:
    """Share of the answers that are right, 0 to 1; 0 without answers."""
    return divide(true_positives, predictions)


def recall(true_positives: ArrayLike, truths: ArrayLike) -> Floats:
    """Share of the truths that were found, 0 to 1; 0 without truths."""
    return divide(true_positives, truths)


def f1_score(true_positives: ArrayLike, predictions: ArrayLike, truths: ArrayLike) -> Floats:
    """Harmonic mean of precision and recall, 2 TP / (predictions + truths); 0 without either."""
    return divide(2 * floats(true_positives), np.add(predictions, truths))


class Detections(NamedTuple):
    """The scored answers of one image.

    Attributes:
        scores: Confidence of each answer `[P]`.
        iou: IoU `[P, T]` with the truths.
    """

    scores: NDArray[np.float64]
    iou: NDArray[np.float64]


def average_precision(images: Iterable[Detections], threshold: float = 0.5) -> float:
    """AP at one IoU threshold, 0 to 1, by COCO's protocol (Lin et al., 2014).

    In each image answers take, by falling score, the best truth still free, of equally good ones the last, as
    pycocotools does; precision is made monotone and read at 101 recalls. Truths in images without answers
    count as missed. NaN without any truth.
    """
    scores, hits, truths = [], [], 0
    for image in images:
        order = np.argsort(-image.scores, kind="stable")
        scores.append(image.scores[order])
        hits.append(_greedy_hits(image.iou[order], threshold))
        truths += image.iou.shape[1]
    if truths == 0:
        return float("nan")
    order = np.argsort(-np.concatenate(scores), kind="stable")
    found = np.cumsum(np.concatenate(hits)[order])
    return _interpolated_area(found / truths, found / np.arange(1, len(found) + 1))


def mean_average_precision(
    images: Sequence[Detections], thresholds: Sequence[float] = COCO_THRESHOLDS
) -> float:
    """AP averaged over IoU thresholds; COCO's AP@[.5:.95] by default."""
    return float(np.mean([average_precision(images, threshold) for threshold in thresholds]))


def _greedy_hits(iou: Floats, threshold: float) -> NDArray[np.bool_]:
    free = np.ones(iou.shape[1], dtype=bool)
    hits = np.zeros(iou.shape[0], dtype=bool)
    if not free.size:
        return hits
    for index, row in enumerate(iou):
        candidates = np.where(free, row, -1.0)
        best = len(candidates) - 1 - int(np.argmax(candidates[::-1]))  # of equal ones the last
        if candidates[best] >= threshold:
            hits[index], free[best] = True, False
    return hits


def _interpolated_area(recalls: Floats, precisions: Floats) -> float:
    monotone = np.maximum.accumulate(precisions[::-1])[::-1]
    at = np.searchsorted(recalls, np.linspace(0, 1, 101), side="left")
    return float(np.mean(np.append(monotone, 0.0)[np.minimum(at, len(monotone))]))

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


class Pairs(NamedTuple):
    """Answers and truths of one sample that overlap; of all other pairs the IoU is 0.

    Attributes:
        answers: Number of the answer of each pair `[N]`.
        truths: Number of its truth `[N]`.
        iou: Their IoU `[N]`.
        shape: Numbers of answers and of truths.
    """

    answers: NDArray[np.intp]
    truths: NDArray[np.intp]
    iou: Floats
    shape: tuple[int, int]


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
    rows, columns = np.nonzero(admissible)
    return match_pairs(Pairs(rows, columns, matrix[rows, columns], matrix.shape), threshold)


def match_pairs(pairs: Pairs, threshold: float = 0.5) -> list[tuple[int, int]]:
    """As `match`, of a map with so many answers and truths that a matrix of all of them has no room.

    Answers and truths of different parts of a map overlap nowhere: each part is a small problem of its own.
    """
    near = pairs.iou >= threshold
    answers, truths, iou = pairs.answers[near], pairs.truths[near], pairs.iou[near]
    if not len(iou):
        return []
    found: list[tuple[int, int]] = []
    parts = _parts(answers, truths, pairs.shape)
    order = np.argsort(parts, kind="stable")
    for edges in np.split(order, np.flatnonzero(np.diff(parts[order])) + 1):
        rows, row = np.unique(answers[edges], return_inverse=True)
        columns, column = np.unique(truths[edges], return_inverse=True)
        matrix, admissible = np.zeros((len(rows), len(columns))), np.zeros((len(rows), len(columns)), bool)
        matrix[row, column], admissible[row, column] = iou[edges], True
        found += [(int(rows[r]), int(columns[c])) for r, c in _assign(matrix, admissible)]
    return sorted(found)


def _assign(matrix: Floats, admissible: NDArray[np.bool_]) -> list[tuple[int, int]]:
    # One more pair outweighs every gain in IoU, which cannot exceed the number of pairs.
    gain = np.where(admissible, matrix + min(matrix.shape) + 1, 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if admissible[r, c]]


def _parts(answers: NDArray[np.intp], truths: NDArray[np.intp], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Which part of the map each pair belongs to: answers and truths are nodes, pairs edges of a graph."""
    nodes = sum(shape)
    graph = coo_array((np.ones(len(answers), np.int8), (answers, truths + shape[0])), (nodes, nodes))
    labels = np.asarray(connected_components(graph, directed=False)[1])
    return np.asarray(labels[answers])


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


def greedy_hits(pairs: Pairs, scores: ArrayLike, threshold: float = 0.5) -> NDArray[np.bool_]:
    """Which answers find a truth if each takes, by falling score, the best one still free, `[P]`.

    The matching behind `average_precision`, of a map with too many answers and truths for a matrix.

    Args:
        pairs: Answers and truths that overlap.
        scores: Confidence of each answer `[P]`.
        threshold: Least IoU of a pair.
    """
    hits, taken = np.zeros(pairs.shape[0], dtype=bool), np.zeros(pairs.shape[1], dtype=bool)
    rank = np.empty(pairs.shape[0], dtype=np.intp)
    rank[np.argsort(-floats(scores), kind="stable")] = np.arange(pairs.shape[0])
    near = np.flatnonzero(pairs.iou >= threshold)
    # By falling score, then falling IoU, and of equal ones the last truth first.
    order = near[np.lexsort((-pairs.truths[near], -pairs.iou[near], rank[pairs.answers[near]]))]
    for answer, truth in zip(pairs.answers[order].tolist(), pairs.truths[order].tolist(), strict=True):
        if not hits[answer] and not taken[truth]:
            hits[answer] = taken[truth] = True
    return hits


def average_precision_of_counts(hits: Floats, answers: Floats, truths: Floats) -> Floats:
    """AP from counts at each level of confidence, which add up over images.

    Args:
        hits: Answers that found a truth `[..., L]`, at levels of rising confidence.
        answers: All answers `[..., L]`.
        truths: Truths `[...]`.

    Returns:
        As `average_precision`, with answers of one level taken at once, `[...]`; NaN without any truth.
    """
    found, given = (np.cumsum(counts[..., ::-1], axis=-1) for counts in (hits, answers))
    precisions = divide(found, given)
    monotone = np.maximum.accumulate(precisions[..., ::-1], axis=-1)[..., ::-1]
    recalls = divide(found, truths[..., None])
    reached = recalls[..., None, :] >= np.linspace(0, 1, 101)[:, None]
    read = np.where(reached.any(axis=-1), np.take_along_axis(monotone, reached.argmax(axis=-1), axis=-1), 0.0)
    return np.where(truths > 0, read.mean(axis=-1), np.nan)


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

"""Field delineation: pixels, objects, boundaries, and how fields are split or merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely import Geometry

from agrilape.evaluate.metrics.arrays import Floats, divide, floats
from agrilape.evaluate.metrics.matching import Matches
from agrilape.evaluate.metrics.polygons import as_geometries


class PanopticQuality(NamedTuple):
    """PQ = SQ x RQ, each 0 to 1."""

    pq: Floats
    sq: Floats
    rq: Floats


class Boundaries(NamedTuple):
    """Lengths of boundaries in metres, addable over samples.

    Attributes:
        right: Predicted boundary within the tolerance of a true one.
        predicted: Predicted boundary.
        found: True boundary within the tolerance of a predicted one.
        true: True boundary.
    """

    right: float
    predicted: float
    found: float
    true: float


class Segmentation(NamedTuple):
    """Errors summed over true fields, addable over samples.

    Attributes:
        over: Over-segmentation.
        fields: Number of true fields.
        under: Under-segmentation.
        touched: Number of true fields that a prediction touches.
    """

    over: float
    fields: int
    under: float
    touched: int


def pixel_iou(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """IoU of two masks of one shape, 0 to 1; NaN when both are empty."""
    union = int(np.count_nonzero(predicted | true))
    return float(np.count_nonzero(predicted & true)) / union if union else float("nan")


def label_iou_matrix(predicted: NDArray[np.integer], true: NDArray[np.integer]) -> Floats:
    """IoU `[P, T]` of the objects of two label images of one shape, 0 being background.

    Objects are numbered 1 to P and 1 to T; a number without pixels has IoU 0 with everything.
    """
    rows, columns = int(predicted.max(initial=0)) + 1, int(true.max(initial=0)) + 1
    flat = predicted.ravel().astype(np.int64) * columns + true.ravel()
    shared = np.bincount(flat, minlength=rows * columns).reshape(rows, columns).astype(np.float64)
    union = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0, keepdims=True) - shared
    return divide(shared, union)[1:, 1:]


def object_matches(iou: Floats) -> Matches:
    """Objects found, by IoU > 0.5 in `[P, T]`: of objects that do not overlap, none can match twice."""
    hit = iou > 0.5
    return Matches(int(hit.sum()), iou.shape[0], iou.shape[1], float(iou[hit].sum()))


def panoptic_quality(
    true_positives: ArrayLike, predictions: ArrayLike, truths: ArrayLike, iou: ArrayLike
) -> PanopticQuality:
    """Segmentation quality, recognition quality and their product (Kirillov et al., 2019).

    Args:
        true_positives: Pairs with IoU > 0.5; this and what follows are the fields of `Matches`.
        predictions: Predicted objects.
        truths: True objects.
        iou: Sum of the pairs' IoU.
    """
    sq = divide(iou, true_positives)
    rq = divide(2 * floats(true_positives), np.add(predictions, truths), np.nan)
    return PanopticQuality(sq * rq, sq, rq)


def area_overlap(
    predicted: Sequence[Geometry | None], true: Sequence[Geometry | None]
) -> tuple[float, float]:
    """Areas that both sides cover, and that either does: pixel IoU's sums, exact instead of rasterised."""
    left, right = (shapely.union_all(as_geometries(side)) for side in (predicted, true))
    return float(left.intersection(right).area), float(left.union(right).area)


def boundary_lengths(
    predicted: Sequence[Geometry | None], true: Sequence[Geometry | None], tolerance_m: float
) -> Boundaries:
    """Lengths of boundaries, and of their parts that lie within a tolerance of the other side's.

    Args:
        predicted: Field outlines, in metres.
        true: Field outlines, in metres.
        tolerance_m: Distance in metres at which a boundary still counts as found.
    """
    lines = [shapely.union_all(shapely.boundary(as_geometries(side))) for side in (predicted, true)]
    right, found = (
        line.intersection(other.buffer(tolerance_m)).length for line, other in (lines, reversed(lines))
    )
    return Boundaries(right, lines[0].length, found, lines[1].length)


def boundary_score(right: ArrayLike, predicted: ArrayLike, found: ArrayLike, true: ArrayLike) -> Floats:
    """F1 of boundary lengths, 0 to 1, of the (summed) fields of `Boundaries`.

    After Csurka et al. (2013), on exact lengths instead of pixels. 0 without a boundary on either side.
    """
    precise, complete = divide(right, predicted), divide(found, true)
    return divide(2 * precise * complete, precise + complete)


def boundary_f1(
    predicted: Sequence[Geometry | None], true: Sequence[Geometry | None], tolerance_m: float
) -> float:
    """F1 of boundary lengths that lie within a tolerance of each other, see `boundary_score`."""
    return float(boundary_score(*boundary_lengths(predicted, true, tolerance_m)))


def segmentation_sums(predicted: Sequence[Geometry | None], true: Sequence[Geometry | None]) -> Segmentation:
    """Over- and under-segmentation, 0 (none) to 1, summed over true fields (Persello and Bruzzone, 2010).

    Each true field is compared with the prediction that shares most area with it: over-segmentation is the
    share of the field outside that prediction, under-segmentation the share of that prediction outside the
    field. A field that nothing touches counts as 1 over-segmented and leaves under-segmentation alone.
    """
    left, right = as_geometries(predicted), as_geometries(true)
    shared = np.zeros((len(left), len(right)))
    if shared.size:
        rows, columns = shapely.STRtree(right).query(left, predicate="intersects")
        shared[rows, columns] = shapely.area(shapely.intersection(left[rows], right[columns]))
    best = shared.max(axis=0, initial=0.0)
    over = 1 - divide(best, shapely.area(right))
    touched = best > 0
    if not touched.any():
        return Segmentation(float(over.sum()), len(right), 0.0, 0)
    under = 1 - best[touched] / shapely.area(left)[shared.argmax(axis=0)][touched]
    return Segmentation(float(over.sum()), len(right), float(under.sum()), int(touched.sum()))


def segmentation_errors(
    predicted: Sequence[Geometry | None], true: Sequence[Geometry | None]
) -> tuple[float, float]:
    """Over- and under-segmentation averaged over true fields; NaN where no field decides."""
    over, fields, under, touched = segmentation_sums(predicted, true)
    return float(divide(over, fields, np.nan)), float(divide(under, touched, np.nan))

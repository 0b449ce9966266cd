"""Field delineation: pixels, objects, boundaries, and how fields are split or merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Geometry

from agrilape.evaluate.metrics.arrays import Floats, divide
from agrilape.evaluate.metrics.matching import Matches
from agrilape.evaluate.metrics.polygons import as_geometries


class PanopticQuality(NamedTuple):
    """PQ = SQ x RQ, each 0 to 1."""

    pq: float
    sq: float
    rq: float


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


def panoptic_quality(matches: Matches) -> PanopticQuality:
    """Segmentation quality, recognition quality and their product (Kirillov et al., 2019)."""
    sq = matches.iou / matches.true_positives if matches.true_positives else 0.0
    both = matches.predictions + matches.truths
    rq = 2 * matches.true_positives / both if both else float("nan")
    return PanopticQuality(sq * rq, sq, rq)


def boundary_f1(
    predicted: Sequence[Geometry | None], true: Sequence[Geometry | None], tolerance_m: float
) -> float:
    """F1 of boundary lengths that lie within a tolerance of each other, 0 to 1.

    After Csurka et al. (2013), on exact lengths instead of pixels. Both sides in one metric CRS.

    Args:
        predicted: Field outlines.
        true: Field outlines.
        tolerance_m: Distance in metres at which a boundary still counts as found.
    """
    lines = [shapely.union_all(shapely.boundary(as_geometries(side))) for side in (predicted, true)]
    if any(line is None or line.is_empty for line in lines):
        return 0.0
    found = [
        line.intersection(other.buffer(tolerance_m)).length / line.length
        for line, other in (lines, reversed(lines))
    ]
    return float(2 * found[0] * found[1] / sum(found)) if sum(found) else 0.0


def segmentation_errors(
    predicted: Sequence[Geometry | None], true: Sequence[Geometry | None]
) -> tuple[float, float]:
    """Over- and under-segmentation, 0 (none) to 1, averaged over true fields (Persello and Bruzzone, 2010).

    Each true field is compared with the prediction that shares most area with it: over-segmentation is the
    share of the field outside that prediction, under-segmentation the share of that prediction outside the
    field. A field that nothing touches counts as 1 over-segmented and leaves under-segmentation alone.

    Returns:
        Over-segmentation and under-segmentation; NaN where no field decides.
    """
    left, right = as_geometries(predicted), as_geometries(true)
    shared = np.zeros((len(left), len(right)))
    if shared.size:
        rows, columns = shapely.STRtree(right).query(left, predicate="intersects")
        shared[rows, columns] = shapely.area(shapely.intersection(left[rows], right[columns]))
    best = shared.max(axis=0, initial=0.0)
    touched = best > 0
    over = 1 - best / shapely.area(right) if len(right) else np.zeros(0)
    if not touched.any():
        return (1.0 if len(right) else float("nan")), float("nan")
    partner = shapely.area(left)[shared.argmax(axis=0)]
    return float(over.mean()), float(np.mean(1 - best[touched] / partner[touched]))

"""The kinds of answers, and the metrics of each; the first metric of a kind stands for it.

A task whose name is not known to `scores.TASK_METRICS` is measured by the kind that its true answers are of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from shapely import Geometry

from agrilape.dataset.tasks import AnswerKind
from agrilape.evaluate import answer_arrays
from agrilape.evaluate.answer_arrays import Rows
from agrilape.evaluate.metric import Columns, Metric, error, mean, share, sums_of
from agrilape.evaluate.metrics import captions, crops, delineation, quantities
from agrilape.evaluate.metrics.arrays import Floats, divide, floats
from agrilape.evaluate.metrics.boxes import box_iou, box_iou_matrices, box_overlap
from agrilape.evaluate.metrics.intervals import Statistic, per_sample
from agrilape.evaluate.metrics.matching import count_matches, f1_score, precision, recall
from agrilape.evaluate.metrics.polygons import polygon_iou, polygon_iou_matrices, scaled
from agrilape.evaluate.metrics.position import box_centres, position_error_m
from agrilape.evaluate.metrics.spatiotemporal import prism_iou
from agrilape.evaluate.metrics.time import date_error_days, temporal_iou
from agrilape.evaluate.predictions import Prediction, plain_text, shapes
from agrilape.geo.shapes import Box, Instant, Polygon, Span

Kind: TypeAlias = tuple[Metric, ...]
BOUNDARY_TOLERANCE_M = 10.0
"""Distance at which a field boundary still counts as found: a pixel of Sentinel-2."""
YEAR_DAYS = 365.2425
ABOVE_HALF = float(np.nextafter(0.5, 1))
"""The least IoU above 0.5, which panoptic quality asks for."""


def _has_ground(row: Prediction) -> bool:
    return row.georeference is not None


def _has_window(row: Prediction) -> bool:
    return row.window is not None


# --- boxes ----------------------------------------------------------------------------------------


def _box_iou(rows: Rows) -> Floats:
    return box_iou(*answer_arrays.first_boxes(rows))


def _centre_error_m(rows: Rows) -> Floats:
    given, wanted = answer_arrays.first_boxes(rows)
    return position_error_m(box_centres(given), box_centres(wanted), answer_arrays.ground_sizes(rows))


def _matches(threshold: float) -> Columns:
    def columns(rows: Rows) -> Floats:
        pairs = [
            (answer_arrays.all_boxes(row.prediction), answer_arrays.all_boxes(row.answer)) for row in rows
        ]
        counts = [count_matches(iou, threshold) for iou in box_iou_matrices(pairs)]
        return floats(counts).reshape(-1, 4)

    return columns


_matches_50 = _matches(0.5)
_F1 = sums_of(f1_score, 0, 1, 2)

ONE_BOX: Kind = (
    mean("miou", _box_iou),
    share("acc_50", _box_iou, 0.5),
    share("acc_70", _box_iou, 0.7),
    share("acc_75", _box_iou, 0.75),
    share("acc_90", _box_iou, 0.9),
    Metric("cumulative_iou", lambda rows: np.stack(box_overlap(*answer_arrays.first_boxes(rows)), axis=1)),
    error("position_error_m", _centre_error_m, _has_ground),
)
SEVERAL_BOXES: Kind = (
    Metric("f1", _matches_50, _F1),
    Metric("precision", _matches_50, sums_of(precision, 0, 1)),
    Metric("recall", _matches_50, sums_of(recall, 0, 2)),
    Metric("matched_iou", _matches_50, sums_of(divide, 3, 0)),
    Metric("f1_75", _matches(0.75), _F1),
)


def _named_matches(rows: Rows) -> Floats:
    """Matches of boxes that bear one name; each name is matched by itself."""
    counts = np.zeros((len(rows), 4))
    for number, row in enumerate(rows):
        given, wanted = answer_arrays.named_boxes(row.prediction), answer_arrays.named_boxes(row.answer)
        names = sorted({*given, *wanted})
        pairs = [
            (answer_arrays.all_boxes(given.get(name, ())), answer_arrays.all_boxes(wanted.get(name, ())))
            for name in names
        ]
        counts[number] = sum(floats(count_matches(iou, 0.5)) for iou in box_iou_matrices(pairs))
    return counts


NAMED_BOXES: Kind = (
    Metric("named_f1", _named_matches, _F1),
    Metric("named_precision", _named_matches, sums_of(precision, 0, 1)),
    Metric("named_recall", _named_matches, sums_of(recall, 0, 2)),
    *SEVERAL_BOXES,
)


# --- outlines -------------------------------------------------------------------------------------


def _first(outlines: list[Geometry]) -> Geometry | None:
    return outlines[0] if outlines else None


def _outline_iou(rows: Rows) -> Floats:
    given, wanted = (list(map(_first, side)) for side in answer_arrays.outlines(rows))
    return polygon_iou(given, wanted)


def _outline_area_error(rows: Rows) -> Floats:
    return quantities.relative_error(*answer_arrays.outline_areas_ha(rows))


def _outline_pairs(rows: Rows) -> Iterator[tuple[list[Geometry], list[Geometry]]]:
    return zip(*answer_arrays.outlines(rows), strict=True)


def _area_overlap(rows: Rows) -> Floats:
    return floats([delineation.area_overlap(*pair) for pair in _outline_pairs(rows)]).reshape(-1, 2)


def _segmentation(rows: Rows) -> Floats:
    return floats([delineation.segmentation_sums(*pair) for pair in _outline_pairs(rows)]).reshape(-1, 4)


def _objects(rows: Rows) -> Floats:
    matrices = polygon_iou_matrices(list(_outline_pairs(rows)))
    return floats([count_matches(iou, ABOVE_HALF) for iou in matrices]).reshape(-1, 4)


def _boundary_lengths(rows: Rows) -> Floats:
    lengths = [
        delineation.boundary_lengths(scaled(given, size), scaled(wanted, size), BOUNDARY_TOLERANCE_M)
        for (given, wanted), size in zip(_outline_pairs(rows), answer_arrays.ground_sizes(rows), strict=True)
    ]
    return floats(lengths).reshape(-1, 4)


def _panoptic(part: str) -> Statistic:
    def quality(*sums: Floats) -> Floats:
        return floats(getattr(delineation.panoptic_quality(*sums), part))

    return sums_of(quality, 0, 1, 2, 3)


def _or_nan(numerator: Floats, denominator: Floats) -> Floats:
    return divide(numerator, denominator, np.nan)


_BOUNDARY_F1 = Metric(
    "boundary_f1", _boundary_lengths, sums_of(delineation.boundary_score, 0, 1, 2, 3), applies=_has_ground
)

OUTLINE: Kind = (
    mean("miou", _outline_iou),
    share("acc_50", _outline_iou, 0.5),
    share("acc_75", _outline_iou, 0.75),
    _BOUNDARY_F1,
    error("area_error", _outline_area_error, _has_ground),
)
DELINEATION: Kind = (
    Metric("f1", _objects, _F1),
    Metric("pixel_iou", _area_overlap, sums_of(_or_nan, 0, 1)),
    _BOUNDARY_F1,
    Metric("over_segmentation", _segmentation, sums_of(_or_nan, 0, 1), lower_is_better=True),
    Metric("under_segmentation", _segmentation, sums_of(_or_nan, 2, 3), lower_is_better=True),
    *(Metric(part, _objects, _panoptic(part)) for part in ("pq", "sq", "rq")),
)


# --- names, numbers, words ------------------------------------------------------------------------


def _margins(rows: Rows) -> Floats:
    given, wanted = answer_arrays.names(rows)
    return crops.margins(wanted, given, sorted(set(wanted))).reshape(len(rows), -1)


def _of_margins(statistic: Callable[[Floats], Floats]) -> Statistic:
    return lambda sums: statistic(sums.reshape(*sums.shape[:-1], 3, -1))


def _exact_text(rows: Rows) -> Floats:
    pairs = ((plain_text(row.prediction), plain_text(row.answer)) for row in rows)
    return floats([captions.exact_match(*pair) for pair in pairs])


def _refused(rows: Rows) -> Floats:
    """Does an answer say something, and name no place or time? So must one about what is not there."""
    return floats(
        [bool(row.prediction) and all(isinstance(part, str) for part in row.prediction) for row in rows]
    )


def _right_cells(rows: Rows) -> Floats:
    counts = [
        (sum(map(str.__eq__, given, wanted)), len(wanted))
        for given, wanted in zip(*answer_arrays.cells(rows), strict=True)
    ]
    return floats(counts).reshape(-1, 2)


def _exact_number(rows: Rows) -> Floats:
    return quantities.exact(*answer_arrays.numbers(rows))


def _number_error(rows: Rows) -> Floats:
    given, wanted = answer_arrays.numbers(rows)
    return quantities.absolute_error(given, wanted, unreadable=np.maximum(wanted, 1))


def _points_error(rows: Rows) -> Floats:
    """Error of a share in percentage points; 100, the largest, where it could not be read."""
    return quantities.absolute_error(*answer_arrays.numbers(rows), unreadable=100.0)


def _relative_error(rows: Rows) -> Floats:
    return quantities.relative_error(*answer_arrays.numbers(rows))


def _hcat_credit(rows: Rows) -> Floats:
    return floats([crops.hierarchical_credit(*pair) for pair in answer_arrays.hcat_codes(rows)])


NAME: Kind = (
    Metric("accuracy", _margins, _of_margins(crops.overall_accuracy)),
    Metric("macro_f1", _margins, _of_margins(crops.macro_f1)),
    Metric("kappa", _margins, _of_margins(crops.cohen_kappa)),
    mean("hcat_credit", _hcat_credit, lambda row: crops.is_hcat_code(str(row.truth.get("hcat")))),
    replace(mean("exact_match", _exact_text), optional=True),
)
EXACT_WORDS: Kind = (
    mean("exact_match", _exact_text),
    Metric("accuracy", _margins, _of_margins(crops.overall_accuracy)),
)
REFUSAL: Kind = (mean("refusal_rate", _refused), mean("exact_match", _exact_text))
GRID: Kind = (Metric("accuracy", _right_cells),)
NUMBER: Kind = (
    mean("exact", _exact_number),
    error("mae", _number_error),
    error("relative_error", _relative_error),
)
PERCENT: Kind = (
    mean("within_5", lambda rows: floats(_points_error(rows) <= 5)),
    error("mae_points", _points_error),
)
AREA: Kind = (error("relative_error", _relative_error), error("mae_ha", _number_error))
GROWTH_STAGE: Kind = (
    error("mae_bbch", lambda rows: quantities.growth_stage_error(*answer_arrays.numbers(rows))),
    mean("exact", _exact_number),
)


def _bleu_counts(rows: Rows) -> Floats:
    return captions.bleu_counts(*_captions(rows))


def _rouge(rows: Rows) -> Floats:
    return captions.rouge_l_each(*_captions(rows))


def _captions(rows: Rows) -> tuple[list[str], list[list[str]]]:
    return [plain_text(row.prediction) for row in rows], [[plain_text(row.answer)] for row in rows]


def _word_f1(rows: Rows) -> Floats:
    return floats([captions.word_f1(plain_text(row.prediction), plain_text(row.answer)) for row in rows])


CAPTION: Kind = (
    mean("word_f1", _word_f1),
    replace(mean("rouge_l", _rouge), package="rouge_score"),
    Metric("bleu", _bleu_counts, captions.bleu_of_counts, package="sacrebleu"),
)


# --- time -----------------------------------------------------------------------------------------


def _days(rows: Rows, period: float | None = None) -> Floats:
    return date_error_days(*answer_arrays.times(rows), answer_arrays.window_days(rows), period)


def _edge_days(edge: int) -> Columns:
    def days(rows: Rows) -> Floats:
        given, wanted = answer_arrays.time_intervals(rows)
        return date_error_days(given[:, edge], wanted[:, edge], answer_arrays.window_days(rows))

    return days


def _temporal_iou(rows: Rows) -> Floats:
    return temporal_iou(*answer_arrays.time_intervals(rows))


def _volume_iou(rows: Rows) -> Floats:
    (box, true_box), (span, true_span) = answer_arrays.first_boxes(rows), answer_arrays.time_intervals(rows)
    return prism_iou(box, span, true_box, true_span)


MOMENT: Kind = (
    error("days", _days, _has_window),
    Metric("within_10_days", lambda rows: per_sample(_days(rows) <= 10), applies=_has_window),
    Metric("within_20_days", lambda rows: per_sample(_days(rows) <= 20), applies=_has_window),
    error("days_circular", lambda rows: _days(rows, YEAR_DAYS), _has_window, optional=True),
)
PERIOD: Kind = (
    mean("tiou", _temporal_iou),
    share("recall_30", _temporal_iou, 0.3),
    share("recall_50", _temporal_iou, 0.5),
    share("recall_70", _temporal_iou, 0.7),
    error("start_days", _edge_days(0), _has_window),
    error("end_days", _edge_days(1), _has_window),
)
TUBE: Kind = (
    mean("viou", _volume_iou),
    share("viou_30", _volume_iou, 0.3),
    share("viou_50", _volume_iou, 0.5),
    mean("miou", _box_iou),
    mean("tiou", _temporal_iou),
    error("position_error_m", _centre_error_m, _has_ground),
    error("start_days", _edge_days(0), _has_window),
    error("end_days", _edge_days(1), _has_window),
)

ANSWERS: Mapping[AnswerKind, Kind] = {
    "box": ONE_BOX, "boxes": SEVERAL_BOXES, "named_boxes": NAMED_BOXES, "outline": OUTLINE, "name": NAME,
    "refusal": REFUSAL, "grid": GRID, "number": NUMBER, "percent": PERCENT, "hectares": AREA,
    "stage": GROWTH_STAGE, "date": MOMENT, "interval": PERIOD, "box_and_interval": TUBE,
}  # fmt: skip
"""The kind of each answer that a task may have (`prepare.tasks`)."""


def kind_of(rows: Rows) -> Kind:
    """The kind that the true answers of rows are of."""
    if any(len(shapes(row.answer, Polygon)) > 1 for row in rows):
        return DELINEATION
    if any(len(shapes(row.answer, Box)) > 1 for row in rows):
        return SEVERAL_BOXES
    parts = {type(part) for row in rows for part in row.answer}
    by_parts: tuple[tuple[set[type], Kind], ...] = (
        ({Polygon}, OUTLINE), ({Box, Span}, TUBE), ({Box}, ONE_BOX), ({Span}, PERIOD), ({Instant}, MOMENT),
    )  # fmt: skip
    return next((kind for needed, kind in by_parts if needed <= parts), NAME)

"""Scores of prediction files that other systems wrote, by stated rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from agrilape.errors import DataError, RecipeError, did_you_mean
from agrilape.evaluate.answer_arrays import all_boxes
from agrilape.evaluate.external import agromind, coco, grounding
from agrilape.evaluate.external.json_rows import read_joined
from agrilape.evaluate.external.scale import check_order, check_scale
from agrilape.evaluate.metrics.boxes import accuracy_at, box_iou_matrices
from agrilape.evaluate.metrics.matching import count_matches, f1_score, precision, recall
from agrilape.evaluate.predictions import Prediction, read_rows
from agrilape.evaluate.summary import summarise

Scorer: TypeAlias = Callable[[Path, Path | None], dict[str, Any]]
PROTOCOL = (
    "coordinates 0 to 1 of the image; the first answer where one is asked for, one-to-one matching at IoU "
    ">= 0.5 where several are; precision, recall, f1, acc_50 as in the other formats: all boxes of all "
    "tasks, and the first box of the rows with one true box; unparsable answers count as wrong; 95 % "
    "intervals by bootstrap over scenes"
)


def _agrilape(predictions: Path, truth: Path | None) -> dict[str, Any]:
    """Rows of `agrilape evaluate`, which hold their truth, or rows of `id` and `prediction` beside such."""
    if truth is None:
        rows = read_rows(predictions)
    else:
        rows = [Prediction.from_json(row) for row in read_joined(predictions, truth, "prediction")]
    if not rows:
        raise DataError(f"{predictions} is empty", "give a file with at least one row")
    true, given = (
        np.concatenate([all_boxes(parts) for parts in answers])
        for answers in ([row.answer for row in rows], [row.prediction for row in rows])
    )
    check_scale("agrilape", 1, true, "true boxes")
    check_order("agrilape", true)
    check_scale("agrilape", 1, given, "predicted boxes")
    scores = summarise(rows, {})
    failed = scores["parse_failures"]["total"]
    return {
        **scores,
        **_box_scores(rows),
        "n": failed["n"],
        "unparsable": failed["count"],
        "protocol": PROTOCOL,
    }


def _box_scores(rows: Sequence[Prediction]) -> dict[str, float | None]:
    """Scores by the rules of the other formats, over all rows that ask for boxes; none without such."""
    pairs = [(all_boxes(row.prediction), all_boxes(row.answer)) for row in rows]
    matrices = box_iou_matrices([(given, wanted) for given, wanted in pairs if len(wanted)])
    if not matrices:
        return {}
    hits, answers, truths, _ = np.sum([count_matches(iou) for iou in matrices], axis=0)
    first = [iou[0, 0] if len(iou) else 0.0 for iou in matrices if iou.shape[1] == 1]
    return {
        "precision": float(precision(hits, answers)),
        "recall": float(recall(hits, truths)),
        "f1": float(f1_score(hits, answers, truths)),
        "acc_50": accuracy_at(first, 0.5) if first else None,
    }


FORMATS: Mapping[str, Scorer] = {
    "agrilape": _agrilape,
    "earthdial": grounding.earthdial,
    "geochat": grounding.geochat,
    "vrsbench": grounding.vrsbench,
    "llava_st": grounding.llava_st,
    "agromind": agromind.score,
    "coco": coco.score,
}


def score_file(style: str, predictions: Path, truth: Path | None = None) -> dict[str, Any]:
    """Score a file of predictions.

    Args:
        style: Whose format it is, one of `FORMATS`.
        predictions: The file.
        truth: A file of truths, where the predictions do not hold them.

    Returns:
        Scores as JSON, with the `protocol` that they follow.

    Raises:
        RecipeError: The format is unknown.
        DataError: A file is damaged, or not of the format.
    """
    if style not in FORMATS:
        hint = did_you_mean(style, FORMATS, f"use one of {', '.join(FORMATS)}")
        raise RecipeError(f"there is no prediction format {style!r}", hint)
    try:
        return FORMATS[style](predictions, truth)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(
            f"{predictions} is not of the format {style}: {error}",
            "check --format, and --truth if it needs one",
        ) from error

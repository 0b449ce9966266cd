"""Scores of prediction files that other systems wrote, by stated rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from agrilape.errors import DataError, RecipeError
from agrilape.evaluate.peers import agromind, coco, grounding
from agrilape.evaluate.peers.files import read_joined
from agrilape.evaluate.peers.scale import check_scale
from agrilape.evaluate.read import all_boxes
from agrilape.evaluate.rows import Prediction, read_rows
from agrilape.evaluate.summary import summarise

Scorer: TypeAlias = Callable[[Path, Path | None], dict[str, Any]]


def _agrilape(predictions: Path, truth: Path | None) -> dict[str, Any]:
    """Rows of `agrilape evaluate`, which hold their truth, or rows of `id` and `prediction` beside such."""
    if truth is None:
        rows = read_rows(predictions)
    else:
        rows = [Prediction.from_json(row) for row in read_joined(predictions, truth, "prediction")]
    if not rows:
        raise DataError(f"{predictions} is empty", "give a file with at least one row")
    for side, answers in (
        ("true", [row.answer for row in rows]),
        ("predicted", [row.prediction for row in rows]),
    ):
        check_scale("agrilape", 1, np.concatenate([all_boxes(parts) for parts in answers]), side)
    scores = summarise(rows, {})
    failed = scores["parse_failures"]["total"]
    return {
        **scores,
        "n": failed["n"],
        "unparsable": failed["count"],
        "protocol": "coordinates 0 to 1 of the image; the first answer where one is asked for, one-to-one "
        "matching at IoU >= 0.5 where several are; unparsable answers count as wrong; 95 % intervals by "
        "bootstrap over scenes",
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
        raise RecipeError(f"there is no prediction format {style!r}", f"use one of {', '.join(FORMATS)}")
    try:
        return FORMATS[style](predictions, truth)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(
            f"{predictions} is not of the format {style}: {error}",
            "check --format, and --truth if it needs one",
        ) from error

"""Scores of prediction files that other systems wrote, by stated rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from agrilape.errors import DataError, RecipeError
from agrilape.evaluate.peers import agromind, coco, grounding
from agrilape.evaluate.rows import read_rows
from agrilape.evaluate.summary import summarise

Scorer: TypeAlias = Callable[[Path, Path | None], dict[str, Any]]


def _agrilape(predictions: Path, truth: Path | None) -> dict[str, Any]:
    """Rows of `agrilape evaluate`, which hold their truth."""
    return summarise(read_rows(predictions), {})


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
        Scores as JSON, with the `protocol` that they follow where it is not agrilape's own.

    Raises:
        RecipeError: The format is unknown.
        DataError: A file is damaged, or not of the format.
    """
    if style not in FORMATS:
        raise RecipeError(f"there is no prediction format {style!r}", f"use one of {', '.join(FORMATS)}")
    try:
        return FORMATS[style](predictions, truth)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{predictions} is not of the format {style}: {error}",
            "check --format, and --truth if it needs one",
        ) from error

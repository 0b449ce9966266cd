"""Does the model know how sure it may be of a place or a time?

Expectation decoding records, for every coordinate, the central intervals that its distribution states. Of an
honest model, the interval of 90 % holds the truth nine times in ten; less often means overconfident.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from agrilape.evaluate.answer_arrays import Rows
from agrilape.evaluate.calibrator import UNCALIBRATED, Calibrator, outcomes
from agrilape.evaluate.metrics.arrays import floats
from agrilape.evaluate.metrics.calibration import (
    LEVELS,
    covered,
    expected_calibration_error,
    reliability,
)
from agrilape.evaluate.metrics.intervals import estimate, per_sample
from agrilape.evaluate.predictions import Prediction
from agrilape.evaluate.resampling_units import units
from agrilape.evaluate.scores import by_task
from agrilape.geo.shapes import Box, Instant, Point, Shape, Span

Json: TypeAlias = dict[str, Any]
AXES: dict[type[Shape], str] = {Box: "place", Point: "place", Instant: "time", Span: "time"}
"""Shapes whose coordinates pair with the truth's one by one, and what they say; outlines' vertices do not."""


class CoordinateForecast(NamedTuple):
    """One coordinate: where it is in truth, and where the model states it to be.

    Attributes:
        axis: `place` or `time`.
        row: The answer that it belongs to.
        true: The true coordinate, as a fraction.
        ends: Ends of the intervals of `LEVELS`, as fractions.
    """

    axis: str
    row: Prediction
    true: float
    ends: tuple[float, ...]


def calibration(rows: Rows) -> Json | None:
    """How often the stated intervals hold the truth; None if no answer states any.

    Counts are the coordinates of readable answers to questions with one true place or time.

    Returns:
        `levels`; and per axis (`place`, `time`) with any: `coverage`, `{value, low, high, n}` of each level,
        and `width`, the mean length of each level's interval as a fraction of the axis.
    """
    found = [one for row in rows for one in _stated(row)]
    if not found:
        return None
    axes = {axis: [one for one in found if one.axis == axis] for axis in dict.fromkeys(AXES.values())}
    return {"levels": list(LEVELS), **{axis: _curve(ones) for axis, ones in axes.items() if ones}}


def confidence_calibration(rows: Rows, calibrator: Calibrator = UNCALIBRATED) -> Json | None:
    """How often answers are right, beside how sure they are said to be; None if none says it.

    Returns:
        `calibrated`: whether a calibration was kept with the checkpoint; and per task `ece` (expected
        calibration error in ten bins), `answers`, and `curve`: confidence, share that is right and answers of
        each bin that has any.
    """
    tasks = {}
    for task, group in by_task([row for row in rows if row.confidence]).items():
        confidence, right, _ = outcomes(group)
        if len(right):
            sure = calibrator(task, confidence)
            bins = reliability(sure, right)
            tasks[task] = {
                "ece": round(expected_calibration_error(sure, right), 4),
                "answers": len(right),
                "curve": np.stack(bins, axis=1).round(4).tolist(),
            }
    return {"calibrated": bool(calibrator.kinds), "tasks": tasks} if tasks else None


def _curve(stated: list[CoordinateForecast]) -> Json:
    ends = floats([one.ends for one in stated])
    inside = covered(ends, [one.true for one in stated])
    drawn = units([one.row for one in stated])
    widths = ends.reshape(len(stated), -1, 2).clip(0, 1)
    return {
        "coverage": [
            drawn.of_score(estimate(per_sample(level), drawn.labels, careful=drawn.by_block))._asdict()
            for level in inside.T
        ],
        "width": (widths[..., 1] - widths[..., 0]).mean(axis=0).round(4).tolist(),
    }


def _stated(row: Prediction) -> Iterator[CoordinateForecast]:
    """Coordinates of the first given shape of each kind that the truth has one of."""
    given = list(zip(_shapes(row.prediction), row.intervals, strict=False))
    for kind, axis in AXES.items():
        wanted = [part for part in row.answer if isinstance(part, kind)]
        states = next((ends for shape, ends in given if isinstance(shape, kind)), None)
        if len(wanted) == 1 and states is not None:
            for true, ends in zip(np.array(wanted[0]).tolist(), states, strict=False):
                if len(ends) == 2 * len(LEVELS):
                    yield CoordinateForecast(axis, row, true, ends)


def _shapes(parts: Iterable[object]) -> list[object]:
    return [part for part in parts if not isinstance(part, str)]

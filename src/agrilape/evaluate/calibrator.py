"""From how sure a model is to how often it is right, learnt on the val split and kept beside the checkpoint.

A shape is right if it meets a true one, each true one once: boxes, outlines and spans at an IoU of a half,
moments within ten days, points within a twenty-fifth of the image. Words are right if they say what was
wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import ArrayLike
from pydantic import Field, ValidationError, model_validator
from scipy.optimize import isotonic_regression

from agrilape.config.base import Settings
from agrilape.dataset.tasks import TASKS
from agrilape.errors import ModelError
from agrilape.evaluate.answer_arrays import Rows
from agrilape.evaluate.confidence import NEAR
from agrilape.evaluate.metrics.arrays import Floats, floats
from agrilape.evaluate.metrics.boxes import box_iou_matrix
from agrilape.evaluate.metrics.matching import match
from agrilape.evaluate.metrics.polygons import polygon_iou_matrices
from agrilape.evaluate.metrics.time import temporal_iou
from agrilape.evaluate.predictions import Prediction, shapes
from agrilape.evaluate.scores import answer_quality
from agrilape.files import write_text
from agrilape.geo.shapes import Box, Instant, Point, Polygon, Shape, Span

NAME = "calibration.json"
FEWEST = 50
"""Answers that a curve of its own takes; a task with fewer shares that of its kind of answer, or of all."""
NEAR_DAYS = 10.0
_ALL = "all"
_OBJECTS = ("box", "boxes", "named_boxes", "outline", "box_and_span")
_SHAPES: tuple[type[Shape], ...] = (Box, Polygon, Span, Instant, Point)


class Outcomes(NamedTuple):
    """What became of answers.

    Attributes:
        confidence: How sure the model was of each, `[P]`.
        right: Was it right? `[P]`.
        truths: How many right answers there were to be had.
    """

    confidence: Floats
    right: Floats
    truths: int


class Curve(Settings):
    """How often answers of a confidence are right: linear between knots, constant beyond.

    Attributes:
        confidence: The model's own, rising.
        accuracy: The share that is right, never falling.
        threshold: The calibrated confidence from which on answers have the best F1.
        answers: Number of answers that it was fitted to.
        right: The share of them that is right.
    """

    confidence: tuple[float, ...] = Field(min_length=1)
    accuracy: tuple[float, ...] = Field(min_length=1)
    threshold: float = Field(0.0, ge=0, le=1)
    answers: int = Field(0, ge=0)
    right: float = Field(0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _is_a_curve(self) -> Curve:
        x, y = floats(self.confidence), floats(self.accuracy)
        sound = len(x) == len(y) and (np.diff(x) > 0).all() and (np.diff(y) >= 0).all()
        if not sound or not ((y >= 0) & (y <= 1)).all():
            raise ValueError("confidences must rise, and accuracies of as many must not fall or leave 0 to 1")
        return self

    def __call__(self, confidence: ArrayLike) -> Floats:
        """Share of answers of such confidence that is right."""
        return floats(np.interp(floats(confidence), self.confidence, self.accuracy))


class Calibrator(Settings):
    """Curves of a checkpoint: of tasks, of kinds of answers, and of all answers."""

    tasks: dict[str, Curve] = Field(default_factory=dict)
    kinds: dict[str, Curve] = Field(default_factory=dict)

    def curve(self, task: str | None) -> Curve | None:
        """The curve for answers to a task; None if nothing was fitted."""
        kind = TASKS[task].answer if task in TASKS else _ALL
        return self.tasks.get(task or "") or self.kinds.get(kind) or self.kinds.get(_ALL)

    def __call__(self, task: str | None, confidence: ArrayLike) -> Floats:
        """Calibrated confidences; as they are if nothing was fitted."""
        curve = self.curve(task)
        return floats(confidence) if curve is None else curve(confidence)

    def threshold(self, task: str | None) -> float:
        """Calibrated confidence from which on answers to a task are best kept; 0 if that is not known.

        Only objects are skipped: of a count, a name or a date something must be said.
        """
        curve = self.tasks.get(task or "") if task in TASKS and TASKS[task].answer in _OBJECTS else None
        return curve.threshold if curve else 0.0

    def write(self, folder: Path) -> None:
        """Write it beside a checkpoint, whole or not at all."""
        write_text(folder / NAME, self.model_dump_json(indent=1) + "\n")


UNCALIBRATED = Calibrator()


def read_calibrator(folder: Path) -> Calibrator:
    """What was fitted for the checkpoint in a folder; `UNCALIBRATED` if nothing was.

    Raises:
        ModelError: The file is damaged.
    """
    path = folder / NAME
    try:
        return Calibrator.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return UNCALIBRATED
    except ValidationError as error:
        raise ModelError(
            f"{path} is not valid: {error.errors()[0]['msg']}", "run `agrilape calibrate` again"
        ) from error


def fit(rows: Rows) -> Calibrator:
    """Curves of the answers to a split that the model was not trained on."""
    by_task: dict[str, list[Prediction]] = {}
    by_kind: dict[str, list[Prediction]] = {}
    for row in rows:
        if row.confidence:
            by_task.setdefault(row.task, []).append(row)
            by_kind.setdefault(_ALL, []).append(row)
            if row.task in TASKS:
                by_kind.setdefault(TASKS[row.task].answer, []).append(row)
    return Calibrator(tasks=_curves(by_task), kinds=_curves(by_kind))


def outcomes(rows: Rows) -> Outcomes:
    """Confidence of every shape or wording that was answered, and whether it was right."""
    found = [_outcome(row) for row in rows if row.confidence]
    if not found:
        return Outcomes(floats([]), floats([]), 0)
    return Outcomes(
        np.concatenate([one.confidence for one in found]),
        np.concatenate([one.right for one in found]),
        sum(one.truths for one in found),
    )


def _curves(groups: Mapping[str, Rows]) -> dict[str, Curve]:
    known = {name: outcomes(rows) for name, rows in groups.items()}
    return {name: fit_curve(one) for name, one in sorted(known.items()) if len(one.confidence) >= FEWEST}


def fit_curve(known: Outcomes) -> Curve:
    """Isotonic regression (Zadrozny and Elkan, 2002), joined at the middles of its steps.

    A step of few answers would say 0 or 1 of what is merely rare: each counts one answer more, which is as
    often right as all are.
    """
    confidence, place, counts = np.unique(known.confidence, return_inverse=True, return_counts=True)
    right = np.bincount(place, weights=known.right)
    starts = isotonic_regression(right / counts, weights=counts.astype(float)).blocks[:-1]
    answers = np.add.reduceat(counts, starts)
    overall = known.right.mean()
    level = (np.add.reduceat(right, starts) + overall) / (answers + 1)
    level = isotonic_regression(level, weights=answers.astype(float)).x  # they may have changed their order
    middle = np.add.reduceat(confidence * counts, starts) / answers
    curve = Curve(
        confidence=tuple(middle.tolist()),
        accuracy=tuple(level.round(6).tolist()),
        answers=len(known.right),
        right=round(float(overall), 6),
    )
    threshold = best_threshold(curve(known.confidence), known.right, known.truths)
    return curve.model_copy(update={"threshold": threshold})


def best_threshold(confidence: Floats, right: Floats, truths: int) -> float:
    """The confidence from which on answers have the best F1; the lowest of equally good ones."""
    order = np.argsort(-confidence, kind="stable")
    hits = np.cumsum(right[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + truths)
    last = np.flatnonzero(np.append(np.diff(confidence[order]) < 0, True))  # equally sure ones go together
    best = last[len(last) - 1 - int(np.argmax(f1[last][::-1]))]
    return 0.0 if best == len(order) - 1 else floor(float(confidence[order][best]) * 1e6) / 1e6


def _outcome(row: Prediction) -> Outcomes:
    given = [part for part in row.prediction if not isinstance(part, str)]
    wanted = [part for part in row.answer if not isinstance(part, str)]
    if not given and wanted:  # nothing was claimed to be anywhere
        return Outcomes(floats([]), floats([]), len(wanted))
    if not given:
        return Outcomes(floats(row.confidence), floats([answer_quality(row) >= 0.5]), 1)
    hits = np.zeros(len(given))
    for kind in _SHAPES:
        at = [number for number, part in enumerate(given) if isinstance(part, kind)]
        truth = shapes(wanted, kind)
        if at and truth:
            for number, _ in match(_agreements(shapes(given, kind), truth, row), 0.5):
                hits[at[number]] = 1
    return Outcomes(floats(row.confidence), hits, len(wanted))


def _agreements(given: Sequence[Shape], wanted: Sequence[Shape], row: Prediction) -> Floats:
    """How well each given shape meets each true one of its kind, `[P, T]`; from a half on it is that one."""
    if isinstance(given[0], Polygon):
        ours, theirs = (
            [shapely.Polygon(one.points) for one in shapes(side, Polygon)] for side in (given, wanted)
        )
        return polygon_iou_matrices([(ours, theirs)])[0]
    a, b = (floats(np.array(side)) for side in (given, wanted))
    if isinstance(given[0], Box):
        return box_iou_matrix(a, b)
    if isinstance(given[0], Span):
        return temporal_iou(a[:, None], b[None])
    days = row.window.days if isinstance(given[0], Instant) and row.window else None
    gaps = np.abs(a[:, None] - b[None]).max(axis=-1)
    return floats(gaps <= (NEAR_DAYS / days if days else NEAR))

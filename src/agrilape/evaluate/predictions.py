"""Predictions as rows: what `predictions.jsonl` holds and every score is made from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from agrilape.config.former_names import present_task
from agrilape.dataset.serialization import (
    georeference_from_json,
    georeference_to_json,
    parts_from_json,
    parts_to_json,
    window_from_json,
    window_to_json,
)
from agrilape.dataset.types import Chip, Sample
from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Part, Polygon, Shape
from agrilape.geo.timewindow import TimeWindow
from agrilape.io.json_text import InvalidLine, json_lines
from agrilape.io.text import read_text

ShapeT = TypeVar("ShapeT")
Intervals: TypeAlias = tuple[tuple[tuple[float, ...], ...], ...]
"""Per shape and coordinate, ends of intervals as fractions of the image or the time window."""


@dataclass(frozen=True)
class Prediction:
    """The answer that was given to one sample, beside the one that was wanted.

    Attributes:
        id: Id of the sample.
        chip: Id of its chip.
        scene: Scene that the chip was cut from.
        source: Name of the data source.
        task: Name of the task.
        question: The question as parts.
        answer: The wanted answer.
        prediction: The given answer, as far as it could be read.
        prediction_text: The given answer as the model wrote it.
        problems: What could not be read of it.
        intervals: Of each shape of the given answer and each of its coordinates, the ends of the central
            intervals of `LEVELS`; empty where only the likeliest tokens were read.
        confidence: How sure the model was of each shape of the given answer, or of its words if it has none,
            in [0, 1] and not calibrated; empty where only the likeliest tokens were read.
        truth: Facts of the sample beyond its answer.
        georeference: Where the chip lies; None for pixels only.
        window: Calendar that times refer to; None for a chip without time.
        meta: Facts of the chip: sensor, season, share of each picture that cloud hides (`unseen`).
    """

    id: str
    chip: str
    scene: str
    source: str
    task: str
    question: tuple[Part, ...]
    answer: tuple[Part, ...]
    prediction: tuple[Part, ...]
    prediction_text: str = ""
    problems: tuple[str, ...] = ()
    intervals: Intervals = ()
    confidence: tuple[float, ...] = ()
    truth: Mapping[str, Any] = field(default_factory=dict)
    georeference: Georeference | None = None
    window: TimeWindow | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        chip: Chip,
        sample: Sample,
        prediction: tuple[Part, ...],
        text: str | None = None,
        problems: tuple[str, ...] = (),
        intervals: Intervals = (),
        confidence: tuple[float, ...] = (),
    ) -> Prediction:
        """The row of an answer to a sample of a chip; without `text`, the answer's own words."""
        return cls(
            id=sample.id,
            chip=chip.id,
            scene=chip.scene,
            source=chip.source,
            task=sample.task,
            question=sample.question,
            answer=sample.answer,
            prediction=prediction,
            prediction_text=words(prediction) if text is None else text,
            problems=problems,
            intervals=intervals,
            confidence=confidence,
            truth=sample.truth,
            georeference=chip.georeference,
            window=chip.window,
            meta=chip.meta,
        )

    @property
    def ground_m(self) -> tuple[float, float] | None:
        """Width and height of the image on the ground in metres; None without georeference.

        Prepared chips carry it, so that scoring them needs no map projection.
        """
        if self.georeference is None:
            return None
        width, height = self.meta.get("ground_m") or self.georeference.ground_m
        return float(width), float(height)

    @property
    def _gsd_m(self) -> float | None:
        """Mean side of a pixel on the ground in metres."""
        if self.georeference is None or self.ground_m is None:
            return None
        width, height = self.ground_m
        return (width / self.georeference.width + height / self.georeference.height) / 2

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON object; texts and ground size repeat, for readers, what the other fields say."""
        return {
            "id": self.id,
            "chip": self.chip,
            "scene": self.scene,
            "source": self.source,
            "task": self.task,
            "question": words(self.question),
            "question_parts": parts_to_json(self.question),
            "answer_text": words(self.answer),
            "answer": parts_to_json(self.answer),
            "prediction_text": self.prediction_text,
            "prediction": parts_to_json(self.prediction),
            "problems": list(self.problems),
            **({"intervals": self.intervals} if self.intervals else {}),
            **({"confidence": self.confidence} if self.confidence else {}),
            "truth": dict(self.truth),
            "georeference": georeference_to_json(self.georeference),
            "gsd_m": self._gsd_m,
            "ground_m": self.ground_m,
            "window": window_to_json(self.window),
            "meta": dict(self.meta),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Prediction:
        """The prediction that a row stands for.

        Raises:
            DataError: A field is missing or of the wrong kind.
        """
        try:
            answer = parts_from_json(row["answer"])
            if not all(map(_is_finite, answer)):
                raise ValueError("its answer: a coordinate is not a number")
            return cls(
                id=str(row["id"]),
                chip=str(row["chip"]),
                scene=str(row["scene"]),
                source=str(row["source"]),
                task=present_task(str(row["task"])),
                question=parts_from_json(row["question_parts"]),
                answer=answer,
                prediction=parts_from_json(row["prediction"]),
                prediction_text=str(row["prediction_text"]),
                problems=tuple(map(str, row["problems"])),
                intervals=tuple(
                    tuple(tuple(map(float, ends)) for ends in shape) for shape in row.get("intervals") or ()
                ),
                confidence=tuple(map(float, row.get("confidence") or ())),
                truth=dict(row["truth"]),
                georeference=georeference_from_json(row.get("georeference")),
                window=window_from_json(row.get("window")),
                meta=dict(row.get("meta") or {}),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(
                f"a prediction row lacks or misspells {error}", "write rows as `agrilape evaluate` does"
            ) from error


def shapes(parts: Iterable[Part], kind: type[ShapeT]) -> list[ShapeT]:
    """The parts of one kind, in order."""
    return [part for part in parts if isinstance(part, kind)]


def words(parts: Iterable[Part]) -> str:
    """A message for readers: shapes in brackets, with three decimals."""
    return "".join(part if isinstance(part, str) else _bracket(part) for part in parts).strip()


def plain_text(parts: Iterable[Part]) -> str:
    """The text of a message without its shapes."""
    return " ".join(part for part in parts if isinstance(part, str)).strip()


def read_rows(path: Path) -> list[Prediction]:
    """Read predictions, refusing what cannot be scored.

    Raises:
        DataError: The file is missing, a line is damaged, or an id occurs twice.
    """
    if not path.is_file():
        raise DataError(f"{path} is not there", "run `agrilape evaluate` first")
    rows: list[Prediction] = []
    for line in json_lines(read_text(path)):
        try:
            if isinstance(line, InvalidLine):
                raise DataError(line.reason, "")
            rows.append(Prediction.from_json(line.value))
        except DataError as error:
            raise DataError(
                f"{path}, line {line.number}: {error.problem}",
                "delete the line; `agrilape evaluate` then predicts its sample anew",
            ) from error
    refuse_repeats(row.id for row in rows)
    return rows


def refuse_repeats(ids: Iterable[str]) -> None:
    """Check that every id occurs once.

    Raises:
        DataError: One occurs twice.
    """
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise DataError(f"two predictions have the id {name!r}", "keep one row per sample")
        seen.add(name)


def _is_finite(part: Part) -> bool:
    if isinstance(part, str):
        return True
    points = part.points if isinstance(part, Polygon) else (part,)
    return all(math.isfinite(value) for point in points for value in point)


def _bracket(place: Shape) -> str:
    points = place.points if isinstance(place, Polygon) else (place,)
    return f"[{', '.join(f'{value:.3f}' for point in points for value in point)}]"

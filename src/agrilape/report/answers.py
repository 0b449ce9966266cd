"""Answers to look at: the best, the middle and the worst of each task, on the imagery or on a time line."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agrilape.dataset.serialization import parts_from_json, window_from_json
from agrilape.errors import DataError
from agrilape.files import path_inside
from agrilape.geo.shapes import Instant, Part, Span
from agrilape.report.drawing import Mark, TimeBar, bar_of, day_text, marks_of, sentence, words_of
from agrilape.report.run_folder import Json, Run

RANKS = ("best", "median", "worst")


@dataclass(frozen=True)
class Answer:
    """One answer, ready to draw.

    Attributes:
        rank: `best`, `median` or `worst` of its task.
        question: The question in words.
        truth: The true answer in words.
        prediction: What the model said, as it said it.
        problems: Why it could not be read, if so.
        image: Data URI of the chip; None if the image is not in the run folder.
        asked, true, predicted: Places of the question, the truth and the prediction.
        true_bar, predicted_bar: Periods; None for answers without time.
        window: First and last date of the time line.
    """

    rank: str
    question: str
    truth: str
    prediction: str
    problems: str
    image: str | None
    asked: tuple[Mark, ...] = ()
    true: tuple[Mark, ...] = ()
    predicted: tuple[Mark, ...] = ()
    true_bar: TimeBar | None = None
    predicted_bar: TimeBar | None = None
    window: tuple[str, str] | None = None


@dataclass(frozen=True)
class Gallery:
    """Answers of one task; `kind` is `place`, `time` or `text`."""

    task: str
    kind: str
    answers: tuple[Answer, ...]


def galleries(run: Run) -> list[Gallery]:
    """The answers that evaluation picked: best, median and worst of each task."""
    rows = {str(row.get("id")): row for row in run.predictions}
    found = []
    for task, picks in (run.metrics.get("examples") or {}).items():
        ranks = {picks[rank]: rank for rank in reversed(RANKS) if picks.get(rank) in rows}
        ordered = sorted(ranks.items(), key=lambda pick: RANKS.index(pick[1]))
        if ordered:
            kind = _kind(_parts(rows[ordered[0][0]], "answer"))
            answers = tuple(_answer(run.folder, rank, rows[name]) for name, rank in ordered)
            found.append(Gallery(task, kind, answers))
    return found


def _answer(folder: Path, rank: str, row: Json) -> Answer:
    asked, answer, prediction = (_parts(row, key) for key in ("question_parts", "answer", "prediction"))
    window = window_from_json(row.get("window"))
    ground_m = row.get("ground_m")
    true_bar, predicted_bar = (bar_of(parts, window) for parts in (answer, prediction))
    return Answer(
        rank=rank,
        question=sentence(asked, window) or str(row.get("question", "")),
        truth=words_of(answer, window, ground_m),
        prediction=words_of(prediction, window, ground_m) or str(row.get("prediction_text", "")),
        problems="; ".join(map(str, row.get("problems") or ())),
        image=_image(folder / "evaluation" / "images", str(row.get("chip"))),
        asked=marks_of(asked),
        true=marks_of(answer),
        predicted=marks_of(prediction),
        true_bar=true_bar,
        predicted_bar=predicted_bar,
        window=(day_text(window.start), day_text(window.end)) if window else None,
    )


def _parts(row: Json, key: str) -> tuple[Part, ...]:
    """Parts of a row; those of a damaged row count as no answer."""
    try:
        return parts_from_json(row.get(key) or ())
    except (DataError, TypeError):
        return ()


def _kind(parts: Iterable[Part]) -> str:
    shapes = [part for part in parts if not isinstance(part, str)]
    if any(isinstance(shape, Instant | Span) for shape in shapes):
        return "time"
    return "place" if shapes else "text"


def _image(folder: Path, chip: str) -> str | None:
    """The chip's picture, if evaluation kept it."""
    try:
        path = path_inside(folder, f"{chip}.png")
    except DataError:
        return None
    if not path.is_file():
        return None
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"

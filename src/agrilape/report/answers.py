"""Answers to look at: the best, the middle and the worst of each task, on the imagery or on a time line."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from shapely import Geometry, make_valid, union_all
from shapely.geometry import Polygon as ShapelyPolygon
from shapely.geometry import box as shapely_box

from agrilape.errors import DataError
from agrilape.geo.shapes import Box, Instant, Part, Point, Polygon, Span
from agrilape.report.folder import Json, Run
from agrilape.samples.codec import parts_from_json, window_from_json

SIDE = 1000
"""Side of the drawing in its own units; normalised coordinates are multiplied by it."""
RANKS = ("best", "median", "worst")
KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}


@dataclass(frozen=True)
class Mark:
    """A place in the drawing: the points of an SVG polygon, or a single point."""

    points: str
    point: tuple[float, float] | None = None


@dataclass(frozen=True)
class Bar:
    """A period on a time line, in per cent of its window, with its dates in words."""

    left: float
    width: float
    dates: str


@dataclass(frozen=True)
class Answer:
    """One answer, ready to draw.

    Attributes:
        rank: `best`, `median` or `worst` of its task.
        score: Agreement with the truth in [0, 1].
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
    score: float
    question: str
    truth: str
    prediction: str
    problems: str
    image: str | None
    asked: tuple[Mark, ...] = ()
    true: tuple[Mark, ...] = ()
    predicted: tuple[Mark, ...] = ()
    true_bar: Bar | None = None
    predicted_bar: Bar | None = None
    window: tuple[str, str] | None = None


@dataclass(frozen=True)
class Gallery:
    """Answers of one task; `kind` is `place`, `time` or `text`."""

    task: str
    kind: str
    answers: tuple[Answer, ...]


def galleries(run: Run) -> list[Gallery]:
    """Best, median and worst answer of every task."""
    by_task: dict[str, list[Json]] = {}
    for row in run.predictions:
        by_task.setdefault(str(row.get("task", "")), []).append(row)
    return [_gallery(run.folder, task, rows) for task, rows in by_task.items()]


def agreement(answer: Sequence[Part], prediction: Sequence[Part]) -> float:
    """How well two answers agree, in [0, 1]; only used to rank answers of one task.

    For places: area of the intersection over area of the union of all places on either side. For times likewise
    with lengths; two instants score 1 minus their distance. For words: 1 if they are the same, else 0.
    """
    kind = _kind(answer)
    if kind == "place":
        return _overlap(_ground(answer), _ground(prediction))
    if kind == "time":
        return _time_agreement(_period(answer), _period(prediction))
    return float(_words(answer).casefold() == _words(prediction).casefold())


def _gallery(folder: Path, task: str, rows: Sequence[Json]) -> Gallery:
    read = [(_parts(row, "answer"), _parts(row, "prediction"), row) for row in rows]
    scored = sorted(
        ((agreement(a, p), str(row.get("id")), a, p, row) for a, p, row in read), key=lambda r: r[:2]
    )
    picks = dict(zip(RANKS, (scored[-1], scored[len(scored) // 2], scored[0]), strict=True))
    unique = {item[1]: (rank, item) for rank, item in reversed(picks.items())}
    chosen = sorted(unique.values(), key=lambda pick: RANKS.index(pick[0]))
    answers = tuple(_answer(folder, rank, score, a, p, row) for rank, (score, _, a, p, row) in chosen)
    return Gallery(task, _kind(read[0][0]), answers)


def _answer(
    folder: Path, rank: str, score: float, answer: Sequence[Part], prediction: Sequence[Part], row: Json
) -> Answer:
    asked = _parts(row, "question_parts")
    window = window_from_json(row.get("window"))
    true_bar, predicted_bar = (_bar(parts, window) for parts in (answer, prediction))
    return Answer(
        rank=rank,
        score=score,
        question=_words(asked, window) or str(row.get("question", "")),
        truth=_words(answer, window),
        prediction=_words(prediction, window) or str(row.get("prediction_text", "")),
        problems="; ".join(map(str, row.get("problems") or ())),
        image=_image(folder / "evaluation", row),
        asked=_marks(asked),
        true=_marks(answer),
        predicted=_marks(prediction),
        true_bar=true_bar,
        predicted_bar=predicted_bar,
        window=(_day(window.start), _day(window.end)) if window else None,
    )


def _parts(row: Json, key: str) -> tuple[Part, ...]:
    """Parts of a row; those of a damaged row count as no answer."""
    try:
        return parts_from_json(row.get(key) or ())
    except DataError:
        return ()


def _kind(parts: Iterable[Part]) -> str:
    shapes = [part for part in parts if not isinstance(part, str)]
    if any(isinstance(shape, Instant | Span) for shape in shapes):
        return "time"
    return "place" if shapes else "text"


def _ground(parts: Iterable[Part]) -> Geometry:
    """All places of an answer as one geometry in normalised coordinates."""
    shapes = [shapely_box(*part) for part in parts if isinstance(part, Box)]
    shapes += [ShapelyPolygon(part.points) for part in parts if isinstance(part, Polygon)]
    return union_all([make_valid(shape) for shape in shapes])


def _overlap(a: Geometry, b: Geometry) -> float:
    union = a.union(b).area
    return float(a.intersection(b).area / union) if union > 0 else 0.0


def _period(parts: Iterable[Part]) -> Span | None:
    for part in parts:
        if isinstance(part, Instant):
            return Span(part.t, part.t)
        if isinstance(part, Span):
            return part
    return None


def _time_agreement(a: Span | None, b: Span | None) -> float:
    if a is None or b is None:
        return 0.0
    if a.start == a.end:
        return max(0.0, 1.0 - abs(a.start - (b.start + b.end) / 2))
    shared = max(0.0, min(a.end, b.end) - max(a.start, b.start))
    return shared / (max(a.end, b.end) - min(a.start, b.start))


def _bar(parts: Iterable[Part], window: Any) -> Bar | None:
    """The period of an answer on its window, clipped to it."""
    period = _period(parts)
    if period is None or window is None:
        return None
    start, end = sorted(min(max(t, 0.0), 1.0) for t in period)
    first, last = _day(window.date_at(period.start)), _day(window.date_at(period.end))
    return Bar(100 * start, 100 * (end - start), first if first == last else f"{first} to {last}")


def _marks(parts: Iterable[Part]) -> tuple[Mark, ...]:
    marks = []
    for part in parts:
        if isinstance(part, Point):
            marks.append(Mark("", (SIDE * part.x, SIDE * part.y)))
        elif isinstance(part, Box):
            corners = (
                (part.left, part.top),
                (part.right, part.top),
                (part.right, part.bottom),
                (part.left, part.bottom),
            )
            marks.append(Mark(_points(corners)))
        elif isinstance(part, Polygon):
            marks.append(Mark(_points(part.points)))
    return tuple(marks)


def _points(corners: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{SIDE * x:.1f},{SIDE * y:.1f}" for x, y in corners)


def _words(parts: Iterable[Part], window: Any = None) -> str:
    """An answer for people: dates for times, a mark for places that are drawn anyway."""
    words = []
    for part in parts:
        if isinstance(part, str):
            words.append(part.strip())
        elif isinstance(part, Instant | Span) and window:
            words.append(" to ".join(_day(window.date_at(t)) for t in part))
        elif isinstance(part, Instant | Span):
            words.append(" to ".join(f"{t:.2f}" for t in part))
        else:
            words.append({Point: "✛", Box: "▭", Polygon: "⬠"}[type(part)])
    return " ".join(filter(None, words))


def _image(folder: Path, row: Json) -> str | None:
    """The chip's picture, if evaluation kept it."""
    names = row.get("image") or row.get("images") or f"images/{row.get('chip')}.png"
    path = folder / (names if isinstance(names, str) else names[0])
    if path.suffix not in KINDS or not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return None
    return f"data:{KINDS[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"

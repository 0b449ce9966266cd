"""Answers to look at: the best, the middle and the worst of each task, on the imagery or on a time line."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from shapely.geometry import Polygon as ShapelyPolygon

from agrilape.errors import DataError
from agrilape.geo.georeference import SQUARE_METRES_PER_HECTARE
from agrilape.geo.shapes import Box, Instant, Part, Point, Polygon, Span
from agrilape.geo.timewindow import TimeWindow
from agrilape.report.folder import Json, Run
from agrilape.samples.codec import parts_from_json, window_from_json

SIDE = 1000
"""Side of the drawing in its own units; normalised coordinates are multiplied by it."""
_MARKS = {Point: "✛", Box: "▢", Polygon: "⬠"}
RANKS = ("best", "median", "worst")


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
    true_bar, predicted_bar = (_bar(parts, window) for parts in (answer, prediction))
    return Answer(
        rank=rank,
        question=_sentence(asked, window) or str(row.get("question", "")),
        truth=_words(answer, window, ground_m),
        prediction=_words(prediction, window, ground_m) or str(row.get("prediction_text", "")),
        problems="; ".join(map(str, row.get("problems") or ())),
        image=_image(folder / "evaluation" / "images", str(row.get("chip"))),
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
    except (DataError, TypeError):
        return ()


def _kind(parts: Iterable[Part]) -> str:
    shapes = [part for part in parts if not isinstance(part, str)]
    if any(isinstance(shape, Instant | Span) for shape in shapes):
        return "time"
    return "place" if shapes else "text"


def _period(parts: Iterable[Part]) -> Span | None:
    for part in parts:
        if isinstance(part, Instant):
            return Span(part.t, part.t)
        if isinstance(part, Span):
            return part
    return None


def _bar(parts: Iterable[Part], window: TimeWindow | None) -> Bar | None:
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


def _sentence(parts: Iterable[Part], window: TimeWindow | None) -> str:
    """A question for people, with a mark where it points at a place that is drawn."""
    return "".join(
        part if isinstance(part, str) else _time(part, window) or _MARKS[type(part)] for part in parts
    )


def _words(parts: Sequence[Part], window: TimeWindow | None, ground_m: Sequence[float] | None) -> str:
    """An answer for people: texts, dates, and how many places of what size."""
    said = [part.strip() if isinstance(part, str) else _time(part, window) for part in parts]
    places = [part for part in parts if isinstance(part, Box | Polygon)]
    if places:
        kind = "box" if isinstance(places[0], Box) else "outline"
        more = {"box": "boxes", "outline": "outlines"}
        said.append(f"{len(places)} {kind if len(places) == 1 else more[kind]}{_size(places, ground_m)}")
    return " ".join(filter(None, said))


def _time(part: Part, window: TimeWindow | None) -> str:
    """A time in words; nothing for a place."""
    if not isinstance(part, Instant | Span):
        return ""
    return " to ".join(_day(window.date_at(t)) if window else f"{t:.2f}" for t in part)


def _size(places: Iterable[Box | Polygon], ground_m: Sequence[float] | None) -> str:
    """Area of places on the ground, given the image's width and height in metres."""
    if not ground_m:
        return ""
    share = sum(
        place.area if isinstance(place, Box) else ShapelyPolygon(place.points).area for place in places
    )
    return f", {share * ground_m[0] * ground_m[1] / SQUARE_METRES_PER_HECTARE:.1f} ha"


def _image(folder: Path, chip: str) -> str | None:
    """The chip's picture, if evaluation kept it."""
    path = folder / f"{chip}.png"
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return None
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"

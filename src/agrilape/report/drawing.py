"""Places and times of samples and answers, ready to be drawn or said in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from shapely.geometry import Polygon as ShapelyPolygon

from agrilape.geo.georeference import SQUARE_METRES_PER_HECTARE
from agrilape.geo.shapes import Box, Instant, Part, Point, Polygon, Span
from agrilape.geo.timewindow import TimeWindow

SIDE = 1000
"""Side of the drawing in its own units; normalised coordinates are multiplied by it."""
SYMBOLS = {Point: "✛", Box: "▢", Polygon: "⬠"}


@dataclass(frozen=True)
class Mark:
    """A place in the drawing: the points of an SVG polygon, or a single point."""

    points: str
    point: tuple[float, float] | None = None


@dataclass(frozen=True)
class TimeBar:
    """A period on a time line, in per cent of its window, with its dates in words."""

    left: float
    width: float
    dates: str


def bar_of(parts: Iterable[Part], window: TimeWindow | None) -> TimeBar | None:
    """The period of an answer on its window, clipped to it."""
    period = _period(parts)
    if period is None or window is None:
        return None
    start, end = sorted(min(max(t, 0.0), 1.0) for t in period)
    first, last = day_text(window.date_at(period.start)), day_text(window.date_at(period.end))
    return TimeBar(100 * start, 100 * (end - start), first if first == last else f"{first} to {last}")


def _period(parts: Iterable[Part]) -> Span | None:
    for part in parts:
        if isinstance(part, Instant):
            return Span(part.t, part.t)
        if isinstance(part, Span):
            return part
    return None


def marks_of(parts: Iterable[Part]) -> tuple[Mark, ...]:
    """The places among parts."""
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


def sentence(parts: Iterable[Part], window: TimeWindow | None) -> str:
    """A question for people, with a mark where it points at a place that is drawn."""
    return "".join(
        part if isinstance(part, str) else time_text(part, window) or SYMBOLS[type(part)] for part in parts
    )


def words_of(parts: Sequence[Part], window: TimeWindow | None, ground_m: Sequence[float] | None) -> str:
    """An answer for people: texts, dates, and how many places of what size."""
    said = [part.strip() if isinstance(part, str) else time_text(part, window) for part in parts]
    places = [part for part in parts if isinstance(part, Box | Polygon)]
    if places:
        kind = "box" if isinstance(places[0], Box) else "outline"
        more = {"box": "boxes", "outline": "outlines"}
        said.append(f"{len(places)} {kind if len(places) == 1 else more[kind]}{_size(places, ground_m)}")
    return " ".join(filter(None, said))


def time_text(part: Part, window: TimeWindow | None) -> str:
    """A time in words; nothing for a place."""
    if not isinstance(part, Instant | Span):
        return ""
    return " to ".join(day_text(window.date_at(t)) if window else f"{t:.2f}" for t in part)


def _size(places: Iterable[Box | Polygon], ground_m: Sequence[float] | None) -> str:
    """Area of places on the ground, given the image's width and height in metres."""
    if not ground_m:
        return ""
    share = sum(
        place.area if isinstance(place, Box) else ShapelyPolygon(place.points).area for place in places
    )
    return f", {share * ground_m[0] * ground_m[1] / SQUARE_METRES_PER_HECTARE:.1f} ha"


def day_text(day: date) -> str:
    """A date in words."""
    return f"{day.day} {day:%b %Y}"

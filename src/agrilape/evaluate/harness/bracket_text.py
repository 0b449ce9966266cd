"""Places and times as any model can write them: numbers from 0 to 1 in square brackets.

The count of numbers says what a bracket is: 1 a moment, 2 a point or a period, 4 a box, 6 and more (in pairs)
an outline. Our own model answers in the same notation, so that all are read by one rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from agrilape.geo.shapes import Box, Instant, Part, Point, Polygon, Shape, Span
from agrilape.geo.timewindow import TimeWindow

# As programs print numbers of this size, down to 5e-05; a year or a count in brackets is no place.
_NUMBER = r"\s*(?:\d{1,3}(?:\.\d*)?|\.\d+)(?:[eE]-\d+)?\s*"
_BRACKET = re.compile(rf"\[({_NUMBER}(?:,{_NUMBER})*)\]")
_HINTS: dict[type[Shape], str] = {
    Point: "a point as [x, y]",
    Box: "a box as [left, top, right, bottom]",
    Polygon: "an outline as [x, y, x, y, x, y, ...]",
    Instant: "a moment as [t]",
    Span: "a period as [start, end]",
}


def write_parts(parts: Iterable[Part], digits: int = 6) -> str:
    """A message in this notation."""
    return "".join(part if isinstance(part, str) else _write(part, digits) for part in parts).strip()


def read_parts(text: str, wanted: Iterable[Part]) -> tuple[Part, ...]:
    """What an answer in this notation says; brackets that are no shape stay text.

    Args:
        text: The answer.
        wanted: The true answer, which decides whether two numbers are a point or a period.
    """
    return tuple(_read(text, any(isinstance(part, Span) for part in wanted)))


def hint(answer: Sequence[Part], window: TimeWindow | None) -> str:
    """How to write the answer, for models that were not trained on it; empty where it is plain words."""
    kinds = dict.fromkeys(type(part) for part in answer if not isinstance(part, str))
    if not kinds:
        return ""
    forms = " and ".join(_HINTS[kind] for kind in kinds)
    scales = []
    if any(kind in kinds for kind in (Point, Box, Polygon)):
        scales.append("x from the left and y from the top as fractions of the image")
    if window and any(kind in kinds for kind in (Instant, Span)):
        scales.append(f"times as fractions of the days from {window.start} (0) to {window.end} (1)")
    return f"Write {forms}: {', '.join(scales) or 'fractions from 0 to 1'}."


def _write(shape: Shape, digits: int) -> str:
    points = shape.points if isinstance(shape, Polygon) else (shape,)
    return f"[{', '.join(f'{value:.{digits}f}' for point in points for value in point)}]"


def _read(text: str, spans: bool) -> Iterator[Part]:
    end = 0
    for bracket in _BRACKET.finditer(text):
        shape = _shape([float(number) for number in bracket[1].split(",")], spans)
        if shape is not None:
            if text[end : bracket.start()].strip():
                yield text[end : bracket.start()]
            yield shape
            end = bracket.end()
    if text[end:].strip():
        yield text[end:]


def _shape(values: list[float], spans: bool) -> Shape | None:
    match values:
        case [t]:
            return Instant(t)
        case [x, y]:
            return Span(x, y) if spans else Point(x, y)
        case [left, top, right, bottom]:
            return Box(left, top, right, bottom)
        case [*many] if len(many) >= 6 and len(many) % 2 == 0:
            return Polygon(tuple(Point(x, y) for x, y in zip(many[0::2], many[1::2], strict=True)))
    return None

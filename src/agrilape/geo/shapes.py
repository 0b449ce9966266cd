"""Places and times inside a chip, normalised to [0, 1].

Origin at the top left of the image the model is shown, x to the right along the width, y down along the
height; boxes are edges, with no "+1 pixel" anywhere. Times are fractions of the chip's `TimeWindow`.

A message is a sequence of `Part`s: text with places and times in between. How these are spelled for a model
(position tokens, numerals) is the business of `agrilape.tokens`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class Point(NamedTuple):
    """A place in the image."""

    x: float
    y: float


class Box(NamedTuple):
    """An axis-parallel rectangle, given by its edges."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """Share of the image that the box covers; 0 for a reversed box."""
        return max(self.right - self.left, 0.0) * max(self.bottom - self.top, 0.0)


@dataclass(frozen=True)
class Polygon:
    """An outline without holes; the last vertex is joined to the first and not repeated."""

    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        """Refuse what encloses nothing."""
        if len(self.points) < 3:
            raise ValueError(f"a polygon needs at least 3 vertices, got {len(self.points)}")

    def canonical(self) -> Polygon:
        """The same outline, clockwise as seen, from the vertex nearest to the image's top left corner.

        One outline can be written in many ways; this is the one that answers are taught in.
        """
        pairs = zip(self.points, (*self.points[1:], self.points[0]), strict=True)
        clockwise = sum(a.x * b.y - b.x * a.y for a, b in pairs) > 0  # y runs down
        points = self.points if clockwise else self.points[::-1]
        first = min(range(len(points)), key=lambda i: (points[i].x + points[i].y, points[i]))
        return Polygon(points[first:] + points[:first])


class Instant(NamedTuple):
    """A moment, as a fraction of the time window."""

    t: float


class Span(NamedTuple):
    """A stretch of time, as fractions of the time window."""

    start: float
    end: float


Shape: TypeAlias = Point | Box | Polygon | Instant | Span
Part: TypeAlias = str | Shape

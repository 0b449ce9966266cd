"""Coordinates of published data in and out of the project's own: fractions of the image, edges, no "+1".

A `CoordinateScale` says what the numbers of a format run to: `PERCENT` (integers, 0-100), `PER_MILLE`
(integers, 0-1000), `UNIT` (fractions) or `pixels(width, height)` of the image as the model was shown it.
Oriented boxes are an axis-parallel box and the degrees by which it is turned about its centre.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from agrilape.geo.shapes import Box, Point, Polygon

SLACK = 0.02  # share of the scale by which published numbers run over its ends; they are cut there
UPRIGHT = 1e-6  # degrees


class Size(NamedTuple):
    """Width and height of an image in pixels."""

    width: int
    height: int


class CoordinateScale(NamedTuple):
    """What the numbers of a format run to.

    Attributes:
        width: Number at the right edge of the image.
        height: Number at its bottom edge.
        whole: Are numbers written as integers?
    """

    width: float
    height: float
    whole: bool = False

    def point(self, x: float, y: float) -> Point:
        """A point.

        Raises:
            ValueError: It lies outside the image.
        """
        return Point(_fraction(x, self.width), _fraction(y, self.height))

    def box(self, left: float, top: float, right: float, bottom: float) -> Box:
        """A box from its edges.

        Raises:
            ValueError: It reaches out of the image, or has no area.
        """
        box = Box(*self.point(left, top), *self.point(right, bottom))
        if box.left >= box.right or box.top >= box.bottom:
            raise ValueError("a box has no area")
        return box

    def outline(self, corners: Iterable[tuple[float, float]]) -> Polygon:
        """An outline from its corners, cut at the edges of the image.

        Raises:
            ValueError: Nothing of it lies in the image.
        """
        return clip(np.array([(x / self.width, y / self.height) for x, y in corners], float))

    def numbers(self, shape: Point | Box | Polygon) -> tuple[float, ...]:
        """The numbers of a shape: x and y in turn; the inverse of the other methods up to rounding."""
        places = [c for point in shape.points for c in point] if isinstance(shape, Polygon) else list(shape)
        found = [place * (self.height if index % 2 else self.width) for index, place in enumerate(places)]
        return tuple(round(number) if self.whole else number for number in found)


PERCENT = CoordinateScale(100, 100, whole=True)
PER_MILLE = CoordinateScale(1000, 1000, whole=True)
UNIT = CoordinateScale(1, 1)


def pixels(size: Size) -> CoordinateScale:
    """Pixels of an image of some size, counted from the outer edge of the top-left one."""
    return CoordinateScale(size.width, size.height)


def turned(box: Box, degrees: float, size: Size) -> Box | Polygon:
    """A box turned about its centre, clockwise as seen, without leaving the image.

    The sense of GeoChat's and EarthDial's angles is that of their own geometry in pixels, with y down. It
    turns in pixels: in fractions of an oblong image right angles would not last.

    Args:
        box: The box before the turn.
        degrees: By how much.
        size: Of the image.

    Returns:
        A box for multiples of 90 degrees, else an outline: the corners from the top left one, clockwise.

    Raises:
        ValueError: Nothing of it lies in the image.
    """
    low, high = np.array(box[:2]) * size, np.array(box[2:]) * size
    centre, half = (low + high) / 2, (high - low) / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    outline = (corners @ turn + centre) / size
    if abs(math.remainder(degrees, 90)) < UPRIGHT:
        left, top, right, bottom = np.clip([*outline.min(0), *outline.max(0)], 0, 1).tolist()
        return Box(left, top, right, bottom)
    return clip(outline)


def upright(outline: Polygon, size: Size) -> tuple[Box, float]:
    """The smallest turned box about an outline: its box before the turn, and degrees in [0, 180).

    Raises:
        ValueError: That box reaches out of the image both ways that it can be written.
    """
    corners = np.array(outline.points) * size
    rectangle = shapely.oriented_envelope(shapely.Polygon(corners))
    if not isinstance(rectangle, shapely.Polygon):
        raise ValueError("an outline has no area")
    first, second, third = shapely.get_coordinates(rectangle)[:3]
    centre, (along, across) = (first + third) / 2, (second - first, third - second)
    for side, other in ((along, across), (across, along)):
        half = np.hypot(*side.tolist()) / 2, np.hypot(*other.tolist()) / 2
        left, top = (centre - half) / size
        right, bottom = (centre + half) / size
        if min(left, top) >= -SLACK and max(right, bottom) <= 1 + SLACK:
            degrees = math.degrees(math.atan2(side[1], side[0])) % 180
            return Box(*np.clip([left, top, right, bottom], 0, 1).tolist()), degrees
    raise ValueError("a turned box reaches out of the image before its turn")


def clip(corners: NDArray[np.float64]) -> Polygon:
    """An outline in fractions of the image, cut at its edges; of several pieces the largest.

    Args:
        corners: `[N, 2]`, x before y.

    Raises:
        ValueError: There are fewer than three corners, or nothing of it lies in the image.
    """
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise ValueError("an outline needs three corners")
    if ((corners >= 0) & (corners <= 1)).all():
        return Polygon(tuple(Point(float(x), float(y)) for x, y in corners))
    whole = shapely.make_valid(shapely.Polygon(corners))
    pieces = shapely.get_parts(shapely.intersection(whole, shapely.box(0, 0, 1, 1)))
    largest = max(pieces, key=lambda piece: piece.area, default=shapely.Polygon())
    if not isinstance(largest, shapely.Polygon) or largest.area <= 0:
        raise ValueError("an outline lies outside the image")
    inside = shapely.get_coordinates(largest.exterior)[:-1]
    return Polygon(tuple(Point(float(x), float(y)) for x, y in inside))


def _fraction(number: float, scale: float) -> float:
    share = float(number) / scale
    if not -SLACK <= share <= 1 + SLACK:  # NaN too
        raise ValueError(f"a coordinate lies outside 0 to {scale:g}")
    return min(max(share, 0.0), 1.0)

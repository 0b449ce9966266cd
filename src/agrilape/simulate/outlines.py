"""Geometric building blocks of a landscape. Plane coordinates in metres, x east and y north."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Geometry, LineString, Polygon

Array = NDArray[np.float64]


def polygons(geometry: Geometry) -> Iterator[Polygon]:
    """The polygons of any geometry, largest parts and crumbs alike."""
    return (
        p
        for p in shapely.get_parts(geometry, return_index=False)
        if p.geom_type == "Polygon" and not p.is_empty
    )


def long_axis(polygon: Polygon) -> tuple[Array, float, float, float]:
    """The tightest box around a polygon.

    Returns:
        Its centre, the azimuth of its long side (radians counter-clockwise from east), length and width.
    """
    corners = shapely.get_coordinates(shapely.oriented_envelope(polygon))[:4]
    side, other = corners[1] - corners[0], corners[2] - corners[1]
    lengths = float(np.hypot(*side)), float(np.hypot(*other))
    along = side if lengths[0] >= lengths[1] else other
    return corners.mean(axis=0), float(np.arctan2(along[1], along[0])), max(lengths), min(lengths)


def cut(polygon: Polygon, through: Array, azimuth: float, gap: float) -> list[Polygon]:
    """Cut along an infinite line, leaving a gap of the given width; the pieces."""
    along = np.array([np.cos(azimuth), np.sin(azimuth)])
    left = np.array([-along[1], along[0]])
    reach = 4.0 * float(np.ptp(shapely.get_coordinates(polygon), axis=0).max()) + gap
    pieces: list[Polygon] = []
    for side in (left, -left):
        near, far = through + side * gap / 2, through + side * reach
        half = Polygon([near - along * reach, near + along * reach, far + along * reach, far - along * reach])
        pieces.extend(polygons(polygon.intersection(half)))
    return pieces


def blob(
    rng: np.random.Generator, centre: Array, radius: float, roughness: float = 0.25, stretch: float = 1.5
) -> Polygon:
    """A rounded, irregular patch of about the given radius."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    wave = np.arange(2, 7)[:, None]
    amplitude = roughness * rng.normal(size=(5, 1)) / wave
    bumps = 1 + (amplitude * np.cos(wave * angle + rng.uniform(0, 2 * np.pi, (5, 1)))).sum(axis=0)
    r = radius * np.clip(bumps, 0.4, 1.8)
    s = np.sqrt(rng.uniform(1, stretch))
    points = np.column_stack([r * np.cos(angle) * s, r * np.sin(angle) / s])
    turn = rng.uniform(0, np.pi)
    return Polygon(points @ _rotation(turn).T + centre).buffer(0)


def rectangle(centre: Array, length: float, width: float, azimuth: float) -> Polygon:
    """A rectangle with its long side along the azimuth."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [length / 2, width / 2]
    return Polygon(corners @ _rotation(azimuth).T + centre)


def meander(rng: np.random.Generator, extent: float, swing: float) -> LineString:
    """A winding line across a square of the given side."""
    s = np.linspace(-0.8, 0.8, 160) * extent
    bends = np.zeros_like(s)
    for wavelength in extent * np.array([1.1, 0.45, 0.2, 0.09]):
        bends += (
            swing
            * wavelength
            * rng.normal(0, 0.5)
            * np.sin(2 * np.pi * s / wavelength + rng.uniform(0, 2 * np.pi))
        )
    line = np.column_stack([s, bends + rng.uniform(-0.3, 0.3) * extent])
    return LineString(line @ _rotation(rng.uniform(0, np.pi)).T + extent / 2)


class SmoothDisplacement:
    """A smooth displacement of the plane: straight lines become gently curved, neighbours stay neighbours."""

    def __init__(self, rng: np.random.Generator, amplitude: float, wavelength: float) -> None:
        self._waves = 2 * np.pi / (wavelength * rng.uniform(0.7, 1.6, 6))
        self._headings = rng.uniform(0, 2 * np.pi, 6)
        self._phases = rng.uniform(0, 2 * np.pi, (2, 6))
        self._amplitude = amplitude / np.sqrt(6)
        self._step = wavelength / 25

    def __call__(self, geometries: Iterable[Geometry]) -> list[Geometry]:
        """Displaced copies."""
        items = np.array(list(geometries), dtype=object)
        if self._amplitude == 0 or not items.size:
            return list(items)
        return list(shapely.transform(shapely.segmentize(items, self._step), self._move))

    def _move(self, xy: Array) -> Array:
        heading = np.stack([np.cos(self._headings), np.sin(self._headings)])
        phase = (xy @ heading) * self._waves
        shift = [np.sin(phase + p).sum(axis=1) for p in self._phases]
        return np.asarray(xy + self._amplitude * np.stack(shift, axis=1))


def _rotation(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])

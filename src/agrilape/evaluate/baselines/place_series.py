"""What the pictures show of the asked place: the mean colours of the field there on each date.

No label is used. The field is the stretch of pixels around the asked point that look like it on every date,
so a baseline sees what the model sees, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from agrilape.dataset.types import Chip, Example, Sample
from agrilape.evaluate.metrics.arrays import Floats
from agrilape.evaluate.predictions import shapes
from agrilape.geo.shapes import Box, Point
from agrilape.io.pictures import as_rgb

ALIKE = 0.06
"""Root mean square difference of colours, of 1, up to which a pixel belongs to the field."""
SEED = 1
"""Pixels to each side of the asked one that say how the field looks."""


@dataclass(frozen=True)
class PlaceSeries:
    """The field at a place as the pictures show it.

    Attributes:
        times: Of each picture, as a fraction of the chip's calendar, `[T]` in order; NaN for none.
        colours: Mean of each channel, 0 to 1, `[T, 3]`.
        index: How green it is, `[T]`, see `greenness`.
        box: Around the pixels that look like the asked place.
    """

    times: Floats
    colours: Floats
    index: Floats
    box: Box


def place_series(example: Example) -> list[PlaceSeries | None]:
    """The asked place of each sample of a chip; None for a question that names no point, or more than one.

    A box in the question is the place itself.
    """
    places = [asked_place(sample) for sample in example.samples]
    if not any(places):
        return [None] * len(places)
    stack = _pictures(example.chip)
    times = picture_times(example.chip)
    bands = tuple(example.chip.meta.get("bands") or ())
    known: dict[Point | Box, PlaceSeries] = {}
    for place in places:
        if place is not None and place not in known:
            known[place] = _series(place, stack, times, bands)
    return [None if place is None else known[place] for place in places]


def asked_place(sample: Sample) -> Point | Box | None:
    """The one point or box that a question is about."""
    places: list[Point | Box] = [*shapes(sample.question, Point), *shapes(sample.question, Box)]
    return places[0] if len(places) == 1 else None


def picture_times(chip: Chip) -> Floats:
    """Acquisition of each picture as a fraction of the chip's calendar, `[T]`; NaN for none."""
    instants = [chip.instant(number) for number in range(len(chip.pictures))]
    return np.array([np.nan if instant is None else instant.t for instant in instants])


def greenness(colours: Floats, bands: Sequence[str]) -> Floats:
    """A vegetation index of colours as they are shown.

    NDVI of what is shown as near infrared and red; else the share of green in all three, which also ranks
    indices shown in colour (green chromatic coordinate, Richardson et al. 2007,
    doi:10.1007/s00442-006-0657-z).

    Args:
        colours: `[..., 3]`, 0 to 1.
        bands: What the three channels show; empty for true colour.

    Returns:
        `[...]`.
    """
    if {"nir", "red"} <= set(bands[:3]):
        nir, red = colours[..., list(bands).index("nir")], colours[..., list(bands).index("red")]
        return np.asarray((nir - red) / np.maximum(nir + red, 1e-6))
    return np.asarray(colours[..., 1] / np.maximum(colours.sum(-1), 1e-6))


def _pictures(chip: Chip) -> NDArray[np.float32]:
    """All pictures of a chip, `[T, height, width, 3]`, 0 to 1."""
    pixels = [np.asarray(as_rgb(one.data), np.float32) for one in chip.pictures]
    return np.stack(pixels) / np.float32(255)


def _series(
    place: Point | Box, stack: NDArray[np.float32], times: Floats, bands: Sequence[str]
) -> PlaceSeries:
    inside = _boxed(place, stack.shape[1:3]) if isinstance(place, Box) else _alike(place, stack)
    colours = stack[:, inside].mean(axis=1).astype(float)
    return PlaceSeries(times, colours, greenness(colours, bands), _around(inside))


def _alike(point: Point, stack: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The connected pixels around a point that look like it on every date, `[height, width]`."""
    height, width = stack.shape[1:3]
    row, column = min(int(point.y * height), height - 1), min(int(point.x * width), width - 1)
    near = np.s_[max(row - SEED, 0) : row + SEED + 1, max(column - SEED, 0) : column + SEED + 1]
    typical = np.median(stack[:, near[0], near[1]], axis=(1, 2))
    difference = np.sqrt(((stack - typical[:, None, None]) ** 2).mean(axis=(0, 3)))
    regions, _ = ndimage.label(difference <= ALIKE)
    numbers = regions[near]
    inside = np.isin(regions, numbers[numbers > 0])
    inside[near] |= not inside.any()
    return np.asarray(inside)


def _boxed(box: Box, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """The pixels whose centres lie in the inner three quarters of a box, or the one at its centre."""
    centres = [(np.arange(side) + 0.5) / side for side in size]
    edges = ((box.top, box.bottom), (box.left, box.right))
    rows, columns = (
        np.abs(centre - (low + high) / 2) <= max(0.375 * (high - low), 0.5 / len(centre))
        for centre, (low, high) in zip(centres, edges, strict=True)
    )
    return np.asarray(rows[:, None] & columns)


def _around(inside: NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    height, width = inside.shape
    return Box(
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )

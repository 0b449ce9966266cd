"""Turn and mirror chips together with everything that says where something is."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from functools import lru_cache

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from PIL import Image

from agrilape.dataset.prompt_templates import PromptTemplates, layout_text, load_prompt_templates, named_boxes
from agrilape.dataset.types import Example, Picture, Sample
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Box, Part, Point, Polygon
from agrilape.io.pictures import as_rgb

_QUARTER_TURN = np.array(
    [[0.0, 1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
)  # anticlockwise: (x, y) -> (y, 1 - x)
PER_BOX = ("sizes", "causes", "labels")  # facts of a sample's truth with one entry for each box of the answer
_MIRROR = np.array([[-1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def dihedral(example: Example, k: int) -> Example:
    """A chip under one of the eight symmetries of the square, with its questions and answers.

    Boxes of an answer are put in order again, outlines begin at the top left again, and words for places,
    edges and rows are replaced, in the language that the chip's meta names. A chip
    with a sample that holds only for the picture as it is (`oriented` in its truth: compass points,
    directions in words of others) is left as it is.

    Args:
        example: Chip and samples.
        k: `k % 4` quarter turns anticlockwise, then mirrored left to right for `k >= 4`; 0 changes nothing.

    Raises:
        ValueError: `k` is not in 0..7.
    """
    if not 0 <= k < 8:
        raise ValueError(f"a square has the symmetries 0 to 7, got {k}")
    if k == 0 or any(sample.truth.get("oriented") for sample in example.samples):
        return example
    chip = example.chip
    words = load_prompt_templates(chip.meta.get("language", "en"))
    turned = replace(
        chip,
        pictures=tuple(replace(picture, data=_turn_picture(picture, k)) for picture in chip.pictures),
        georeference=chip.georeference and _turn_georeference(chip.georeference, k),
    )
    return Example(turned, tuple(_turn_sample(sample, k, words) for sample in example.samples))


def colour_jitter(example: Example, rng: np.random.Generator, strength: float) -> Example:
    """A chip in other light: brightness, contrast and tint differ, alike in all its pictures.

    Args:
        example: Chip and samples.
        rng: Draws the light.
        strength: 1: brightness varies by 12 % and each colour by 4 % and 8 of 255 (standard deviations).
    """
    tone, tint = rng.normal(size=1) * strength, rng.normal(size=3) * strength
    gain, shift = 1 + 0.12 * tone + 0.04 * tint, 8 * tint

    def lit(picture: Picture) -> Picture:
        pixels = np.asarray(as_rgb(picture.data), np.float32)
        return replace(picture, data=_encode(np.clip(pixels * gain + shift, 0, 255).astype(np.uint8)))

    chip = example.chip
    return replace(example, chip=replace(chip, pictures=tuple(lit(picture) for picture in chip.pictures)))


def apply_symmetry(part: Part, k: int) -> Part:
    """A part under a symmetry; texts and times stay as they are."""
    match part:
        case Point():
            return _turn_point(part, k)
        case Box():
            one, other = _turn_point(Point(*part[:2]), k), _turn_point(Point(*part[2:]), k)
            return Box(min(one.x, other.x), min(one.y, other.y), max(one.x, other.x), max(one.y, other.y))
        case Polygon():
            points = tuple(_turn_point(point, k) for point in part.points)
            return Polygon(points[::-1] if k >= 4 else points)  # mirroring reverses the sense of rotation
    return part


@lru_cache
def _symmetry(k: int) -> NDArray[np.float64]:
    """The matrix that takes normalised homogeneous coordinates to the turned image, `[3, 3]`."""
    turned = np.linalg.matrix_power(_QUARTER_TURN, k % 4)
    return _MIRROR @ turned if k >= 4 else turned


@lru_cache
def _coefficients(k: int) -> list[list[float]]:
    rows: list[list[float]] = _symmetry(k)[:2].tolist()
    return rows


def _turn_point(point: Point, k: int) -> Point:
    (a, b, c), (d, e, f) = _coefficients(k)
    return Point(a * point.x + b * point.y + c, d * point.x + e * point.y + f)


def _turn_picture(picture: Picture, k: int) -> bytes:
    pixels = np.rot90(np.asarray(as_rgb(picture.data)), k % 4)
    return _encode(np.ascontiguousarray(pixels[:, ::-1] if k >= 4 else pixels))


def _encode(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PPM")  # not compressed: these bytes live for one training step
    return buffer.getvalue()


def _turn_georeference(georeference: Georeference, k: int) -> Georeference:
    """The same ground under the turned pixel grid."""
    width, height = georeference.width, georeference.height
    new_width, new_height = (width, height) if k % 2 == 0 else (height, width)
    to_old = (
        np.diag([width, height, 1])
        @ np.linalg.inv(_symmetry(k))
        @ np.diag([1 / new_width, 1 / new_height, 1])
    )
    to_map = np.array(tuple(georeference.transform)).reshape(3, 3) @ to_old
    return Georeference(georeference.crs, Affine(*to_map[:2].ravel().tolist()), new_width, new_height)


def _turn_sample(sample: Sample, k: int, words: PromptTemplates) -> Sample:
    question = tuple(apply_symmetry(part, k) for part in sample.question)
    answer = tuple(_turn_outline(part, k) for part in sample.answer)
    truth = dict(sample.truth)
    boxes = [part for part in answer if isinstance(part, Box)]
    if boxes:
        order = sorted(range(len(boxes)), key=boxes.__getitem__)
        truth |= {name: [truth[name][i] for i in order] for name in PER_BOX if name in truth}
        boxes = [boxes[i] for i in order]
    if "labels" in truth:
        answer = named_boxes(truth["labels"], boxes)
    elif len(boxes) == len(answer):
        answer = tuple(boxes)
    if place := truth.get("place"):
        truth["place"] = _turn_place(place, k, words)
        question, answer = (_rename(parts, place, truth["place"]) for parts in (question, answer))
    if "edges" in truth:
        turned = {_turn_place(edge, k, words) for edge in truth["edges"]}
        truth["edges"] = [edge for edge in words.edges if edge in turned]
        answer = (words.edges_text(truth["edges"]),)
    if "rows" in truth:
        angle = (truth["rows"] + 90 * (k % 4)) % 180
        truth["rows"] = (180 - angle) % 180 if k >= 4 else angle
        answer = (words.rows[truth["rows"] // 45],)
    if grid := truth.get("grid"):
        cells = np.rot90(np.array(grid, dtype=object), k % 4)
        truth["grid"] = (cells[:, ::-1] if k >= 4 else cells).tolist()
        answer = (layout_text(truth["grid"]),)
    return replace(sample, question=question, answer=answer, truth=truth)


def _turn_outline(part: Part, k: int) -> Part:
    """A part under a symmetry; an outline that began at the top left does so again."""
    turned = apply_symmetry(part, k)
    if isinstance(part, Polygon) and isinstance(turned, Polygon) and part == part.canonical():
        return turned.canonical()
    return turned


def _turn_place(place: str, k: int, words: PromptTemplates) -> str:
    """The name of a ninth of the image after turning."""
    row, column = next((r, names.index(place)) for r, names in enumerate(words.places) if place in names)
    centre = _turn_point(Point((column + 0.5) / 3, (row + 0.5) / 3), k)
    return words.places[int(centre.y * 3)][int(centre.x * 3)]


def _rename(parts: tuple[Part, ...], old: str, new: str) -> tuple[Part, ...]:
    """Replace the name of a place as whole words, once per text."""
    name = re.compile(rf"\b{re.escape(old)}\b")
    return tuple(name.sub(new, part, count=1) if isinstance(part, str) else part for part in parts)

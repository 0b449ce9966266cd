"""Questions about annotated objects of any kind: where they are, how many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agrilape.geo.shapes import Box, Polygon
from agrilape.prepare.formats.example_rows import RowQuestion

MOST_PLACES = 20  # shapes of one answer


@dataclass(frozen=True)
class AnnotatedObject:
    """An annotated object.

    Attributes:
        name: Its kind in words.
        shape: Where it is; None if it is only partly seen, too hard to see, or one of a crowd: then its kind
            is not asked about.
    """

    name: str
    shape: Box | Polygon | None


def ask_objects(things: Sequence[AnnotatedObject], split: str | None = None) -> Iterator[RowQuestion]:
    """For each kind whose objects are all known: where they are, row by row, and how many there are.

    Args:
        things: All annotated objects of a picture.
        split: The release's split that they are in, for provenance; None for none.
    """
    origin = {} if split is None else {"split": split}
    for name in sorted({thing.name for thing in things}):
        shapes = [thing.shape for thing in things if thing.name == name]
        if None in shapes:
            continue
        known = sorted((shape for shape in shapes if shape is not None), key=_corner)
        if len(known) <= MOST_PLACES:
            where = f"Where in the image is each {name}?"
            yield RowQuestion("locate", (where,), tuple(known), {"object": name}, origin)
        many = f"How many of this kind are there: {name}?"
        yield RowQuestion("count", (many,), (str(len(known)),), {"object": name}, origin)


def plain_name(name: str) -> str:
    """A class name in words."""
    return " ".join(name.replace("-", " ").replace("_", " ").lower().split())


def _corner(shape: Box | Polygon) -> tuple[float, float]:
    """Upper and left edge, by which shapes are put in order."""
    if isinstance(shape, Box):
        return shape.top, shape.left
    return min(point.y for point in shape.points), min(point.x for point in shape.points)

"""What an answer says, as numbers: NaN wherever it could not be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import shapely
from shapely import Geometry
from shapely.geometry import Polygon as ShapelyPolygon

from agrilape.dataset.tasks import MAP_TASKS
from agrilape.evaluate.metrics.arrays import Floats, floats
from agrilape.evaluate.metrics.boxes import as_boxes
from agrilape.evaluate.metrics.captions import exact_match, find_name, find_number, normalised
from agrilape.evaluate.predictions import Prediction, plain_text, shapes
from agrilape.geo.shapes import Box, Instant, Part, Polygon, Shape, Span

Rows: TypeAlias = Sequence[Prediction]


def first_boxes(rows: Rows) -> tuple[Floats, Floats]:
    """First given and first wanted box of each row, `[N, 4]` each.

    Where one box is asked for, the first one given is the answer and further ones are ignored: a list of
    guesses must not score as its best.
    """
    return _firsts(rows, Box, 4)


def times(rows: Rows) -> tuple[Floats, Floats]:
    """First given and first wanted moment of each row, as fractions of its window, `[N]` each."""
    given, wanted = _firsts(rows, Instant, 1)
    return given[:, 0], wanted[:, 0]


def time_intervals(rows: Rows) -> tuple[Floats, Floats]:
    """First given and first wanted span of each row, as fractions of its window, `[N, 2]` each."""
    return _firsts(rows, Span, 2)


def all_boxes(parts: Iterable[Part]) -> Floats:
    """All boxes of an answer, `[P, 4]`."""
    return as_boxes(shapes(parts, Box))


def named_boxes(parts: Iterable[Part]) -> dict[str, list[Box]]:
    """The boxes of an answer by the normalised words before each: `maize [box]; winter wheat [box]`."""
    found: dict[str, list[Box]] = {}
    name = ""
    for part in parts:
        if isinstance(part, str):
            name = normalised(part) or name  # several boxes may follow one name
        elif isinstance(part, Box):
            found.setdefault(name, []).append(part)
    return found


def outlines(rows: Rows) -> tuple[list[list[Geometry]], list[list[Geometry]]]:
    """Given and wanted outlines of each row, as geometries in the unit square of its image."""
    given, wanted = (
        [[ShapelyPolygon(one.points) for one in shapes(parts, Polygon)] for parts in side]
        for side in _answers(rows)
    )
    return given, wanted


def outline_areas_ha(rows: Rows) -> tuple[Floats, Floats]:
    """Ground of the first given and first wanted outline of each row in hectares, `[N]` each."""
    given, wanted = (
        [_outline_ha(row, parts) for row, parts in zip(rows, side, strict=True)] for side in _answers(rows)
    )
    return floats(given), floats(wanted)


def ground_sizes(rows: Rows) -> Floats:
    """Width and height of each row's image in metres, `[N, 2]`; NaN without georeference."""
    return floats([row.ground_m or (np.nan, np.nan) for row in rows]).reshape(-1, 2)


def numbers(rows: Rows) -> tuple[Floats, Floats]:
    """Given and wanted number of each row, `[N]` each."""
    given, wanted = ([_number(parts) for parts in side] for side in _answers(rows))
    return floats(given), floats(wanted)


def names(rows: Rows) -> tuple[list[str | None], list[str]]:
    """Given and wanted name of each row; a name is what some row of the list wants.

    A sentence counts as the one wanted name that it mentions, see `find_name`.
    """
    wanted = [plain_text(row.answer) for row in rows]
    known = sorted(set(wanted))
    texts = [plain_text(row.prediction) for row in rows]
    return [_name(text, truth, known) for text, truth in zip(texts, wanted, strict=True)], wanted


def hcat_codes(rows: Rows) -> list[tuple[str, str | None]]:
    """Wanted HCAT code of each row, which its truth states, and that of the given name.

    What a name's code is follows from the rows that want it; a name that none wants has none.
    """
    given, wanted = names(rows)
    codes = {name: str(row.truth["hcat"]) for name, row in zip(wanted, rows, strict=True)}
    return [(str(row.truth["hcat"]), codes.get(str(name))) for name, row in zip(given, rows, strict=True)]


def cells(rows: Rows) -> tuple[list[list[str]], list[list[str]]]:
    """Given and wanted words of a grid, cell by cell (`maize, wheat; other, maize`), one list per row."""
    given, wanted = ([_cells(parts) for parts in side] for side in _answers(rows))
    return given, wanted


def window_days(rows: Rows) -> Floats:
    """Length of each row's calendar in days, `[N]`; NaN without one."""
    return floats([row.window.days if row.window else np.nan for row in rows])


def is_readable(row: Prediction) -> bool:
    """Does the answer hold at least one part of every kind that was asked for (box, moment, text...)?

    A whole map is put together from many answers; that it shows nothing is an answer, too.
    """
    if row.task in MAP_TASKS:
        return True
    given = {type(part) for part in row.prediction}
    if any(type(part) not in given for part in row.answer if not isinstance(part, str)):
        return False
    if any(not isinstance(part, str) for part in row.answer):
        return True
    wanted_number = find_number(plain_text(row.answer)) is not None
    text = plain_text(row.prediction)
    return find_number(text) is not None if wanted_number else bool(text)


def _firsts(rows: Rows, kind: type[Shape], width: int) -> tuple[Floats, Floats]:
    given, wanted = np.full((2, len(rows), width), np.nan)
    for index, row in enumerate(rows):
        for values, parts in ((given, row.prediction), (wanted, row.answer)):
            if found := shapes(parts, kind):
                values[index] = found[0]
    return given, wanted


def _answers(rows: Rows) -> tuple[list[tuple[Part, ...]], list[tuple[Part, ...]]]:
    return [row.prediction for row in rows], [row.answer for row in rows]


def _cells(parts: Iterable[Part]) -> list[str]:
    return [normalised(cell) for cell in plain_text(parts).replace(";", ",").split(",")]


def _outline_ha(row: Prediction, parts: Iterable[Part]) -> float:
    found = shapes(parts, Polygon)
    if not found or row.georeference is None:
        return np.nan
    return row.georeference.area_ha(shapely.make_valid(row.georeference.outline_to_map(found[0])))


def _number(parts: Iterable[Part]) -> float:
    found = find_number(plain_text(parts))
    return np.nan if found is None else found


def _name(text: str, truth: str, known: Sequence[str]) -> str | None:
    return truth if exact_match(text, truth) else find_name(text, known)

"""How systems write boxes in their text: found and replaced by shapes, and written again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from agrilape.geo.shapes import Box, Part, Point, Polygon
from agrilape.geo.timewindow import TimeWindow
from agrilape.io.numbers import NUMBER, to_float, without_wrappers
from agrilape.prepare.formats.coordinate_conventions import (
    PER_MILLE,
    PERCENT,
    UNIT,
    CoordinateScale,
    Size,
    pixels,
    turned,
    upright,
)
from agrilape.prepare.formats.model_notations import boxes_of_others

_N = rf"\s*{NUMBER}\s*"
_SEPARATORS = " \n\t,.;"  # all that stands between two boxes of a list, or after the last
_NUMBER = re.compile(NUMBER)


@dataclass(frozen=True)
class Notation:
    """The boxes of a system.

    Attributes:
        pattern: One box: left, top, right, bottom and, perhaps, degrees.
        begun: The beginning of anything that must be a box: if it is left over, the text is damaged.
        scale: What the numbers run to.
        form: How to write the four edges.
        oriented: How to write them with the degrees after them; None if a system has no angles.
        lists: Are points and outlines lists of numbers too?
        between: What may stand between two boxes of one object, and goes with them.
        pixels: Do the numbers run to the size of the image, whatever `scale` says?
        nearest: Is what it has no sign for written in the nearest form: a point as the smallest box around
            it, an outline as its bounding box?
    """

    pattern: re.Pattern[str]
    begun: re.Pattern[str]
    scale: CoordinateScale
    form: str
    oriented: str | None = None
    lists: bool = False
    between: str = ""
    pixels: bool = False
    nearest: bool = False

    def parse(self, text: str, size: Size) -> tuple[Part, ...]:
        """Text with its boxes as shapes.

        Raises:
            ValueError: A box is damaged or lies outside the image.
        """
        text = without_wrappers(text)
        parts: list[Part] = []
        end = 0
        for match in self.pattern.finditer(text):
            self._add(parts, text[end : match.start()])
            parts.append(self._shape([to_float(number) for number in _NUMBER.findall(match[0])], size))
            end = match.end()
        self._add(parts, text[end:])
        return tuple(parts)

    def _shape(self, numbers: list[float], size: Size) -> Part:
        if self.pixels:
            return pixels(size).box(*numbers)
        if self.lists and len(numbers) != 4:
            points = list(zip(numbers[::2], numbers[1::2], strict=True))
            return self.scale.point(*numbers) if len(points) == 1 else self.scale.outline(points)
        edges = numbers[:4]
        if self.scale.whole and max(edges) <= 1 and any(edge % 1 for edge in edges):
            raise ValueError(
                f"a box in fractions of the image, where the format counts to {self.scale.width:g}"
            )
        box = self.scale.box(*edges)
        degrees = numbers[4] if len(numbers) > 4 else 0.0
        return turned(box, degrees, size) if degrees else box

    def _add(self, parts: list[Part], text: str) -> None:
        if self.between:
            text = text.replace(self.between, "")
        if self.begun.search(text):
            raise ValueError("a box cannot be read")
        for part in boxes_of_others(text):
            if not isinstance(part, str) or part.strip(_SEPARATORS):
                parts.append(part)

    def write(self, parts: Iterable[Part], size: Size, window: TimeWindow | None = None) -> str:
        """Text with its shapes written out. Times become dates, for which published formats have no sign.

        Args:
            parts: The message.
            size: Of the image.
            window: Calendar of its times.

        Raises:
            ValueError: The notation has no way to say it.
        """
        return "".join(part if isinstance(part, str) else self._spell(part, size, window) for part in parts)

    def _spell(self, part: Part, size: Size, window: TimeWindow | None) -> str:
        match part:
            case Box():
                return self._edges(part, 0.0)
            case Polygon() if self.oriented:
                return self._edges(*upright(part, size))
            case Point() | Polygon() if self.lists:
                return f"[{', '.join(f'{number:.4f}' for number in self.scale.numbers(part))}]"
            case Point() if self.nearest:
                return self._edges(_cell(part), 0.0)
            case Polygon() if self.nearest:
                x, y = zip(*part.points, strict=True)
                return self._edges(Box(min(x), min(y), max(x), max(y)), 0.0)
            case Point() | Polygon():
                raise ValueError(f"the format has no sign for a {type(part).__name__.lower()}")
            case str():
                return part
        if window is None:
            raise ValueError("a time without a calendar")
        return " to ".join(str(window.date_at(moment)) for moment in part)

    def _edges(self, box: Box, degrees: float) -> str:
        numbers = self.scale.numbers(box)
        if numbers[0] >= numbers[2] or numbers[1] >= numbers[3]:
            raise ValueError("a box is narrower than the format can say")
        if self.oriented:
            return self.oriented.format(*numbers, round(degrees) % 180)
        return self.form.format(*numbers)


def _cell(point: Point) -> Box:
    """The box of a hundredth of the image, the smallest that whole numbers to 100 can say, around a point."""
    left, top = (min(int(100 * value), 99) / 100 for value in point)
    return Box(left, top, left + 0.01, top + 0.01)


GEOCHAT = Notation(
    re.compile(rf"\{{{''.join([f'<{_N}>'] * 4)}(?:\|\s*<{_N}>\s*)?\}}"), re.compile(r"\{\s*<"), PERCENT,
    "{{<{}><{}><{}><{}>}}", "{{<{}><{}><{}><{}>|<{}>}}", between="<delim>",
)  # fmt: skip
"""`{<left><top><right><bottom>|<degrees>}`, integers to 100 (GeoChat's demo and data)."""

VRSBENCH = Notation(GEOCHAT.pattern, GEOCHAT.begun, PERCENT, GEOCHAT.form)
"""`{<left><top><right><bottom>}`, integers to 100."""

EARTHDIAL = Notation(
    re.compile(rf"\[?\[{','.join([_N] * 5)}\]\]?"), re.compile(r"\[\s*-?\d+\s*,"), PERCENT,
    "[[{}, {}, {}, {}, 0]]", "[[{}, {}, {}, {}, {}]]",
)  # fmt: skip
"""`[[left, top, right, bottom, degrees]]`, integers to 100."""

TEOCHAT = Notation(
    re.compile(rf"\[{','.join([_N] * 4)}\]"), re.compile(r"\[\s*-?\d+\s*,"), PERCENT, "[{}, {}, {}, {}]"
)
"""`[left, top, right, bottom]`, integers to 100."""

_NEVER = re.compile(r"(?!)")
_UNIT = r"\+?(?:0*\.\d+(?:[eE][-+]?\d+)?|0+\.?|0*1(?:\.0*)?|\d(?:\.\d*)?[eE]-\d+)"
"""A number from 0 to 1, as programs print it; one of a list has a point or an exponent."""
_PAIR = rf"{_UNIT}\s*,\s*{_UNIT}\s*"
FRACTIONS = Notation(
    re.compile(rf"\[(?=[^\]]*[.eE])\s*{_PAIR}(?:,\s*{_PAIR})*\]"), _NEVER, UNIT,
    "[{:.4f}, {:.4f}, {:.4f}, {:.4f}]", lists=True,
)  # fmt: skip
"""`[left, top, right, bottom]`, fractions (LLaVA); lists of other even lengths are points and outlines."""

_FOUR = re.compile(rf"\[{','.join([_N] * 4)}\]")
STATED = {
    "fractions": FRACTIONS,
    "percent": Notation(_FOUR, _NEVER, PERCENT, "[{}, {}, {}, {}]"),
    "thousandths": Notation(_FOUR, _NEVER, PER_MILLE, "[{}, {}, {}, {}]"),
    "pixels": Notation(_FOUR, _NEVER, UNIT, "[{}, {}, {}, {}]", pixels=True),
}
"""`[left, top, right, bottom]` of a scale that the recipe states (`boxes` of a source)."""

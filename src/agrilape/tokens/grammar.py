"""Places and times in text: spelling and reading.

A shape is one pair of brackets around its coordinates; several shapes are several brackets:

```
shape  := "[" ( instant | span | point | box | polygon ) "]"
instant := T       span := T T       point := X Y       box := X Y X Y       polygon := X Y X Y X Y ...
```

With position tokens, X, Y and T are `<WIDTH-012>`, `<HEIGHT-034>` and `<TEMP-005>`. As numerals, the baseline
without new tokens, they are `x123`, `y456` and `t034`, thousandths (of 999) with a blank in between.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from agrilape.config.lape import Axis, LapeConfig
from agrilape.geo.shapes import Box, Instant, Part, Point, Polygon, Shape, Span
from agrilape.tokens.position_codec import TOKEN_NAMES, PositionCodec, nearest

Coordinates: TypeAlias = Literal["position_tokens", "text"]
NUMERAL_DIGITS = 3
_NUMERAL_CODEC = PositionCodec(LapeConfig(num_spatial_tokens=1000, num_temporal_tokens=1000))


class MessagePiece(NamedTuple):
    """A stretch of a message: plain text, or one coordinate.

    Attributes:
        text: As spelled; of a numeral, its digits alone.
        axis: Axis of a coordinate; None for plain text.
        position: Exact continuous index u of a coordinate; None for plain text.
    """

    text: str
    axis: Axis | None = None
    position: float | None = None


@dataclass(frozen=True)
class ParsedMessage:
    """A message that was read.

    Attributes:
        parts: Text and the well-formed shapes, in order.
        problems: What was malformed, in words; empty for a sound message.
        firsts: Of each well-formed shape, the number of its first coordinate among all of the text.
    """

    parts: tuple[Part, ...]
    problems: tuple[str, ...]
    firsts: tuple[int, ...] = ()

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The well-formed shapes alone."""
        return tuple(part for part in self.parts if not isinstance(part, str))


class _Notation:
    """One spelling of coordinates: how to write them, and patterns that find them again in linear time."""

    def __init__(self, names: dict[Axis, str], token: str, *, bare: bool) -> None:
        self.axes: dict[str, Axis] = {name: axis for axis, name in names.items()}
        self.names = names
        self.token = re.compile(token)
        uncaptured = token.replace("(?P<name>", "(?:").replace("(?P<index>", "(?:")
        self.bracket = re.compile(rf"\[\s*(?:{uncaptured}\s*)+(?P<close>\])?")
        self.bare = bare


# At most six digits: enough to recognise an index that is out of range, and int() stays cheap.
_NOTATIONS: dict[Coordinates, _Notation] = {
    "position_tokens": _Notation(
        TOKEN_NAMES, r"<(?P<name>WIDTH|HEIGHT|TEMP)-(?P<index>[0-9]{1,6})>", bare=True
    ),
    "text": _Notation(
        {"width": "x", "height": "y", "temporal": "t"}, r"(?P<name>[xyt])(?P<index>[0-9]{1,6})", bare=False
    ),
}


def coordinates_of(shape: Shape) -> tuple[tuple[Axis, float], ...]:
    """Axis and coordinate in [0, 1] of each position token of a shape, in the order of the grammar."""
    match shape:
        case Instant() | Span():
            return tuple(("temporal", t) for t in shape)
        case Point(x, y):
            return ("width", x), ("height", y)
        case Box(left, top, right, bottom):
            return ("width", left), ("height", top), ("width", right), ("height", bottom)
        case Polygon(points):
            return tuple(pair for x, y in points for pair in (("width", x), ("height", y)))


def spell(
    parts: Iterable[Part], codec: PositionCodec, coordinates: Coordinates = "position_tokens"
) -> Iterator[MessagePiece]:
    """Spell a message piece by piece, keeping the exact position behind each coordinate.

    Args:
        parts: Text and shapes.
        codec: Tokens per axis.
        coordinates: Notation of the coordinates.

    Yields:
        Pieces whose joined texts are the message.
    """
    for part in parts:
        if isinstance(part, str):
            yield from _spell_text(part, codec, coordinates)
        else:
            yield MessagePiece("[")
            for number, (axis, p) in enumerate(coordinates_of(part)):
                if coordinates == "text":
                    u = _NUMERAL_CODEC.position(axis, p)
                    yield MessagePiece((" " if number else "") + _NOTATIONS["text"].names[axis])
                    yield MessagePiece(f"{nearest(u):0{NUMERAL_DIGITS}d}", axis, u)
                else:
                    u = codec.position(axis, p)
                    yield MessagePiece(codec.tokens(axis)[nearest(u)], axis, u)
            yield MessagePiece("]")


def _spell_text(text: str, codec: PositionCodec, coordinates: Coordinates) -> Iterator[MessagePiece]:
    """Plain text, in which a literal position token is one all the same: the tokenizer will see it so."""
    end = 0
    if coordinates == "position_tokens" and "<" in text:
        notation = _NOTATIONS[coordinates]
        for match in notation.token.finditer(text):
            axis, index = notation.axes[match["name"]], int(match["index"])
            if index < codec.bins(axis) and codec.tokens(axis)[index] == match[0]:
                yield MessagePiece(text[end : match.start()])
                yield MessagePiece(match[0], axis, float(index))
                end = match.end()
    yield MessagePiece(text[end:])


def render(parts: Iterable[Part], codec: PositionCodec, coordinates: Coordinates = "position_tokens") -> str:
    """Spell a message as text; the inverse of `parse` up to the resolution of the tokens."""
    return "".join(piece.text for piece in spell(parts, codec, coordinates))


def parse(
    text: str,
    codec: PositionCodec,
    coordinates: Coordinates = "position_tokens",
    positions: Sequence[float] | None = None,
) -> ParsedMessage:
    """Read a message. Never raises on any text, and takes time linear in its length.

    Args:
        text: What a model wrote, or a person.
        codec: Tokens per axis.
        coordinates: Notation of the coordinates.
        positions: Continuous index of each position token in order of the text, from soft-argmax decoding,
            to use in place of the tokens' own whole indices.

    Returns:
        Text and well-formed shapes; brackets that are truncated, out of range, reversed or no shape of the
        grammar are skipped and reported.
    """
    notation = _NOTATIONS[coordinates]
    reader = _Reader(notation, codec if coordinates == "position_tokens" else _NUMERAL_CODEC, positions)
    end = 0
    for bracket in notation.bracket.finditer(text):
        reader.read_text(text[end : bracket.start()])
        reader.read_bracket(bracket[0], closed=bracket["close"] is not None)
        end = bracket.end()
    reader.read_text(_without_open_end(text[end:], reader.problems))
    return ParsedMessage(tuple(reader.parts), tuple(reader.problems), tuple(reader.firsts))


def _without_open_end(text: str, problems: list[str]) -> str:
    """Cut a bracket that was only just begun off the end of a message."""
    begun = text.rfind("[")
    if begun <= text.rfind("]"):  # also when there is neither
        return text
    problems.append(f"truncated bracket: {_shown(text[begun:])}")
    return text[:begun]


def _shown(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


class _Reader:
    """Collects the parts of one message and what is wrong with it."""

    def __init__(self, notation: _Notation, codec: PositionCodec, positions: Sequence[float] | None) -> None:
        self._notation = notation
        self._codec = codec
        self._positions = positions
        self._seen = 0  # coordinates so far, to find the next one in `positions`
        self.parts: list[Part] = []
        self.problems: list[str] = []
        self.firsts: list[int] = []

    def read_text(self, text: str) -> None:
        """Take plain text; position tokens have no business outside brackets."""
        if self._notation.bare:
            stray = self._notation.token.findall(text)
            if stray:
                self._seen += len(stray)
                self.problems.append(f"{len(stray)} position tokens outside brackets")
                text = self._notation.token.sub("", text)
        if text:
            self.parts.append(text)

    def read_bracket(self, text: str, *, closed: bool) -> None:
        """Take a bracket with one or more coordinates."""
        found = [
            (self._notation.axes[m["name"]], int(m["index"])) for m in self._notation.token.finditer(text)
        ]
        first, self._seen = self._seen, self._seen + len(found)
        if not closed:
            self.problems.append(f"truncated bracket: {_shown(text)}")
        elif any(index >= self._codec.bins(axis) for axis, index in found):
            self.problems.append(f"position out of range: {_shown(text)}")
        else:
            shape = _shape(found, [self._coordinate(axis, i, first + k) for k, (axis, i) in enumerate(found)])
            if isinstance(shape, str):
                self.problems.append(f"{shape}: {_shown(text)}")
            else:
                self.parts.append(shape)
                self.firsts.append(first)

    def _coordinate(self, axis: Axis, index: int, number: int) -> float:
        position = float(index) if self._positions is None else self._positions[number]
        return self._codec.coordinate(axis, position)


def _shape(found: list[tuple[Axis, int]], values: list[float]) -> Shape | str:
    """The shape of a bracket's coordinates, or in words why there is none.

    Order is judged by whole indices; finer positions that cross within one token are put in order.
    """
    axes = [axis for axis, _ in found]
    indices = [index for _, index in found]
    if axes == ["temporal"]:
        return Instant(values[0])
    if axes == ["temporal", "temporal"]:
        return "span ends before it starts" if indices[0] > indices[1] else Span(*sorted(values))
    if axes != ["width", "height"] * (len(axes) // 2):
        return "not a shape"
    if len(axes) == 2:
        return Point(*values)
    if len(axes) == 4:
        if indices[0] > indices[2] or indices[1] > indices[3]:
            return "box is reversed"
        (left, right), (top, bottom) = sorted(values[0::2]), sorted(values[1::2])
        return Box(left, top, right, bottom)
    return Polygon(tuple(Point(x, y) for x, y in zip(values[0::2], values[1::2], strict=True)))

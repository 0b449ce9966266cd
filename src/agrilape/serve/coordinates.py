"""Places as people write them in a question, and where they lie in an image."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Point

WGS84 = "OGC:CRS84"
MOST_DEGREES = 360.0

_LABELS = {
    "E": "e e. east easting ost östlich ostwert rechtswert o lon lon. long lng longitude länge längengrad x "
    "column col spalte",
    "W": "w w. west westlich westlicher",
    "N": "n n. north northing nord nördlich nördlicher hochwert nordwert lat lat. latitude breite "
    "breitengrad y row zeile",
    "S": "s s. south süd südlich südlicher",
}
_TAGS = {label: tag for tag, labels in _LABELS.items() for label in labels.split()}
_LABEL = "|".join(sorted(map(re.escape, _TAGS), key=len, reverse=True))
_BEFORE = rf"(?<![^\W\d_])(?P<before>{_LABEL})\s*[:=]?\s*"
_AFTER = rf"\s*(?P<after>{_LABEL})(?![\w])(?!\s*[:=])"
_EPSG = re.compile(
    r"[(\[]?\s*\b(?:in\s+)?(?:(?:crs|srid)\s*[:=]?\s*)?epsg\s*[:=]*\s*(?P<code>\d{4,6})\s*[)\]]?:?",
    re.IGNORECASE,
)
_UTM = re.compile(
    r"[(\[]?\s*\b(?:in\s+)?(?:wgs\s*84\s*/?\s*)?utm\s*(?:zone\s*)?(?P<zone>\d{1,2})\s*(?P<half>[NS])?\b"
    r"\s*[)\]]?:?",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[\s,;/|()\[\]]*(?:(?:and|und|by)\s+)?[\s,;/|()\[\]]*", re.IGNORECASE)
_THOUSANDS = re.compile(r"(?<![\d.,])(?:\d{1,2}[ ']\d{3}[ ']\d{3}|\d{3}[ ']\d{3})(?![\d'])(?! \d{3}\b)")
_SIGNS = str.maketrans("−–º′’‘″”“", "--°'''\"\"\"")


@dataclass(frozen=True)
class Place:
    """A place that a question names.

    Attributes:
        said: As it stands in the question.
        first: The number named first, degrees or units of a map; negative in the south and west.
        second: The other.
        ordered: Is the first surely the longitude or easting? None: nothing says so.
        crs: Coordinate system that the question names; None: degrees, or the image's own units.
    """

    said: str
    first: float
    second: float
    ordered: bool | None = None
    crs: str | None = None

    def pixel(self, image: Georeference, name: str) -> tuple[float, float]:
        """Where it lies in an image: column and row.

        What is written first is the longitude, or else the latitude if only so the place lies in the image.

        Raises:
            DataError: It does not lie in the image.
        """
        for crs in self._systems(image):
            for x, y in self._orders():
                point = _locate(x, y, crs, image)
                if 0 <= point.x <= 1 and 0 <= point.y <= 1:
                    return point.x * image.width, point.y * image.height
        raise DataError(f"{self.said} is not in {name}", f"the image covers {extent(image, self.crs)}")

    def in_picture(self, width: int, height: int, name: str) -> tuple[float, float]:
        """Where it lies in a picture without a place on the map: column and row from its top left corner.

        Raises:
            DataError: It does not lie in the picture.
        """
        column, row = (self.second, self.first) if self.ordered is False else (self.first, self.second)
        if self.crs is None and 0 <= column <= width and 0 <= row <= height:
            return column, row
        raise DataError(
            f"{self.said} is not in {name}",
            f"it has no place on the map: name column, row, from 0, 0 to {width}, {height}",
        )

    def _orders(self) -> Iterator[tuple[float, float]]:
        if self.ordered is not False:
            yield self.first, self.second
        if self.ordered is not True:
            yield self.second, self.first

    def _systems(self, image: Georeference) -> list[str]:
        if self.crs:
            return [self.crs]
        if max(abs(self.first), abs(self.second)) > MOST_DEGREES:
            return [image.crs]
        return [WGS84, image.crs]


def extent(image: Georeference, crs: str | None = None) -> str:
    """What an image covers, in degrees or in a coordinate system, in words."""
    left, bottom, right, top = _bounds(image, crs or WGS84)
    if crs:
        return f"{left:.0f} to {right:.0f}, {bottom:.0f} to {top:.0f} in {crs}"
    own = f"; {image.crs}" if image.crs.startswith("EPSG") else ""
    return f"longitude {left:.5f} to {right:.5f}, latitude {bottom:.5f} to {top:.5f}{own}"


def find_places(text: str) -> tuple[str, tuple[Place, ...]]:
    """Places in a question.

    Decimal degrees with points or commas (`9.26536 E, 56.33507 N`; `9,26536; 56,33507`; `9, 56`), degrees
    with minutes and seconds (`56°20'06.3"N 9°15'55.3"E`), easting and northing with `EPSG:25832` or
    `UTM 32N`, or without, in units of the image's own system; with or without words such as `lat`, `Länge`.

    Args:
        text: The question.

    Returns:
        The question with `⟦point⟧` for each place, and the places in order.
    """
    plain = text.translate(_SIGNS)
    crs, plain = _named_crs(plain)
    plain = _THOUSANDS.sub(lambda found: re.sub(r"[ ']", "", found[0]), plain)
    commas = bool(re.search(r"\d,\d", plain)) and not re.search(r"\d\.\d", plain)
    pairs: list[tuple[_Number, _Number]] = []
    for decimal in [",", "."] if commas else ["."]:
        pairs = _pairs(plain, decimal)
        if pairs:
            break
    places: list[Place] = []
    left, end = "", 0
    for first, second in pairs:
        left += plain[end : first.start] + " ⟦point⟧ "
        end = second.end
        said = " ".join(plain[first.start : second.end].split())
        places.append(Place(said, first.value, second.value, _order(first, second), crs))
    return left + plain[end:], tuple(places)


@dataclass(frozen=True)
class _Number:
    value: float
    tag: str | None
    exact: bool  # with decimals, a sign of degrees, or so large that it can be nothing else
    start: int
    end: int


def _named_crs(text: str) -> tuple[str | None, str]:
    """The coordinate system that a text names, and the text without it."""
    if found := _EPSG.search(text):
        return f"EPSG:{found['code']}", text[: found.start()] + " " + text[found.end() :]
    if found := _UTM.search(text):
        south = (found["half"] or "N").upper() == "S"
        zone = int(found["zone"])
        if 1 <= zone <= 60:
            crs = f"EPSG:{(32700 if south else 32600) + zone}"
            return crs, text[: found.start()] + " " + text[found.end() :]
    return None, text


def _pairs(text: str, decimal: str) -> list[tuple[_Number, _Number]]:
    """Numbers that stand in twos and may be a place."""
    numbers = list(_numbers(text, decimal))
    found: list[tuple[_Number, _Number]] = []
    position = 0
    while position + 1 < len(numbers):
        first, second = numbers[position : position + 2]
        gap = text[first.end : second.start]
        if _BETWEEN.fullmatch(gap) and _may_be_place(first, second, gap):
            found.append((first, second))
            position += 2
        else:
            position += 1
    return found


def _may_be_place(first: _Number, second: _Number, gap: str) -> bool:
    tags = {tag and ("lon" if tag in "EW" else "lat") for tag in (first.tag, second.tag)}
    if None not in tags:
        return len(tags) == 2
    if first.tag or second.tag:
        return first.exact or second.exact or any(mark in gap for mark in ",;/|")
    if first.exact and second.exact:
        return True
    return any(mark in gap for mark in ",;/|")


def _order(first: _Number, second: _Number) -> bool | None:
    """Is the first of two numbers the longitude?"""
    for number, is_first in ((first, True), (second, False)):
        if number.tag:
            return (number.tag in "EW") is is_first
    return None


def _numbers(text: str, decimal: str) -> Iterator[_Number]:
    real = rf"\d+(?:{re.escape(decimal)}\d+)?"
    degrees = (
        rf"(?P<sign>[-+])?(?P<d>{real})\s*"
        rf"(?:(?P<degree>°|deg(?:rees?)?\b|grad\b|d(?=\s*\d))\s*)?"
        rf"(?:(?<=[°dgesr\s])(?P<m>{real})\s*(?:'(?!')|min(?:utes?|uten)?\b\.?|m\b)\s*"
        rf"(?:(?P<s>{real})\s*(?:\"|''|sec(?:onds?)?\b\.?|sek(?:unden)?\b\.?|s\b)?)?)?"
    )
    bare = rf"(?P<sign>[-+])?(?P<d>\d{{1,3}})\s+(?P<m>\d{{1,2}})(?:\s+(?P<s>{real}))?(?P<degree>)"
    free = rf"(?<![\w.⟦])(?<!\d{re.escape(decimal)})"  # not within a word or another number
    forms = [
        rf"(?:{_BEFORE}|{free}){degrees}(?:{_AFTER})?",
        rf"{free}{bare}\s*(?P<before>)(?P<after>[NSEWO])\b",
    ]
    pattern, spaced = (re.compile(form, re.IGNORECASE) for form in forms)
    position = 0
    while True:
        found = min(
            (match for match in (spaced.search(text, position), pattern.search(text, position)) if match),
            key=lambda match: match.start(),
            default=None,
        )
        if found is None:
            return
        yield _number(found, decimal)
        position = found.end()


def _number(found: re.Match[str], decimal: str) -> _Number:
    parts = [float((found[name] or "0").replace(decimal, ".")) for name in ("d", "m", "s")]
    value = parts[0] + parts[1] / 60 + parts[2] / 3600
    label = (found["before"] or found["after"] or "").lower()
    tag = _TAGS.get(label)
    if found["sign"] == "-" or tag in ("S", "W"):
        value = -value
    exact = decimal in found["d"] or bool(found["degree"]) or bool(found["m"]) or value > MOST_DEGREES
    return _Number(value, tag, exact, found.start(), found.end())


def _locate(x: float, y: float, crs: str, image: Georeference) -> Point:
    """Where a place lies in an image, normalised; far outside where it cannot be on its map."""
    if crs == image.crs:
        return image.to_normalised(x, y)
    point = image.to_normalised(*_transformed(x, y, crs, image.crs))
    return point if all(map(math.isfinite, point)) else Point(-1.0, -1.0)


def _transformed(x: float, y: float, crs: str, to: str) -> tuple[float, float]:
    from pyproj import Transformer
    from pyproj.exceptions import CRSError, ProjError

    try:
        moved = Transformer.from_crs(crs, to, always_xy=True).transform(x, y)
    except CRSError as error:
        raise DataError(f"the question names {crs}, which is not known", "write an EPSG code") from error
    except ProjError:
        return math.inf, math.inf
    return float(moved[0]), float(moved[1])


def _bounds(image: Georeference, crs: str) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of an image in a coordinate system, by its corners and edges."""
    steps = [0.0, 0.25, 0.5, 0.75, 1.0]
    edge: Sequence[Point] = [Point(a, b) for a in steps for b in steps if {a, b} & {0.0, 1.0}]
    xs, ys = zip(*(_transformed(*image.to_map(point), image.crs, crs) for point in edge), strict=True)
    return min(xs), min(ys), max(xs), max(ys)

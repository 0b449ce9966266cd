"""Chips and samples as JSON and back: what the store, the predictions file and the report read.

A text part is a JSON string; a shape is an object with its kind as the only key:
`{"point": [x, y]}`, `{"box": [left, top, right, bottom]}`, `{"polygon": [[x, y], ...]}`, `{"instant": t}`,
`{"span": [start, end]}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from affine import Affine

from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Box, Instant, Part, Point, Polygon, Span
from agrilape.geo.timewindow import TimeWindow


def part_to_json(part: Part) -> Any:
    """A part as a JSON value."""
    match part:
        case str():
            return part
        case Box():
            return {"box": list(part)}
        case Point():
            return {"point": list(part)}
        case Polygon():
            return {"polygon": [list(point) for point in part.points]}
        case Instant():
            return {"instant": part.t}
        case Span():
            return {"span": list(part)}


def part_from_json(value: Any) -> Part:
    """The part that a JSON value stands for.

    Raises:
        DataError: The value is not one that `part_to_json` writes.
    """
    try:
        match value:
            case str():
                return value
            case {"box": [left, top, right, bottom], **rest} if not rest:
                return Box(float(left), float(top), float(right), float(bottom))
            case {"point": [x, y], **rest} if not rest:
                return Point(float(x), float(y))
            case {"polygon": list(points), **rest} if not rest:
                return Polygon(tuple(Point(float(x), float(y)) for x, y in points))
            case {"instant": t, **rest} if not rest:
                return Instant(float(t))
            case {"span": [start, end], **rest} if not rest:
                return Span(float(start), float(end))
    except (TypeError, ValueError):
        pass
    raise DataError(
        f"{json.dumps(value)[:80]} is neither a text nor a place nor a time",
        'write texts as strings and shapes as {"box": [left, top, right, bottom]} and the like',
    )


def parts_to_json(parts: Iterable[Part]) -> list[Any]:
    """Parts as a JSON list."""
    return [part_to_json(part) for part in parts]


def parts_from_json(values: Iterable[Any]) -> tuple[Part, ...]:
    """The parts that a JSON list stands for."""
    return tuple(part_from_json(value) for value in values)


def georeference_to_json(georeference: Georeference | None) -> dict[str, Any] | None:
    """A georeference as a JSON object; the transform as GDAL's six numbers would be in affine's order."""
    if georeference is None:
        return None
    return {
        "crs": georeference.crs,
        "transform": list(georeference.transform)[:6],
        "width": georeference.width,
        "height": georeference.height,
    }


def georeference_from_json(value: Mapping[str, Any] | None) -> Georeference | None:
    """The georeference that a JSON object stands for."""
    if value is None:
        return None
    return Georeference(value["crs"], Affine(*value["transform"]), value["width"], value["height"])


def window_to_json(window: TimeWindow | None) -> dict[str, str] | None:
    """A time window as a JSON object of ISO dates."""
    return {"start": window.start.isoformat(), "end": window.end.isoformat()} if window else None


def window_from_json(value: Mapping[str, str] | None) -> TimeWindow | None:
    """The time window that a JSON object stands for."""
    if value is None:
        return None
    return TimeWindow(date.fromisoformat(value["start"]), date.fromisoformat(value["end"]))

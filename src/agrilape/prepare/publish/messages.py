"""Chips as rows of conversations, in the form that trainers of vision-language models read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agrilape.dataset.types import Chip, Example
from agrilape.files import whole_file
from agrilape.geo.shapes import Box, Instant, Part, Point, Polygon, Span

DIGITS = 3  # of a coordinate, a fraction of the image
IMAGE_TAG = "<image>"
ROWS_PER_GROUP = 32

_TEXT: dict[str, Any] = {"dtype": "string", "_type": "Value"}
_NUMBER: dict[str, Any] = {"dtype": "float64", "_type": "Value"}
_FEATURES = {
    "id": _TEXT,
    "images": [{"_type": "Image"}],
    "messages": [{"role": _TEXT, "content": _TEXT}],
    "conversations": [{"from": _TEXT, "value": _TEXT}],
    "tasks": [_TEXT],
    "acquired": [_TEXT],
    "scene": _TEXT,
    "source": _TEXT,
    "longitude": _NUMBER,
    "latitude": _NUMBER,
    "crs": _TEXT,
}
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("conversations", pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))),
        ("tasks", pa.list_(pa.string())),
        ("acquired", pa.list_(pa.string())),
        ("scene", pa.string()),
        ("source", pa.string()),
        ("longitude", pa.float64()),
        ("latitude", pa.float64()),
        ("crs", pa.string()),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)
"""Columns of a published file; `messages` are turns of `user` and `assistant`, the first with `images`."""


def write_conversations(path: Path, examples: Iterable[Example]) -> int:
    """Write one row per chip: its images, and all its questions and answers as turns of one conversation.

    Args:
        path: A Parquet file, written whole or not at all.
        examples: The chips; taken in small batches.

    Returns:
        Number of rows.

    Raises:
        DiskError: There is no room for it.
    """
    rows = 0
    with whole_file(path) as draft, pq.ParquetWriter(draft, SCHEMA, compression="zstd") as writer:
        for group in _groups(examples):
            writer.write_table(pa.Table.from_pylist([row_of(one) for one in group], schema=SCHEMA))
            rows += len(group)
    return rows


def _groups(examples: Iterable[Example]) -> Iterator[list[Example]]:
    group: list[Example] = []
    for example in examples:
        group.append(example)
        if len(group) == ROWS_PER_GROUP:
            yield group
            group = []
    if group:
        yield group


def row_of(example: Example) -> dict[str, Any]:
    """A chip as a row of `SCHEMA`."""
    chip = example.chip
    turns = [(in_words(sample.question, chip), in_words(sample.answer, chip)) for sample in example.samples]
    days = [None if one.acquired is None else one.acquired.isoformat() for one in chip.pictures]
    if turns and all(days) and len(days) > 1:
        turns[0] = (f"The images are of {', '.join(map(str, days))}. {turns[0][0]}", turns[0][1])
    said = [turn for pair in turns for turn in pair]
    tags = f"{IMAGE_TAG * len(chip.pictures)}\n"
    ground = chip.georeference
    longitude, latitude = ground.centre_wgs84() if ground else (None, None)
    return {
        "id": chip.id,
        "images": [{"bytes": one.data, "path": None} for one in chip.pictures],
        "messages": [
            {"role": "assistant" if number % 2 else "user", "content": text}
            for number, text in enumerate(said)
        ],
        "conversations": [
            {"from": "gpt" if number % 2 else "human", "value": text if number else tags + text}
            for number, text in enumerate(said)
        ],
        "tasks": [sample.task for sample in example.samples],
        "acquired": days,
        "scene": chip.scene,
        "source": chip.source,
        "longitude": longitude,
        "latitude": latitude,
        "crs": ground.crs if ground else None,
    }


def in_words(parts: Sequence[Part], chip: Chip) -> str:
    """A message as plain text: coordinates as fractions of the image, dates in ISO 8601.

    A point is `[x, y]`, a box `[left, top, right, bottom]`, an outline `[[x, y], ...]`; x runs to the right
    and y down. A date interval is `first to last`.
    """
    return "".join(part if isinstance(part, str) else _shape(part, chip) for part in parts).strip()


def _shape(part: Point | Box | Polygon | Instant | Span, chip: Chip) -> str:
    match part:
        case Polygon():
            return f"[{', '.join(_numbers(point) for point in part.points)}]"
        case Instant() | Span():
            if chip.window is None:
                return " to ".join(f"{t:.{DIGITS}f}" for t in part)
            return " to ".join(chip.window.date_at(t).isoformat() for t in part)
        case _:
            return _numbers(part)


def _numbers(values: Iterable[float]) -> str:
    return f"[{', '.join(f'{value:.{DIGITS}f}' for value in values)}]"

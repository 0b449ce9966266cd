"""EarthDial: shards of the `datasets` library, with the pictures inside.

Source: huggingface.co/datasets/akshaydudhane/EarthDial-Dataset. Arrow files with the columns `jpg` (several
dates of one place: `jpg_A` to `jpg_D`, without dates) and either `conversations` (LLaVA's turns, a list or
its JSON text) or `question` with `groundtruth` (captions: `groundtruth0` to `groundtruth4`), `ttype` and
`size_group`. Questions begin with tags of task and sensor, `[refer] [hr_rgb_0.5] <image>`; boxes are
`[[left, top, right, bottom, degrees]]`, integers 0-100. Rows of multispectral arrays (`tif_ms`) are skipped.
The publishers say that there are no predefined splits, though some folders are named after those of the data
that they come from (`AID/test`, `FMoW_RGB_Valid`); others are not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from agrilape.dataset.types import Example
from agrilape.errors import DataError
from agrilape.io.json_text import parse_json
from agrilape.prepare.formats.box_text import EARTHDIAL
from agrilape.prepare.formats.conversations import plain, stated_task, turns
from agrilape.prepare.formats.coordinate_conventions import Size
from agrilape.prepare.formats.example_rows import (
    RowQuestion,
    alike,
    answered,
    dated_chip,
    sized,
    with_questions,
)
from agrilape.sources.formats.release_files import Row, SkippedRows, published

BATCH = 64  # rows in memory
_SENSOR = r"(?:\s*\[([A-Za-z0-9_.]+)\])?\s*(?:\\n)?\s*"  # some shards hold a new line as two characters
_TAGS = re.compile(rf"(?:\s*\[([A-Za-z_]+)\])?{_SENSOR}")
_TASKS = {"ref": "refer", "grounding": "grounding", "identify": "identify"}


def read(folder: Path, omissions: SkippedRows) -> Iterator[Example]:
    """Examples of all shards below a folder, one per row; rows of one picture share its scene."""
    for path in published(folder, "**/*.arrow"):
        try:
            for number, value in enumerate(_values(path), start=1):
                try:
                    if example := _example(Row(path, number, value), omissions):
                        yield example
                except Exception as error:
                    omissions.add(path, error, number)
        except DataError as error:
            omissions.add(path, error)


def _values(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a shard, a few at a time.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
            for batch in stream:
                for start in range(0, batch.num_rows, BATCH):
                    yield from batch.slice(start, BATCH).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not a readable Arrow file", "download it again") from error


def _example(row: Row, omissions: SkippedRows) -> Example | None:
    names = sorted(key for key in row.value if re.fullmatch("jpg(_[A-Z])?", key))
    held = [picture for key in names if (picture := row.value[key])]
    if not held:
        raise ValueError("the row has no picture in colour (jpg)")
    pictures, size = alike([sized(one["bytes"] if isinstance(one, dict) else one) for one in held])
    name = f"earthdial/{row.path.parent.name}/{row.path.stem}/{row.number}"
    chip = dated_chip(name, hashlib.sha256(pictures[0]).hexdigest()[:16], "earthdial", pictures)
    return with_questions(chip, answered([row], size, _ask, omissions))


def _ask(value: Mapping[str, Any], size: Size) -> Iterator[RowQuestion]:
    if value.get("conversations") is not None:
        told = value["conversations"]
        for asked in turns(parse_json(told) if isinstance(told, str) else told, EARTHDIAL, size):
            yield _without_sensor(asked)
        return
    task, sensor, question = _untagged(_unquoted(value["question"]))
    truth = {key: _unquoted(value[key]) for key in ("ttype", "size_group") if value.get(key)}
    task = _TASKS.get(truth.get("ttype", ""), task or stated_task(question))
    answers = [_unquoted(value[key]) for key in sorted(value) if key.startswith("groundtruth") and value[key]]
    if not answers:
        raise ValueError("the row has no answer")
    if sensor:
        truth["sensor"] = sensor
    for answer in answers:
        yield RowQuestion(task, EARTHDIAL.parse(question, size), EARTHDIAL.parse(plain(answer), size), truth)


def _without_sensor(asked: RowQuestion) -> RowQuestion:
    """A turn without the tag of its sensor, which is a fact.

    Raises:
        ValueError: Nothing is left of the question.
    """
    first = asked.question[0]
    match = re.match(_SENSOR, first) if isinstance(first, str) else None
    if match is None or not match[0]:
        return asked
    left = match.string[match.end() :]
    question = ((left,) if left else ()) + asked.question[1:]
    if not question:
        raise ValueError("a turn is empty")
    return replace(asked, question=question, truth={"sensor": match[1]} if match[1] else {})


def _untagged(text: str) -> tuple[str | None, str | None, str]:
    """Task, sensor and the question after them."""
    text = plain(text)
    match = _TAGS.match(text)
    assert match is not None  # it may match nothing
    return match[1] and match[1].lower(), match[2], text[match.end() :]


def _unquoted(text: str) -> str:
    return str(text).strip().strip('"')

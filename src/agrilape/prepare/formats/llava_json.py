"""Write examples as LLaVA-like JSON: a list of rows beside a folder of pictures."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agrilape.dataset.types import Example, Sample
from agrilape.files import whole_file
from agrilape.geo.shapes import Box, Point, Polygon
from agrilape.io.pictures import encoded
from agrilape.prepare.formats.box_text import Notation
from agrilape.prepare.formats.conversations import IMAGE
from agrilape.prepare.formats.coordinate_conventions import Size
from agrilape.sources.formats.release_files import SkippedRows

JPEG = b"\xff\xd8\xff"
Tag = Callable[[Sample], str]


def write_conversations(
    examples: Iterable[Example],
    path: Path,
    pictures: str,
    notation: Notation,
    omissions: SkippedRows,
    tag: Tag = lambda sample: "",
    series: bool = False,
) -> int:
    """Write one row per example: its pictures and a conversation of all its questions.

    The file of rows is written whole or not at all, after the pictures.

    Args:
        examples: What to write; taken one by one.
        path: The JSON file.
        pictures: Folder of the pictures, relative to that of the file.
        notation: How boxes are written.
        omissions: Told of samples that the format cannot say.
        tag: What stands before a question.
        series: May a row have several pictures?

    Returns:
        Number of rows.

    Raises:
        DiskError: There is no room for them.
    """
    used: Counter[str] = Counter()
    rows = 0
    with whole_file(path) as draft:
        (path.parent / pictures).mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8") as file:
            file.write("[")
            for example in examples:
                conversation = _conversation(example, notation, path, omissions, tag, series)
                if conversation:
                    names = write_pictures(example, path.parent / pictures, used)
                    row = _row(example, names, conversation)
                    file.write(("," if rows else "") + "\n" + json.dumps(row, ensure_ascii=False))
                    rows += 1
            file.write("\n]\n")
    return rows


def _conversation(
    example: Example, notation: Notation, path: Path, omissions: SkippedRows, tag: Tag, series: bool
) -> list[Mapping[str, str]]:
    chip = example.chip
    if len(chip.pictures) > 1 and not series:
        for sample in example.samples:
            omissions.add(path, f"{sample.task}: the format has one picture to a question", sample.id)
        return []
    size = Size(*encoded(chip.pictures[0].data)[1])
    turns: list[Mapping[str, str]] = []
    for sample in example.samples:
        try:
            question, answer = (
                notation.write(parts, size, chip.window) for parts in (sample.question, sample.answer)
            )
        except ValueError as error:
            omissions.add(path, f"{sample.task}: {error}", sample.id)
            continue
        marks = "" if turns else IMAGE * len(chip.pictures) + "\n"
        turns.append({"from": "human", "value": f"{marks}{tag(sample)}{question}"})
        turns.append({"from": "gpt", "value": answer})
    return turns


def _row(example: Example, names: Sequence[str], conversation: list[Mapping[str, str]]) -> dict[str, Any]:
    image = names[0] if len(names) == 1 else list(names)
    row: dict[str, Any] = {"id": example.chip.id, "image": image, "conversations": conversation}
    if dates := [str(picture.acquired) for picture in example.chip.pictures if picture.acquired]:
        row["dates"] = dates
    return row


def write_pictures(example: Example, folder: Path, used: Counter[str]) -> list[str]:
    """Write a chip's pictures under names made from its id, which may hold anything.

    Args:
        example: The chip.
        folder: Where to, a folder that exists.
        used: Names that were used before, with how often.

    Returns:
        Names of the files.
    """
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", example.chip.id).strip("_") or "chip"
    used[stem.lower()] += 1
    if used[stem.lower()] > 1:
        stem = f"{stem}~{used[stem.lower()]}"
    names = []
    for number, picture in enumerate(example.chip.pictures):
        data = encoded(picture.data)[0]
        ending = "jpg" if data.startswith(JPEG) else "png"
        name = f"{stem}.{ending}" if len(example.chip.pictures) == 1 else f"{stem}_{number}.{ending}"
        (folder / name).write_bytes(data)
        names.append(name)
    return names


def place_tag(sample: Sample) -> str:
    """GeoChat's tag for a sample: by where its shapes stand."""
    shapes = (Box, Polygon, Point)
    if any(isinstance(part, shapes) for part in sample.question):
        return "[identify] "
    if any(isinstance(part, shapes) for part in sample.answer):
        texts = any(isinstance(part, str) and part.strip(" ,.") for part in sample.answer)
        return "[grounding] " if texts else "[refer] "
    return ""

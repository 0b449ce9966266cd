"""AgroMind: a benchmark of agricultural questions (github.com/rssysu/AgroMind).

JSON files with rows of `question`, `answer` and `type_id`, which says what they are:

- 1, 6, 9: `options` of text, one (9: several) of which is right;
- 2, 3, 7, 10: a number, yes or no, a phrase in a given form, free text;
- 4, 5: `options` are pictures, one (5: several) of which is right;
- 8: a number, about `image1` and `image2`;
- 11: a box, `[left, top, right, bottom]` in fractions.

Some questions give a point in pixels of the image at a stated size; it becomes a shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agrilape.dataset.types import Example
from agrilape.geo.shapes import Part
from agrilape.prepare.formats.coordinate_conventions import UNIT, Size, pixels
from agrilape.prepare.formats.example_rows import RowImages, RowQuestion, picture_examples
from agrilape.sources.formats.release_files import PictureFolder, SkippedRows, published, read_rows

TASKS = {
    1: "choice", 2: "count", 3: "yes_no", 4: "picture_choice", 5: "picture_choices", 6: "choice", 7: "phrase",
    8: "count", 9: "choices", 10: "open", 11: "box",
}  # fmt: skip
PICTURE_OPTIONS = {4, 5}
_POINT = re.compile(
    r"Knowing that the image has (\d+) ?x ?(\d+) pixels, (.*)coordinates \((\d+), ?(\d+)\)(.*)", re.DOTALL
)


def read(folder: Path, omissions: SkippedRows, images: Path | None = None) -> Iterator[Example]:
    """Examples of all question files below a folder, the pictures anywhere below it."""
    files = published(folder, "*.json", "QA*/**/*.json")
    rows = (row for path in files for row in read_rows(path, omissions))
    yield from picture_examples("agromind", rows, PictureFolder(images or folder), omissions, _shown, _ask)


def _shown(row: Mapping[str, Any]) -> RowImages:
    if row["type_id"] in PICTURE_OPTIONS:
        return RowImages(tuple(row["options"].values()))
    if "image1" in row:
        return RowImages((row["image1"], row["image2"]))
    return RowImages((row["image_path"],))


def _ask(row: Mapping[str, Any], size: Size) -> Iterator[RowQuestion]:
    task = TASKS.get(row["type_id"])
    if task is None:
        raise ValueError("the kind of question is unknown")
    question = _question(str(row.get("question") or row["questions"]))
    answer = row["answer"]
    truth: dict[str, Any] = {}
    if options := row.get("options"):
        truth["options"] = dict(options)
        pictured = row["type_id"] in PICTURE_OPTIONS
        said = (
            ", ".join(options) if pictured else "\n".join(f"{key}: {text}" for key, text in options.items())
        )
        question = (*question, f"\nThe pictures in order: {said}" if pictured else f"\n{said}")
    levels = [row.get(f"level{n}_id") for n in (1, 2, 3)]
    origin = {"item": row.get("item_id"), "levels": levels}
    yield RowQuestion(task, question, _answer(task, answer), truth, origin)


def _question(text: str) -> tuple[Part, ...]:
    match = _POINT.fullmatch(text.strip())
    if match is None:
        return (text.strip(),)
    width, height, before, x, y, after = match.groups()
    point = pixels(Size(int(width), int(height))).point(float(x), float(y))
    return (before[:1].upper() + before[1:], point, *([after] if after else []))


def _answer(task: str, answer: Any) -> tuple[Part, ...]:
    if task == "box":
        return (UNIT.box(*answer),)
    text = ", ".join(map(str, answer)) if isinstance(answer, list) else str(answer)
    if not text.strip():
        raise ValueError("the answer is empty")
    return (text.strip(),)

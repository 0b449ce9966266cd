"""GeoChat-Bench: one JSON-lines file per task (huggingface.co/datasets/MBZUAI/GeoChat-Bench).

- `referring.jsonl`: `image_id` (without suffix), `question` (a phrase), `type` (`ref`, `grounding`),
  `ground_truth` (outlines of four corners in pixels), `size_group`, `dataset`;
- `region_captioning.jsonl`: `image_id`, `question` (a box in GeoChat's notation), `ground_truth` (text);
- `aid.jsonl`, `UCmerced.jsonl`: `image`, `text` (the question), `ground_truth` (a class);
- `lrben.jsonl`, `hrben.jsonl`: `image`, `text`, `category`; their answers are RSVQA's and are not in the
  release, so they are left out: read RSVQA itself;
- `grounding_description.jsonl`: `image_id`, `description`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agrilape.geo.shapes import Part
from agrilape.samples.formats.common import Asked, Shown, picture_examples
from agrilape.samples.formats.conventions import Size, pixels
from agrilape.samples.formats.conversations import told_task, untagged
from agrilape.samples.formats.notation import GEOCHAT
from agrilape.samples.types import Example
from agrilape.sources.formats.common import Omissions, PictureFolder, published, read_rows

FAR = 1.0  # images from the centre, beyond which no annotator cuts through an object


def read(folder: Path, omissions: Omissions, images: Path | None = None) -> Iterator[Example]:
    """Examples of all tasks; the pictures, which other releases hold, lie anywhere below the folder."""
    rows = (row for path in published(folder, "*.jsonl") for row in read_rows(path, omissions))
    yield from picture_examples(
        "geochat_bench", rows, PictureFolder(images or folder), omissions, _shown, _ask
    )


def _shown(row: Mapping[str, Any]) -> Shown:
    return Shown((str(row["image_id"] if "image_id" in row else row["image"]),))


def _ask(row: Mapping[str, Any], size: Size) -> Iterator[Asked]:
    origin = {key: row[key] for key in ("question_id", "dataset", "type") if key in row}
    truth = {key: row[key] for key in ("size_group", "category") if key in row}
    if "description" in row:
        answer: tuple[Part, ...] = (str(row["description"]),)
        yield Asked("grounding", ("Describe the image.",), answer, truth, origin)
        return
    if "ground_truth" not in row:
        raise ValueError("the answer is not in this release")
    found = row["ground_truth"]
    if isinstance(found, list):
        yield Asked("refer", (f"Where is {row['question']}?",), _outlines(found, size), truth, origin)
        return
    text = row["question"] if "question" in row else row["text"]
    tag, question = untagged(text)
    parts = GEOCHAT.parse(question, size)
    if any(not isinstance(part, str) for part in parts):
        yield Asked("identify", ("What is at ", *parts, "?"), (str(found),), truth, origin)
    else:
        yield Asked(tag or told_task(question), parts, (str(found),), truth, origin)


def _outlines(found: list[Any], size: Size) -> tuple[Part, ...]:
    """Outlines in pixels; four corners are given nested or as eight numbers."""
    outlines: list[Part] = []
    for corners in found:
        numbers = [float(n) for corner in corners for n in (corner if isinstance(corner, list) else [corner])]
        if len(numbers) != 8:
            raise ValueError("an outline does not have four corners")
        beyond = max(abs(number / side - 0.5) for number, side in zip(numbers, [*size] * 4, strict=True))
        if beyond > FAR:
            raise ValueError("an outline lies far outside the image: it is not in its pixels")
        outlines.append(pixels(size).outline(zip(numbers[::2], numbers[1::2], strict=True)))
    if not outlines:
        raise ValueError("no object is given")
    return tuple(outlines)

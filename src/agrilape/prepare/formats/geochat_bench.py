"""GeoChat-Bench: one JSON-lines file per task (huggingface.co/datasets/MBZUAI/GeoChat-Bench).

- `referring.jsonl`: `image_id` (without suffix), `question` (a phrase), `type` (`ref`, `grounding`),
  `ground_truth` (outlines of four corners in pixels), `size_group`, `dataset`;
- `region_captioning.jsonl`: `image_id`, `question` (a box in GeoChat's notation), `ground_truth` (text);
- `aid.jsonl`, `UCmerced.jsonl`: `image`, `text` (the question), `ground_truth` (a class);
- `lrben.jsonl`, `hrben.jsonl`: `image`, `text`, `category`; their answers are RSVQA's and are not in the
  release, so they are skipped: read RSVQA itself;
- `grounding_description.jsonl`: `image_id`, `description`.

Written are `referring.jsonl`, `region_captioning.jsonl` and, for all that is asked and answered in words, a
`questions.jsonl` with the fields of `aid.jsonl`.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from agrilape.dataset.types import Example, Sample
from agrilape.files import write_text
from agrilape.geo.shapes import Box, Part, Point, Polygon
from agrilape.geo.timewindow import TimeWindow
from agrilape.io.pictures import encoded
from agrilape.prepare.formats.box_text import GEOCHAT
from agrilape.prepare.formats.conversations import stated_task, untagged
from agrilape.prepare.formats.coordinate_conventions import Size, pixels
from agrilape.prepare.formats.example_rows import RowImages, RowQuestion, picture_examples
from agrilape.prepare.formats.llava_json import write_pictures
from agrilape.sources.formats.release_files import PictureFolder, SkippedRows, published, read_rows

REFERRING, REGIONS, QUESTIONS = "referring.jsonl", "region_captioning.jsonl", "questions.jsonl"
PICTURES = "images"
_WHERE = re.compile(r"^where (?:is|are) (.*?)\??$", re.IGNORECASE)
FAR = 1.0  # images from the centre, beyond which no annotator cuts through an object


def read(folder: Path, omissions: SkippedRows, images: Path | None = None) -> Iterator[Example]:
    """Examples of all tasks; the pictures, which other releases hold, lie anywhere below the folder."""
    rows = (row for path in published(folder, "*.jsonl") for row in read_rows(path, omissions))
    yield from picture_examples(
        "geochat_bench", rows, PictureFolder(images or folder), omissions, _shown, _ask
    )


def _shown(row: Mapping[str, Any]) -> RowImages:
    return RowImages((str(row["image_id"] if "image_id" in row else row["image"]),))


def _ask(row: Mapping[str, Any], size: Size) -> Iterator[RowQuestion]:
    origin = {key: row[key] for key in ("question_id", "dataset", "type") if key in row}
    truth = {key: row[key] for key in ("size_group", "category") if key in row}
    if "description" in row:
        answer: tuple[Part, ...] = (str(row["description"]),)
        yield RowQuestion("grounding", ("Describe the image.",), answer, truth, origin)
        return
    if "ground_truth" not in row:
        raise ValueError("the answer is not in this release")
    found = row["ground_truth"]
    if isinstance(found, list):
        yield RowQuestion("refer", (f"Where is {row['question']}?",), _outlines(found, size), truth, origin)
        return
    text = row["question"] if "question" in row else row["text"]
    tag, question = untagged(text)
    parts = GEOCHAT.parse(question, size)
    if all(not isinstance(part, str) for part in parts):
        yield RowQuestion("identify", ("What is at ", *parts, "?"), (str(found),), truth, origin)
    else:
        yield RowQuestion(tag or stated_task(question), parts, (str(found),), truth, origin)


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


def write(examples: Iterable[Example], folder: Path, omissions: SkippedRows) -> int:
    """Write a file of rows for each kind of question, and the pictures; the number of pictures.

    Boxes among words go into the question as GeoChat writes them. A question is skipped, and counted, if its
    answer is neither words alone nor boxes and outlines of four corners alone.
    """
    used: Counter[str] = Counter()
    rows: dict[str, list[str]] = defaultdict(list)
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    for example in examples:
        if len(example.chip.pictures) > 1:
            for sample in example.samples:
                omissions.add(folder, f"{sample.task}: the format has one picture to a question", sample.id)
        elif said := list(_rows(example, folder, omissions)):
            (name,) = write_pictures(example, folder / PICTURES, used)
            for file, row in said:
                image = {"image": name} if file == QUESTIONS else {"image_id": Path(name).stem}
                rows[file].append(json.dumps(image | row, ensure_ascii=False))
    for file, lines in rows.items():
        write_text(folder / file, "\n".join(lines) + "\n")
    return used.total()


def _rows(example: Example, folder: Path, omissions: SkippedRows) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of an example's questions, each with the file that it belongs to."""
    size = Size(*encoded(example.chip.pictures[0].data)[1])
    for sample in example.samples:
        try:
            file, row = _row(sample, size, example.chip.window)
        except ValueError as error:
            omissions.add(folder, error, sample.id)
        else:
            yield file, {"question_id": sample.id} | row


def _row(sample: Sample, size: Size, window: TimeWindow | None) -> tuple[str, dict[str, Any]]:
    question = GEOCHAT.write(sample.question, size, window)
    if not any(isinstance(part, Point | Box | Polygon) for part in sample.answer):
        found = GEOCHAT.write(sample.answer, size, window)
        match sample.question:
            case ("What is at ", Box() | Polygon() as place, "?"):
                return REGIONS, {"question": GEOCHAT.write((place,), size), "ground_truth": found}
            case _:
                return QUESTIONS, {"text": question, "ground_truth": found}
    if any(isinstance(part, Box | Polygon) for part in sample.question):
        raise ValueError("the format refers to objects in words alone")
    group = sample.truth.get("size_group", sample.truth.get("size"))
    return REFERRING, {
        "question": _WHERE.sub(r"\1", question),
        "type": "ref" if len(sample.answer) == 1 else "grounding",
        "ground_truth": [_corners(part, size) for part in sample.answer],
    } | ({} if group is None else {"size_group": group})


def _corners(part: Part, size: Size) -> list[list[float]]:
    """Four corners in pixels."""
    match part:
        case Box(left, top, right, bottom):
            corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        case Polygon(points) if len(points) == 4:
            corners = [(point.x, point.y) for point in points]
        case _:
            raise ValueError("the format has outlines of four corners alone")
    return [[round(x * size.width, 3), round(y * size.height, 3)] for x, y in corners]

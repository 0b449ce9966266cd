"""RSVQA: questions on Sentinel-2 (low resolution) and aerial images (Lobry et al. 2020).

Source: github.com/syvlo/RSVQA. Three JSON files per split,
`<set>_split_<split>_{images,questions,answers}.json` (or `all_*.json` for the whole), each a list under the
key of its name. A question has `id`, `img_id`, `type`, `question` and `answers_ids`; an answer `id` and
`answer`; entries of other splits are there with `active` false. The picture of an image is `<id>.tif`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agrilape.dataset.types import Example
from agrilape.prepare.formats.coordinate_conventions import Size
from agrilape.prepare.formats.example_rows import RowImages, RowQuestion, picture_examples
from agrilape.sources.formats.release_files import PictureFolder, Row, SkippedRows, published, read_object

_SPLIT = re.compile(r"_split_(\w+)_questions$")


def read(folder: Path, omissions: SkippedRows, images: Path | None = None) -> Iterator[Example]:
    """Examples of all splits, else of the files of the whole; provenance has the split."""
    found = published(folder, "*questions.json")
    files = [path for path in found if _SPLIT.search(path.stem)] or found
    rows = (row for path in files for row in _rows(path, omissions))
    yield from picture_examples("rsvqa", rows, PictureFolder(images or folder), omissions, _shown, _ask)


def _rows(path: Path, omissions: SkippedRows) -> Iterator[Row]:
    """Questions with their first active answer."""
    answers_file = path.with_name(path.name.replace("questions", "answers"))
    answers = {
        entry["id"]: entry["answer"]
        for entry in read_object(answers_file)["answers"]
        if entry.get("active", True) and "answer" in entry
    }
    split = match[1] if (match := _SPLIT.search(path.stem)) else "all"
    for number, entry in enumerate(read_object(path)["questions"], start=1):
        if not entry.get("active", True):
            continue
        try:
            answer = next(answers[key] for key in entry["answers_ids"] if key in answers)
            yield Row(path, number, {**entry, "answer": str(answer), "split": split})
        except StopIteration:
            omissions.add(path, "the question has no answer", number)
        except Exception as error:
            omissions.add(path, error, number)


def _shown(row: Mapping[str, Any]) -> RowImages:
    return RowImages((f"{int(row['img_id'])}.tif",))


def _ask(row: Mapping[str, Any], size: Size) -> Iterator[RowQuestion]:
    origin = {"id": row["id"], "split": row["split"]}
    yield RowQuestion("vqa", (row["question"].strip(),), (row["answer"],), {"type": row["type"]}, origin)

"""LLaVA's JSON: rows of `id`, `image` (one path or several) and `conversations`.

Source: github.com/haotian-liu/LLaVA. Boxes in the text are fractions of the image, `[0.12, 0.30, 0.55,
0.61]`. Rows may have `dates`, one per image, which is what this module writes for a series.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from agrilape.dataset.types import Example
from agrilape.prepare.formats.box_text import FRACTIONS, STATED, Notation
from agrilape.prepare.formats.conversations import turns
from agrilape.prepare.formats.coordinate_conventions import Size
from agrilape.prepare.formats.example_rows import RowImages, RowQuestion, picture_examples
from agrilape.prepare.formats.llava_json import write_conversations
from agrilape.sources.formats.release_files import PictureFolder, SkippedRows, published, read_rows

FILE, PICTURES = "llava.json", "images"


def read(
    folder: Path, omissions: SkippedRows, images: Path | None = None, boxes: str = "fractions"
) -> Iterator[Example]:
    """Examples of all JSON files in a folder. Rows without an image are text alone and are skipped.

    Args:
        folder: The release.
        omissions: What was skipped.
        images: Folder of the pictures; None: the release's own.
        boxes: What `[left, top, right, bottom]` runs to, a key of `notation.STATED`.
    """
    rows = (row for path in published(folder, "*.json", "*.jsonl") for row in read_rows(path, omissions))
    yield from picture_examples(
        "llava", rows, PictureFolder(images or folder), omissions, shown, partial(_ask, STATED[boxes])
    )


def shown(row: Mapping[str, Any]) -> RowImages:
    """The pictures of a row, with their dates if it has them."""
    images = row["image"]
    names = (images,) if isinstance(images, str) else tuple(images)
    dates = tuple(date.fromisoformat(text) for text in row.get("dates", ()))
    return RowImages(names, dates if len(dates) == len(names) else ())


def _ask(notation: Notation, row: Mapping[str, Any], size: Size) -> Iterator[RowQuestion]:
    return turns(row["conversations"], notation, size, origin={"id": row.get("id")})


def write(examples: Iterable[Example], folder: Path, omissions: SkippedRows) -> int:
    """Write `llava.json` and its pictures; the number of rows."""
    return write_conversations(examples, folder / FILE, PICTURES, FRACTIONS, omissions, series=True)

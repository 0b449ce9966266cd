"""TEOChatlas: questions about one place on several dates (huggingface.co/datasets/jirvin16/TEOChatlas).

`train/instruct*.json` and, for testing, `eval/*.json`, one file per task, with rows of `video` (a list of
pictures, despite the name), `conversations`, `task`, `dataset` and perhaps `metadata`, which has a
`timestamp` for each picture. Boxes are `[left, top, right, bottom]`, integers 0-100.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from agrilape.dataset.types import Example
from agrilape.prepare.formats.box_text import TEOCHAT
from agrilape.prepare.formats.conversations import turns
from agrilape.prepare.formats.coordinate_conventions import Size
from agrilape.prepare.formats.example_rows import RowImages, RowQuestion, picture_examples
from agrilape.sources.formats.release_files import PictureFolder, SkippedRows, published, read_rows


def read(folder: Path, omissions: SkippedRows, images: Path | None = None) -> Iterator[Example]:
    """Examples of all JSON files in a folder and one below it; series in order of date where it is known."""
    files = published(folder, "*.json", "*/*.json")
    rows = (
        row._replace(value={**row.value, "split": "train" if path.stem.startswith("instruct") else "test"})
        for path in files
        for row in read_rows(path, omissions)
    )
    yield from picture_examples("teochatlas", rows, PictureFolder(images or folder), omissions, _shown, _ask)


def _shown(row: Mapping[str, Any]) -> RowImages:
    names = row["video"] if "video" in row else row["image"]
    names = (names,) if isinstance(names, str) else tuple(names)
    facts = row.get("metadata")
    if not isinstance(facts, list) or len(facts) != len(names):
        return RowImages(names)
    stamps = [fact.get("timestamp") if isinstance(fact, dict) else None for fact in facts]
    if not all(stamps):
        return RowImages(names)
    return RowImages(names, tuple(date.fromisoformat(str(stamp)[:10]) for stamp in stamps))


def _ask(row: Mapping[str, Any], size: Size) -> Iterator[RowQuestion]:
    origin = {key: row[key] for key in ("id", "dataset", "split") if key in row}
    return turns(row["conversations"], TEOCHAT, size, row.get("task"), origin)

"""What `metadata.csv` says of each image of a folder: a line per image, as in Hugging Face's imagefolder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from agrilape.io.csv_text import read_csv
from agrilape.sources.columns import is_nothing, known_column, plain_name
from agrilape.sources.scene_json import SceneMetadata, check_metadata, nearest

TABLE_FILE = "metadata.csv"
FILE_COLUMNS = ("file_name", "filename", "image")
_WINDOW = {"window_start": "start", "window_end": "end"}


@dataclass(frozen=True)
class ImageTable:
    """The lines of a `metadata.csv`.

    Attributes:
        path: The table; None if there is none.
        lines: What it says of each image, by its path.
        notes: What is to be said of it.
    """

    path: Path | None = None
    lines: Mapping[Path, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def facts_of(self, image: Path, facts: SceneMetadata) -> SceneMetadata:
        """What is known of an image: its line goes before what `scene.json` says of its folder.

        Raises:
            DataError: The line states something impossible.
        """
        line = self.lines.get(image)
        if not line:
            return facts
        known = facts.model_dump(exclude_unset=True)
        further = {**(known.get("metadata") or {}), **line.get("metadata", {})}
        stated = known | dict(line) | ({"metadata": further} if further else {})
        return check_metadata(stated, f"{self.path}, {image.name}")

    def in_order(self, images: Iterable[Path]) -> list[Path]:
        """Images in the order of their lines, then those without one in their own."""
        order = {path: number for number, path in enumerate(self.lines)}
        return sorted(images, key=lambda image: order.get(image, len(order)))


def read_image_table(root: Path, folder: Path) -> ImageTable:
    """The `metadata.csv` of a folder, else of one above it, up to `root`.

    Its column `file_name` holds paths from the table's own folder. Columns that are keys of `scene.json` are
    read as such, `window_start` and `window_end` as its `window`; others are kept in `metadata`. Empty cells
    say nothing. A table without a column of files is something else, and is passed over with a note.

    Raises:
        DataError: It cannot be read.
    """
    path = nearest(root, folder, (TABLE_FILE,))
    if path is None:
        return ImageTable()
    table = read_csv(path)
    files = known_column(table.columns, FILE_COLUMNS)
    if files is None:
        return ImageTable(notes=(f"{path} was passed over: it has no column file_name",))
    lines: dict[Path, Mapping[str, Any]] = {}
    for row in table.rows:
        name = PurePosixPath(row[files].strip().replace("\\", "/"))
        lines.setdefault(path.parent / name, _line(row, files))
    notes = list(table.notes)
    if twice := len(table.rows) - len(lines):
        notes.append(f"{path}: skipped {twice} lines on an image that has one already")
    if lost := [image.name for image in lines if not image.is_file()]:
        notes.append(f"{path}: {len(lost)} of its images are not there ({lost[0]} ...)")
    return ImageTable(path, lines, tuple(notes))


def _line(row: Mapping[str, str], files: str) -> dict[str, Any]:
    said: dict[str, Any] = {}
    window: dict[str, str] = {}
    further: dict[str, str] = {}
    for column, cell in row.items():
        name = plain_name(column)
        if column == files or is_nothing(cell):
            continue
        if name in _WINDOW:
            window[_WINDOW[name]] = cell.strip()
        else:
            (said if name in SceneMetadata.model_fields else further)[name] = cell.strip()
    return said | ({"window": window} if window else {}) | ({"metadata": further} if further else {})

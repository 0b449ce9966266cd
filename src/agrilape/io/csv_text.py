"""CSV tables as spreadsheets and programs save them: by comma, semicolon or tab, in UTF-8 or cp1252."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agrilape.errors import DataError
from agrilape.io.text import decode_table

DELIMITERS = ",;\t|"
MOST_IN_CELL = 10_000_000  # characters; an outline as well-known text may be long


@dataclass(frozen=True)
class Table:
    """A CSV file.

    Attributes:
        path: The file.
        columns: Its headings, as they are spelled, without blanks around them.
        rows: Its rows, each cell by its heading; cells that are missing are empty, blank rows skipped.
        numbers: Of each row the line on which it ends.
        notes: What was assumed, for people.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    numbers: tuple[int, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Line numbers with rows."""
        return iter(zip(self.numbers, self.rows, strict=True))


def read_csv(path: Path) -> Table:
    """Read a CSV file, `.gz` too.

    The delimiter is the one of comma, semicolon, tab and bar that the heading holds most of outside quotes.

    Raises:
        DataError: The file is missing, no text, has no heading, two columns of one name, or a row with more
            cells than the heading.
    """
    text, note = decode_table(_bytes(path), str(path))
    heading = _heading(text)
    delimiter = max(DELIMITERS, key=lambda sign: _outside_quotes(heading, sign))
    csv.field_size_limit(MOST_IN_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[dict[str, str]] = []
    numbers: list[int] = []
    columns: tuple[str, ...] = ()
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = _columns(path, cells)
                continue
            rows.append(_row(path, reader.line_num, columns, cells))
            numbers.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}", "save the table as CSV again") from error
    if not columns:
        raise DataError(f"{path} is empty", "write a heading with the names of its columns")
    return Table(path, columns, tuple(rows), tuple(numbers), () if note is None else (note,))


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix.lower() == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read: {error}", "check the path, or copy the file again"
        ) from error


def _heading(text: str) -> str:
    return next((line for line in text.replace("\r", "\n").split("\n") if line.strip()), "")


def _outside_quotes(heading: str, sign: str) -> int:
    return sum(piece.count(sign) for piece in heading.split('"')[::2])


def _columns(path: Path, cells: list[str]) -> tuple[str, ...]:
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:  # a delimiter at the end of each line
        names.pop()
    if twice := {name for name in names if name and names.count(name) > 1}:
        raise DataError(f"{path} has two columns of the name {min(twice)!r}", "give each column its own name")
    return tuple(names)


def _row(path: Path, number: int, columns: tuple[str, ...], cells: list[str]) -> dict[str, str]:
    if any(cell.strip() for cell in cells[len(columns) :]):
        raise DataError(
            f"{path}, line {number} has {len(cells)} cells, but there are {len(columns)} columns",
            "put cells that hold the delimiter into double quotes",
        )
    padded = [*cells, *[""] * (len(columns) - len(cells))]
    return dict(zip(columns, padded, strict=False))

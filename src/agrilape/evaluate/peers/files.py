"""Rows of JSON and JSON-lines files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agrilape.errors import DataError


def read_json(path: Path) -> Any:
    """Content of a JSON file, or the rows of a JSON-lines file as a list.

    Raises:
        DataError: The file is missing, empty or damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", "give a JSON or JSON-lines file") from error
    if not text.strip():
        raise DataError(f"{path} is empty", "give a file with at least one row")
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return [
            _line(path, number, line)
            for number, line in enumerate(text.splitlines(), start=1)
            if line.strip()
        ]


def read_table(path: Path) -> list[dict[str, Any]]:
    """Rows of a file that holds a list of objects.

    Raises:
        DataError: It holds something else.
    """
    rows = read_json(path)
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} is not a list of objects", "give one JSON object per sample")
    return rows


def _line(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {number} is damaged: {error.msg}", "copy the file again, or delete the line"
        ) from error

"""Rows of JSON and JSON-lines files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agrilape.errors import DataError
from agrilape.evaluate.predictions import refuse_repeats
from agrilape.io.json_text import InvalidLine, json_lines, parse_json
from agrilape.io.text import read_text


def read_json(path: Path) -> Any:
    """Content of a JSON file, or the rows of a JSON-lines file as a list.

    Raises:
        DataError: The file is missing, empty or damaged.
    """
    text = read_text(path)
    if not text.strip():
        raise DataError(f"{path} is empty", "give a file with at least one row")
    try:
        return parse_json(text)
    except ValueError as error:
        if path.suffix.lower() == ".json" and text.lstrip().startswith("["):
            raise DataError(f"{path} is not readable JSON: {error}", "correct the file") from error
    rows = list(json_lines(text))
    if damaged := [row for row in rows if isinstance(row, InvalidLine)]:
        raise DataError(
            f"{len(damaged)} of {len(rows)} lines of {path} are damaged; line {damaged[0].number}: "
            f"{damaged[0].reason}",
            "copy the file again, or correct the lines: a row skipped would change the score",
        )
    return [row.value for row in rows if not isinstance(row, InvalidLine)]


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


def read_joined(predictions: Path, truth: Path | None, key: str = "answer") -> list[dict[str, Any]]:
    """Rows of predictions, each completed by the row of the truth with its `id` (or `question_id`).

    Files without ids are joined in order. A truth without prediction gets an empty one, which is unparsable.

    Args:
        predictions: Rows with the answers.
        truth: Rows with the truths; None if the predictions hold them.
        key: Where a row holds its answer.

    Raises:
        DataError: An id occurs twice, is missing in some rows, or belongs to no truth; or the files have no
            ids and differ in length.
    """
    given = read_table(predictions)
    if not given:
        raise DataError(f"{predictions} is empty", "give a file with at least one row")
    names = _ids(given, predictions)
    if truth is None:
        return given
    wanted = read_table(truth)
    true_names = _ids(wanted, truth)
    if names is None or true_names is None:
        if len(given) != len(wanted):
            raise DataError(
                f"{predictions} has {len(given)} rows and {truth} has {len(wanted)}, without ids",
                "write an `id` into the rows of both",
            )
        return [true | row for true, row in zip(wanted, given, strict=True)]
    if unknown := set(names) - set(true_names):
        raise DataError(
            f"{len(unknown)} predictions have no truth, e.g. {min(unknown)!r}",
            f"check that {truth} is of the same data",
        )
    answers = dict(zip(names, given, strict=True))
    return [true | answers.get(name, {key: ""}) for name, true in zip(true_names, wanted, strict=True)]


def _ids(rows: list[dict[str, Any]], path: Path) -> list[str] | None:
    """The id of every row; None if no row has one.

    Raises:
        DataError: One occurs twice, or only some rows have one.
    """
    names = [str(name) for row in rows if (name := row.get("id", row.get("question_id"))) is not None]
    if not names:
        return None
    if len(names) < len(rows):
        raise DataError(f"{len(rows) - len(names)} rows of {path} have no id", "give every row one, or none")
    refuse_repeats(names)
    return names

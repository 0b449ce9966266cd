"""JSON and JSON lines, read strictly: what is no JSON, or too deep or too large to mean anything, is refused.

Python's own reader takes NaN and Infinity, reads 1e999 as infinite, ends a program on deep nesting, and keeps
halves of surrogate pairs, which cannot be written again.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from agrilape.errors import AgrilapeError, DataError
from agrilape.io.text import lines, read_text

MOST_NESTED = 200
"""Lists and objects within each other; published data have some ten."""
MOST_DIGITS = 400
"""Digits of a whole number; a float has at most 309 before its point."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


class InvalidLine(NamedTuple):
    """A line of a JSON-lines file that cannot be read.

    Attributes:
        number: Of the line, from 1.
        reason: Why.
    """

    number: int
    reason: str


class Line(NamedTuple):
    """A line of a JSON-lines file.

    Attributes:
        number: Of the line, from 1.
        value: What it holds.
    """

    number: int
    value: Any


def parse_json(text: str | bytes, infinite: bool = False) -> Any:
    """The value of a JSON text.

    Args:
        text: The text, or its UTF-8 bytes.
        infinite: Take NaN and Infinity, as Python writes them into logs of numbers.

    Raises:
        ValueError: It is no JSON, holds NaN, an infinite or an overlong number or half a character, or is
            nested more than `MOST_NESTED` deep; the message says which and where.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    _refuse_depth(text)
    try:
        if infinite:
            value = json.loads(text, parse_int=_int)
        else:
            value = json.loads(text, parse_constant=_no_number, parse_float=_float, parse_int=_int)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    if "\\u" in text or _SURROGATE.search(text):
        _refuse_surrogates(value)
    return value


def read_json(
    path: Path, fault: type[AgrilapeError] = DataError, remedy: str = "correct the file, or get it again"
) -> Any:
    """The value of a JSON file.

    Raises:
        AgrilapeError: Of the kind `fault`: the file is missing, or no JSON.
    """
    text = read_text(path, fault)
    if not text.strip():
        raise fault(f"{path} is empty", remedy)
    try:
        return parse_json(text)
    except ValueError as error:
        raise fault(f"{path} is not readable JSON: {error}", remedy) from error


def read_json_object(
    path: Path, fault: type[AgrilapeError] = DataError, remedy: str = "correct the file, or get it again"
) -> dict[str, Any]:
    """The object of a JSON file.

    Raises:
        AgrilapeError: Of the kind `fault`: the file is missing, no JSON, or holds something else.
    """
    value = read_json(path, fault, remedy)
    if not isinstance(value, dict):
        raise fault(f"{path} holds a {_kind(value)} where a JSON object belongs", remedy)
    return value


def read_json_if_sound(path: Path) -> dict[str, Any]:
    """The object of a file of our own, for instance a cache; empty where it is missing or damaged."""
    try:
        return read_json_object(path)
    except DataError:
        return {}


def json_lines(text: str, infinite: bool = False) -> Iterator[Line | InvalidLine]:
    """The rows of a JSON-lines text; blank lines are passed over, damaged ones are given as such.

    Args:
        text: The text.
        infinite: As in `parse_json`.
    """
    for number, line in enumerate(lines(text), start=1):
        if line.strip():
            try:
                yield Line(number, parse_json(line, infinite))
            except ValueError as error:
                yield InvalidLine(number, str(error).replace(" at line 1, column", " at column"))


def to_json(value: Any) -> str:
    """A value as JSON on one line, in ASCII: no reader cuts it at U+2028, and every encoding can hold it.

    Raises:
        ValueError: A number in it is NaN or infinite.
    """
    return json.dumps(value, allow_nan=False)


def _refuse_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MOST_NESTED:
        return
    depth = 0
    for found in _BRACKETS.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth > MOST_NESTED:
                raise ValueError(f"nested more than {MOST_NESTED} deep")
        elif found[0] in "]}":
            depth -= 1


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def _int(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def _refuse_surrogates(value: Any) -> None:
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            if _SURROGATE.search(one):
                raise ValueError(f"half a character (a lone surrogate) in {one[:40]!a}")
        elif isinstance(one, Mapping):
            pending += [*one, *one.values()]
        elif isinstance(one, list):
            pending += one


def _kind(value: Any) -> str:
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (list, "list"), (str, "text"), (bool, "truth value"), ((int, float), "number"),
    )  # fmt: skip
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")

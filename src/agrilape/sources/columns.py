"""Columns of tables as people and programs write them: their names, their numbers, and what says nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas

NOTHING = {"", "nan", "nat", "none", "null", "<na>", "n/a", "na", "-", "--", "?"}
"""What programs write where there is no value."""

_CUT = 10  # letters that a shapefile keeps of a column's name
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?")


def plain_name(name: object) -> str:
    """A column's name in lower case, with underscores for blanks and hyphens, without a byte order mark."""
    return re.sub(r"[\s-]+", "_", str(name).lstrip("\ufeff").strip().lower())


def known_column(names: Iterable[str], wanted: Sequence[str]) -> str | None:
    """The column of a table that has one of some names, the first of these first; None if none has.

    Case, blanks, hyphens and a byte order mark do not matter, and a name may be cut to the ten letters that
    shapefiles keep.

    Args:
        names: Of the table's columns.
        wanted: Names as `plain_name` gives them.
    """
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(plain_name(name), name)
    whole = next((plain[name] for name in wanted if name in plain), None)
    return whole or next((plain[name[:_CUT]] for name in wanted if name[:_CUT] in plain), None)


def is_nothing(value: Any) -> bool:
    """Does a cell of a table hold no value?"""
    if isinstance(value, str):
        return value.strip().lower() in NOTHING
    return value is None or bool(pandas.api.types.is_scalar(value) and pandas.isna(value))


def first_of(record: Mapping[str, Any], columns: Sequence[str]) -> Any:
    """The first value that a record has in some columns; None if it has none."""
    return next((record[name] for name in columns if name in record and not is_nothing(record[name])), None)


def read_number(value: object) -> float | None:
    """A number, also with a decimal comma; None for anything else, and for what is not finite."""
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, str):
        value = value.strip()
        if not _NUMBER.fullmatch(value):
            return None
        value = value.replace(",", ".")
    try:
        number = float(value)  # type: ignore[arg-type] # float() itself says whether it is a number
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def read_numbers(name: str, values: Sequence[object]) -> tuple[list[float | None], list[str]]:
    """A column of numbers, None where there is none, and a note on values that are no numbers."""
    numbers = [None if is_nothing(value) else read_number(value) for value in values]
    pairs = zip(values, numbers, strict=True)
    strange = [value for value, number in pairs if number is None and not is_nothing(value)]
    return numbers, [not_understood(name, strange)] if strange else []


def not_understood(name: str, values: Sequence[object]) -> str:
    """The note on values of a column that mean nothing here."""
    if len(values) == 1:
        return f"1 value of column {name} was not understood: {str(values[0])!r}"
    return f"{len(values):,} values of column {name} were not understood (first: {str(values[0])!r})"

"""Crop names in plain English."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from agrilape.errors import DataError
from agrilape.io.csv_text import Table, read_csv
from agrilape.sources.columns import NOTHING, is_nothing, known_column

# Names of EuroCrops' hierarchy (HCAT) that do not read as plain English, the longest first.
_HCAT = {
    "vineyards_wine_vine_rebland_grapes": "vineyard",
    "pasture_meadow_grassland_grass": "grassland",
    "winter_common_soft_wheat": "winter wheat",
    "summer_common_soft_wheat": "spring wheat",
    "winter_durum_hard_wheat": "winter durum wheat",
    "summer_durum_hard_wheat": "spring durum wheat",
    "grain_maize_corn_popcorn": "grain maize",
    "winter_rapeseed_rape": "winter rapeseed",
    "sunflower_field_cabbage": "sunflower",
    "fallow_land_not_crop": "fallow",
    "unmaintained": "fallow",
    "green_silo_maize": "silage maize",
}
_UNKNOWN = {*NOTHING, "unknown", "not known and other", "other"}

# Headings of crop tables: the user's own, then those of EuroCrops' tables per country.
_CODE_HEADINGS = ("code", "original_code", "crop_code", "ec_hcat_c", "hcat3_code")
_NAME_HEADINGS = ("name", "crop", "ec_hcat_n", "hcat3_name", "translated_name", "crop_name")
_CODE = re.compile(r"(?=.*\d)[\w.-]+|[A-Z]{1,3}")  # 216, AKR-12, BTH; words are names
_WHOLE = re.compile(r"(\d+)[.,]0+")  # a code that a table's program took for a number
_SHORT = re.compile(r"[A-Z]{3}")  # a code, or a word such as RYE: the other crops of the column say which


def plain_crop(name: object, table: Mapping[str, str] | None = None, words: bool = False) -> str | None:
    """A crop name or code in plain English lower case; None if it says nothing.

    Args:
        name: What the file says.
        table: The user's own names by code, asked first. A code without a name is None, a word stays.
        words: Are three capital letters a word and not a code? See `are_words`.
    """
    text = _said(name)
    named = _named(text, table)
    if named is None and _is_code(text, words):
        return None
    named = text if named is None else named
    text = _HCAT.get(named.lower(), named)
    text = " ".join(text.replace("_", " ").lower().split())
    return None if text in _UNKNOWN else text


def unnamed_code(name: object, table: Mapping[str, str] | None = None, words: bool = False) -> str | None:
    """The code that a file holds in place of a crop, if no table names it; arguments as in `plain_crop`."""
    text = _said(name)
    return text if _named(text, table) is None and _is_code(text, words) else None


def are_words(said: Sequence[object]) -> bool:
    """Does a column hold names of crops, so that RYE among them is one and no code?"""
    kinds = Counter(
        bool(_CODE.fullmatch(text)) for text in {_said(name) for name in said if not is_nothing(name)}
    )
    return kinds[False] > 0 and kinds[False] >= kinds[True]


def read_crop_table(path: Path) -> dict[str, str]:
    """Crop names by code, from a CSV file with the columns `code` and `name`, or a table of EuroCrops.

    In UTF-8 or as Windows writes it, with commas, semicolons or tabs.

    EuroCrops' tables list spellings without a code; all that they list is known by its original name too.

    Raises:
        DataError: The columns are missing, or it cannot be read.
    """
    return crop_names(read_csv(path))


def crop_names(read: Table) -> dict[str, str]:
    """Crop names by code, of a table that has been read.

    Raises:
        DataError: The columns are missing.
    """
    columns, rows = read.columns, read.rows
    code, name = known_column(columns, _CODE_HEADINGS), known_column(columns, _NAME_HEADINGS)
    if code is None or name is None:
        raise DataError(f"{read.path} lacks the columns code and name", "write one line per crop: code,name")
    keys = [code, known_column(columns, ("original_name",)) or code]
    named = [(_said(row[key] or ""), row[name].strip()) for row in rows if row[name] for key in keys]
    table = {said: crop for said, crop in named if said}  # an empty cell stands for no crop
    return {said.lstrip("0"): crop for said, crop in table.items() if said.lstrip("0")} | table


def _named(text: str, table: Mapping[str, str] | None) -> str | None:
    """The name that a table gives a code, with or without zeros before it."""
    return None if table is None else table.get(text, table.get(text.lstrip("0") or text))


def _is_code(text: str, words: bool) -> bool:
    return bool(_CODE.fullmatch(text)) and not (words and _SHORT.fullmatch(text))


def _said(name: object) -> str:
    if isinstance(name, float) and name.is_integer():
        return str(int(name))  # pandas turns integer codes with gaps into floats
    text = str(name).strip()
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text

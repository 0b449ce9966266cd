"""Crop names in plain English."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from agrilape.errors import DataError

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
_UNKNOWN = {"", "nan", "none", "null", "unknown", "not known and other", "other", "n/a", "na"}


# Headings of crop tables: the user's own, then those of EuroCrops' tables per country.
_CODE_HEADINGS = ("code", "original_code", "crop_code", "ec_hcat_c", "hcat3_code")
_NAME_HEADINGS = ("name", "crop", "ec_hcat_n", "hcat3_name", "translated_name", "crop_name")
_CODE = re.compile(r"(?=.*\d)[\w.-]+|[A-Z]{1,3}")  # 216, AKR-12, BTH; words are names


def plain_crop(name: object, table: Mapping[str, str] | None = None) -> str | None:
    """A crop name or code in plain English lower case; None if it says nothing.

    Args:
        name: What the file says.
        table: The user's own names by code, asked first. A code without a name is None, a word stays.
    """
    text = _said(name)
    named = (table or {}).get(text, text)
    if named == text and _CODE.fullmatch(text):
        return None
    text = _HCAT.get(named.lower(), named)
    text = " ".join(text.replace("_", " ").lower().split())
    return None if text in _UNKNOWN else text


def unnamed_code(name: object, table: Mapping[str, str] | None = None) -> str | None:
    """The code that a file holds in place of a crop, if no table names it."""
    text = _said(name)
    return text if text not in (table or {}) and _CODE.fullmatch(text) else None


def read_crop_table(path: Path) -> dict[str, str]:
    """Crop names by code, from a CSV file with the columns `code` and `name`, or a table of EuroCrops.

    EuroCrops' tables list spellings without a code; all that they list is known by its original name too.

    Raises:
        DataError: The columns are missing.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        heading = file.readline()
        file.seek(0)
        rows = csv.DictReader(file, delimiter=";" if ";" in heading else ",")
        columns = {column.strip().lower(): column for column in rows.fieldnames or ()}
        code = next((columns[known] for known in _CODE_HEADINGS if known in columns), None)
        name = next((columns[known] for known in _NAME_HEADINGS if known in columns), None)
        if code is None or name is None:
            raise DataError(f"{path} lacks the columns code and name", "write one line per crop: code,name")
        keys = [code, columns.get("original_name", code)]
        named = [((row[key] or "").strip(), row[name].strip()) for row in rows if row[name] for key in keys]
        return {said: crop for said, crop in named if said}  # an empty cell stands for no crop


def _said(name: object) -> str:
    if isinstance(name, float) and name.is_integer():
        return str(int(name))  # pandas turns integer codes with gaps into floats
    return str(name).strip()

"""Crop names in plain English."""

from __future__ import annotations

import csv
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


def plain_crop(name: object, table: Mapping[str, str] | None = None) -> str | None:
    """A crop name or code in plain English lower case; None if it says nothing.

    Args:
        name: What the file says.
        table: The user's own names by code, asked first; a code that is not in it stays as it is.
    """
    text = str(name).strip()
    if isinstance(name, float) and name.is_integer():
        text = str(int(name))  # pandas turns integer codes with gaps into floats
    text = (table or {}).get(text, text)
    text = _HCAT.get(text.lower(), text)
    text = " ".join(text.replace("_", " ").lower().split())
    return None if text in _UNKNOWN else text


def read_crop_table(path: Path) -> dict[str, str]:
    """Crop names by code, from a CSV file with the columns `code` and `name`.

    Raises:
        DataError: The columns are missing.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if not {"code", "name"} <= set(rows.fieldnames or ()):
            raise DataError(f"{path} lacks the columns code and name", "write one line per crop: code,name")
        return {row["code"].strip(): row["name"].strip() for row in rows}

"""Acquisition dates, out of tags, band descriptions and file names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date

# A run of digits that reads year, month, day, with one kind of separator or none.
_YEAR_FIRST = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.:/]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d{1,5}(?!\d))"
)
_DAY_FIRST = re.compile(r"(?<!\d)(0?[1-9]|[12]\d|3[01])[-./](0?[1-9]|1[0-2])[-./]((?:19|20)\d\d)(?!\d)")
# Tags of GDAL drivers and common writers, the surest first.
_TAGS = (
    "ACQUISITION_DATE",
    "DATE_ACQUIRED",
    "ACQUISITIONDATETIME",
    "SENSING_TIME",
    "PRODUCT_START_TIME",
    "DATETIME",
)


def parse_date(text: object) -> date | None:
    """The first calendar date in a text; None if there is none.

    Year first (`2021-05-03`, `20210503T103021`, `2021:05:03 10:30:21`) or, with separators, day first
    (`3.5.2021`): the American month first cannot be told from it and is not guessed.
    """
    found = _YEAR_FIRST.search(str(text))
    year, month, day = (found[1], found[3], found[4]) if found else ("", "", "")
    if not found:
        found = _DAY_FIRST.search(str(text))
        if not found:
            return None
        year, month, day = found[3], found[2], found[1]
    try:
        return date(int(year), int(month), int(day))
    except ValueError:  # the 31st of June
        return None


def acquisition_date(tags: Mapping[str, str], descriptions: Iterable[str | None], stem: str) -> date | None:
    """When an image was taken: from its tags, else its band descriptions, else its file name.

    `TIFFTAG_DATETIME` comes last, because most writers put the time of processing there.
    """
    upper = {key.upper(): value for key, value in tags.items()}
    texts = [upper.get(tag) for tag in _TAGS]
    texts += [*descriptions, stem, upper.get("TIFFTAG_DATETIME")]
    return next((day for text in texts if text and (day := parse_date(text))), None)

"""Acquisition dates, out of tags, band descriptions and file names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

_YEAR = r"(?P<year>(?:19|20)\d\d)"
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<month>(?:{'|'.join(_MONTHS)})[a-z]*)\.?"
# A run of digits that reads year, month, day, with one kind of separator or none.
_YEAR_FIRST = re.compile(
    rf"(?<!\d){_YEAR}([-_.:/]?)(?P<month>0[1-9]|1[0-2])\2"
    r"(?P<day>0[1-9]|[12]\d|3[01])(?!\d{1,5}(?!\d))"
)
_DAY_FIRST = re.compile(rf"(?<!\d){_DAY}[-./](?P<month>0?[1-9]|1[0-2])[-./]{_YEAR}(?!\d)")
_DAY_MONTH = re.compile(rf"(?<!\d){_DAY}(?:st|nd|rd|th)?[ -]{_MONTH}[ ,-]+{_YEAR}(?!\d)", re.IGNORECASE)
_MONTH_DAY = re.compile(rf"(?<![a-z]){_MONTH} {_DAY}(?:st|nd|rd|th)?,? {_YEAR}(?!\d)", re.IGNORECASE)
_ORDINAL = re.compile(rf"(?<![A-Za-z0-9])(?:A|doy){_YEAR}(?P<ordinal>[0-3]\d\d)(?!\d)")
# Of HLS, with the time of day after it; of Landsat before its collections, after sensor, path and row.
_ORDINAL_HLS = re.compile(rf"(?<!\d){_YEAR}(?P<ordinal>[0-3]\d\d)T\d{{6}}(?!\d)")
_ORDINAL_LANDSAT = re.compile(rf"(?<![A-Z0-9])L[COTE][4-9]\d{{6}}{_YEAR}(?P<ordinal>[0-3]\d\d)(?!\d)")
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

    Year first (`2021-05-03`, `20210503T103021`, `2021:05:03 10:30:21`), with separators day first
    (`3.5.2021`), with the month by its English name (`3 May 2021`, `May 3, 2021`), or year and day of the
    year as NASA writes them (`A2021123`, `2021123T103021`). The American month first cannot be told from day
    first and is not guessed.
    """
    found = str(text)
    for form in (
        _ORDINAL_LANDSAT, _YEAR_FIRST, _DAY_FIRST, _DAY_MONTH, _MONTH_DAY, _ORDINAL, _ORDINAL_HLS,
    ):  # fmt: skip
        if match := form.search(found):
            return calendar_day(**match.groupdict())
    return None


def calendar_day(year: str, month: str = "1", day: str = "1", ordinal: str = "1") -> date | None:
    """The day of a year, month (or its English name) and day, or of a year and its day; None if none."""
    number = int(month) if month.isdigit() else 1 + _MONTHS.index(month[:3].lower())
    try:
        found = date(int(year), number, int(day)) + timedelta(days=int(ordinal) - 1)
    except ValueError:  # the 31st of June
        return None
    return found if found.year == int(year) else None


def acquisition_date(tags: Mapping[str, str], descriptions: Iterable[str | None], stem: str) -> date | None:
    """When an image was taken: from its tags, else its band descriptions, else its file name.

    `TIFFTAG_DATETIME` comes last, because most writers put the time of processing there.
    """
    upper = {key.upper(): value for key, value in tags.items()}
    texts = [upper.get(tag) for tag in _TAGS]
    texts += [*descriptions, stem, upper.get("TIFFTAG_DATETIME")]
    return next((day for text in texts if text and (day := parse_date(text))), None)

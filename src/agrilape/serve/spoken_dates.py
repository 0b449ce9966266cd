"""Dates and seasons as people write them in a question."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date

from agrilape.sources.dates import calendar_day

_NAMES = (
    "jan",
    "feb",
    "mar mär mrz",
    "apr",
    "may mai",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct okt",
    "nov",
    "dec dez",
)
_MONTHS = {
    month: number
    for number, months in enumerate(_NAMES, 1)
    for month in months.split()
}  # fmt: skip
_MONTH = rf"(?P<name>(?:{'|'.join(_MONTHS)})[a-zä]*)\.?"
_FORMS = [
    re.compile(form, re.IGNORECASE)
    for form in (
        r"(?<![\d.,-])(?P<year>(?:19|20)\d\d)-(?P<month>\d{1,2})-(?P<day>\d{1,2})(?!\d)",
        r"(?<![\d.,])(?P<day>\d{1,2})[./](?P<month>\d{1,2})[./](?P<year>(?:19|20)\d\d)(?!\d)",
        rf"(?<![\d.,])(?P<day>\d{{1,2}})(?:\.|st|nd|rd|th)?\s*(?:of\s+)?{_MONTH},?\s+(?P<year>(?:19|20)\d\d)(?!\d)",
        rf"\b{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>(?:19|20)\d\d)(?!\d)",
        rf"\b{_MONTH}\s+(?P<year>(?:19|20)\d\d)(?!\d)",
        r"(?<![\d.,-])(?P<year>(?:19|20)\d\d)(?![\d.,]?\d)(?!\s*[,;/]\s*\d)(?<!epsg:\d{4})(?<!epsg \d{4})",
    )
]
_RANGE = re.compile(
    r"(?:(?:from|between|von|zwischen|vom|dem|the|und|and)\s+)*⟦time(\d+)⟧"
    r"\s*(?:-|–|to|until|till|and|bis|und|/)\s*(?:(?:zum|dem|the)\s+)?⟦time(\d+)⟧",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Stretch:
    """A day, month, year or any stretch of days.

    Attributes:
        start: First day.
        end: Last day; the first, of a day.
    """

    start: date
    end: date

    @property
    def is_day(self) -> bool:
        """Is it one day?"""
        return self.start == self.end


def find_dates(text: str) -> tuple[str, tuple[Stretch, ...]]:
    """Dates in a question.

    Days (`2018-06-27`, `27.6.2018`, `27 June 2018`, `27. Juni 2018`), months, years, and stretches between
    two days or months. Two years (`in 2018 and in 2019`, `2018 and 2019`) stay two.

    Args:
        text: The question.

    Returns:
        The question with `⟦time⟧` for each, and the dates in order.
    """
    found: list[Stretch] = []

    def keep(match: re.Match[str]) -> str:
        stretch = _stretch(match.groupdict())
        if stretch is None:
            return match[0]
        found.append(stretch)
        return f" ⟦time{len(found) - 1}⟧ "

    for form in _FORMS:
        text = form.sub(keep, text)
    text = _RANGE.sub(lambda match: _joined(match, found), text)
    order = [int(number) for number in re.findall(r"⟦time(\d+)⟧", text)]
    return re.sub(r"⟦time\d+⟧", "⟦time⟧", text), tuple(found[number] for number in order)


def _joined(match: re.Match[str], found: list[Stretch]) -> str:
    """A stretch from one date to another, unless both are years."""
    first, last = found[int(match[1])], found[int(match[2])]
    years = all((one.end - one.start).days > 300 for one in (first, last))
    if years or last.end < first.start:
        return match[0]
    found.append(Stretch(first.start, last.end))
    return f" ⟦time{len(found) - 1}⟧ "


def _stretch(said: dict[str, str | None]) -> Stretch | None:
    year, day, name = said["year"] or "", said.get("day"), said.get("name")
    month = str(_month(name)) if name else said.get("month")
    if day and month:
        one = calendar_day(year, month, day) if 1 <= int(month) <= 12 else None
        return None if one is None else Stretch(one, one)
    first, last = (int(month), int(month)) if month else (1, 12)
    return Stretch(date(int(year), first, 1), date(int(year), last, monthrange(int(year), last)[1]))


def _month(name: str) -> int:
    return next(number for month, number in _MONTHS.items() if name.lower().startswith(month))

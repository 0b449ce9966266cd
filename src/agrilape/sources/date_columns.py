"""Columns of dates, of any spelling.

What a value means often depends on the others of its column: 05/06/2021 is a day in May or in June, and
1618963200 a day at all, by what stands beside it. So columns are read whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal
from unicodedata import combining, normalize

import numpy as np
import pandas

from agrilape.sources.columns import is_nothing, not_understood, read_number
from agrilape.sources.dates import calendar_day

DateOrder = Literal["day_first", "month_first", "year_first"]
"""In which order a date of three short numbers is written."""

ORDERS: Final[tuple[DateOrder, ...]] = ("day_first", "month_first", "year_first")
_TRIPLE = re.compile(r"(?<![\d./-])(\d{1,2})([-./ ])(\d{1,2})\2(\d{4}|\d{2})(?!\d|[-./]\d)")
_YEAR_FIRST = (
    re.compile(r"(?<!\d)((?:1[89]|20|21)\d\d)([-./:])(\d{1,2})\2(\d{1,2})(?!\d)"),
    re.compile(r"(?<!\d)((?:1[89]|20|21)\d\d)()(\d\d)(\d\d)(?!\d{1,5}(?!\d))"),
)
_ORDINAL = re.compile(r"(?<![A-Za-z0-9])(?:A|doy|)((?:19|20)\d\d)-?([0-3]\d\d)(?!\d)")
_NAMED = (
    re.compile(r"(?<!\d)(?P<day>\d{1,2})(?:st|nd|rd|th|er)?[-./ ]*(?:de |of )?(?P<month>[^\W\d_]{3,})[-./, ]*"
               r"(?:de |del )?(?P<year>\d{4}|\d\d)(?!\d)"),
    re.compile(r"(?P<month>[^\W\d_]{3,})[-. ]+(?P<day>\d{1,2})(?:st|nd|rd|th)?(?: \d\d:\d\d(?::\d\d)?)?"
               r"(?: [A-Z]{3,4})?[-, ]+(?P<year>\d{4})(?!\d)"),
    re.compile(r"(?<!\d)(?P<year>\d{4})[- ](?P<month>[^\W\d_]{3,})[- ](?P<day>\d{1,2})(?!\d)"),
)  # fmt: skip
# Months in English, German, French, Spanish, Italian, Dutch and Danish, without accents.
_MONTHS = (
    "january januar janner janvier enero gennaio januari",
    "february februar fevrier febrero febbraio februari",
    "march marz maerz mrz mars marzo maart marts", "april avril abril aprile", "may mai mayo maggio mei maj",
    "june juni juin junio giugno", "july juli juillet julio luglio", "august aout agosto augustus",
    "september septembre septiembre settembre", "october oktober octobre octubre ottobre",
    "november novembre noviembre", "december dezember decembre diciembre dicembre",
)  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Largest number of a column from which on it counts these since 1970, and their seconds.
_UNITS = (
    (1e16, 1e-9, "nanoseconds"), (1e13, 1e-6, "microseconds"), (1e10, 1e-3, "milliseconds"),
    (1e8, 1.0, "seconds"),
)  # fmt: skip
_SHEET_ZERO = date(1899, 12, 30)
_SHEET_DAYS = range(25_569, 54_790)  # 1970 to 2049; no other way to write dates gives such numbers
_PIVOT = 69  # two-digit years from here on are of the last century, as in POSIX
_YEARS = range(1800, 2200)


@dataclass(frozen=True)
class Dates:
    """A column of dates.

    Attributes:
        days: A day for each value; None where there is none or it was not understood.
        notes: What was assumed and what was not understood, for people.
    """

    days: tuple[date | None, ...]
    notes: tuple[str, ...] = ()


def read_dates(
    name: str,
    values: Iterable[object],
    order: DateOrder | None = None,
    more: Callable[[], Iterable[object]] | None = None,
) -> Dates:
    """A column of dates.

    A date is the day that is written, in its own time zone. Day and month of dates such as 05/06/2021 are in
    the order that the column proves (a number above 12 does); with dots the day comes first. Where a column
    proves nothing, or both orders, such dates are skipped and the note says what to state.

    Args:
        name: Of the column, for the notes.
        values: Texts, numbers, dates, times, or nothing.
        order: What the user states; None to find out.
        more: Gives further values of the column, asked where these leave the order open.
    """
    said = dict(enumerate(values))
    days: dict[int, date] = {}
    numbers: dict[int, float] = {}
    texts: dict[int, str] = {}
    for index, value in said.items():
        if is_nothing(value):
            continue
        if (day := _typed(value)) is not None:
            days[index] = day
        elif (number := read_number(value)) is not None:
            numbers[index] = number
        else:
            texts[index] = str(value).strip()
    read, notes = _numbers(name, numbers)
    days |= read
    read, doubtful, doubts = _texts(name, texts, order, more)
    days |= read
    left = [said[index] for index in sorted({*numbers, *texts} - {*days, *doubtful})]
    notes += [*doubts, *([not_understood(name, left)] if left else [])]
    return Dates(tuple(days.get(index) for index in said), tuple(notes))


def _typed(value: object) -> date | None:
    """The day of a date or a time, as its own clock and calendar have it."""
    if isinstance(value, np.datetime64):
        value = pandas.Timestamp(value)
    return date(value.year, value.month, value.day) if isinstance(value, date) else None


def _numbers(name: str, numbers: Mapping[int, float]) -> tuple[dict[int, date], list[str]]:
    """Days of a column's numbers: 20210420, 2021110 (day of the year), times since 1970, days of sheets."""
    days = {index: day for index, number in numbers.items() if (day := _digits(number))}
    rest = {index: number for index, number in numbers.items() if index not in days and number}
    if not rest:
        return days, []
    if all(int(number) in _SHEET_DAYS for number in rest.values()):
        found = {index: _SHEET_ZERO + timedelta(days=int(number)) for index, number in rest.items()}
        what = "the days of a spreadsheet"
    else:
        largest = max(map(abs, rest.values()))
        second, unit = next(((size, unit) for least, size, unit in _UNITS if largest >= least), (0.0, ""))
        moments = {index: _moment(number * second) for index, number in rest.items()} if unit else {}
        found = {index: day for index, day in moments.items() if day}
        what = f"{unit} since 1970, in UTC"
    if not found:
        return days, []
    return days | found, [f"column {name} is read as {what} (first: {found[min(found)]})"]


def _digits(number: float) -> date | None:
    """The day of 20210420, 20210420233000 or 2021110."""
    text = f"{number:.0f}"
    if number != int(number) or not text.isdigit():
        return None
    if len(text) == 7 and text[:2] in {"19", "20"}:
        return calendar_day(text[:4], ordinal=text[4:]) if int(text[4:]) else None
    clock = len(text) == 14 and int(text[8:10]) < 24 and int(text[10:12]) < 60 and int(text[12:]) < 60
    if (len(text) == 8 or clock) and text[:2] in {"19", "20"}:
        return calendar_day(text[:4], text[4:6], text[6:8])
    return None


def _moment(seconds: float) -> date | None:
    """The day in UTC of a time since 1970."""
    try:
        day = (_EPOCH + timedelta(seconds=seconds)).date()
    except OverflowError:
        return None
    return day if day.year in _YEARS else None


def _texts(
    name: str,
    texts: Mapping[int, str],
    order: DateOrder | None,
    more: Callable[[], Iterable[object]] | None,
) -> tuple[dict[int, date], set[int], list[str]]:
    """Days of a column's texts, those that are skipped since they are ambiguous, and notes on these."""
    days: dict[int, date] = {}
    by_mark: dict[str, dict[int, _Triple]] = {}
    for index, text in texts.items():
        if (day := _plain_text(text)) is not None:
            days[index] = day
        elif match := _TRIPLE.search(text):
            by_mark.setdefault(match[2], {})[index] = _Triple(match[1], match[3], match[4], match[2])
    doubtful: set[int] = set()
    notes = []
    for mark, triples in by_mark.items():
        orders = _common([*triples.values()], order)
        if len(orders) > 1 and more is not None:
            orders = _common([*triples.values(), *_triples(more(), mark)], order)
        readings = {index: triple.days(orders) for index, triple in triples.items()}
        days |= {index: found.copy().pop() for index, found in readings.items() if len(found) == 1}
        lost = {index for index, found in readings.items() if len(found) > 1 or not orders}
        if lost:
            what = "does not say whether the day or the month comes first" if orders else "has both orders"
            notes.append(
                f"column {name} {what} ({texts[min(lost)]!r}): skipped {len(lost):,} dates; state "
                '"date_order": "day_first" (or "month_first", "year_first") in scene.json'
            )
            doubtful |= lost
    return days, doubtful, notes


@lru_cache(maxsize=2**16)  # fields of one farm, or of one day, share their dates
def _plain_text(text: str) -> date | None:
    """The day of a text that needs no other: year first, the month by its name, a day of the year."""
    for form in _YEAR_FIRST:
        if match := form.search(text):
            return calendar_day(match[1], match[3], match[4])
    for form in _NAMED:
        if (match := form.search(text)) and (month := _month(match["month"])):
            return calendar_day(_whole_year(match["year"]), str(month), match["day"])
    match = _ORDINAL.search(text)
    return calendar_day(match[1], ordinal=match[2]) if match and int(match[2]) else None


def _month(word: str) -> int | None:
    """Number of the month that a word names or shortens; None if it is none, or may be two."""
    plain = "".join(letter for letter in normalize("NFKD", word.lower()) if not combining(letter))
    found = [
        number for number, names in enumerate(_MONTHS, 1)
        if any(name.startswith(plain) for name in names.split())
        or (plain == "sept" and number == 9)
    ]  # fmt: skip
    return found[0] if len(found) == 1 else None


def _whole_year(year: str) -> str:
    return year if len(year) == 4 else f"{19 if int(year) >= _PIVOT else 20}{year}"


@dataclass(frozen=True)
class _Triple:
    """Three short numbers that may be a date, and the sign between them."""

    first: str
    second: str
    third: str
    mark: str

    def days(self, orders: Iterable[DateOrder]) -> set[date]:
        """The days that it may be."""
        return {day for order in orders if (day := self._day(order)) is not None}

    @property
    def orders(self) -> set[DateOrder]:
        """The usual orders in which it is a date: who begins with a year of two digits writes hyphens."""
        usual = ORDERS if self.mark == "-" else ORDERS[:2]
        return {order for order in usual if self._day(order) is not None}

    def _day(self, order: DateOrder) -> date | None:
        match order:
            case "day_first":
                return calendar_day(_whole_year(self.third), self.second, self.first)
            case "month_first":
                return calendar_day(_whole_year(self.third), self.first, self.second)
        if len(self.third) == 4 or len(self.first) == 1:
            return None
        return calendar_day(_whole_year(self.first), self.second, self.third)


def _triples(values: Iterable[object], mark: str) -> Iterator[_Triple]:
    for value in values:
        text = str(value)
        match = _TRIPLE.search(text) if _plain_text(text) is None else None
        if match and match[2] == mark:
            yield _Triple(match[1], match[3], match[4], mark)


def _common(triples: Sequence[_Triple], stated: DateOrder | None) -> set[DateOrder]:
    """The orders in which all that can be dates are dates; none if they contradict each other."""
    if stated is not None:
        return {stated}
    possible = [orders for triple in triples if (orders := triple.orders)]
    if not possible:
        return {"day_first"}
    common = set[DateOrder].intersection(*possible)
    return (
        {"day_first"} if triples[0].mark == "." and "day_first" in common else common
    )  # as all who write dots

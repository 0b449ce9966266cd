"""Dates in file names in which day and month may stand in either order: the set of names decides."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from agrilape.sources.dates import parse_date

_SHORT = re.compile(r"(?<!\d)(\d{1,2})([-._])(\d{1,2})\2((?:19|20)\d\d)(?!\d)")


class NameDates(NamedTuple):
    """Dates of files by their stems, for those in which day and month stand before the year, and a note."""

    days: dict[str, date]
    note: str | None = None


def dates_in_names(stems: Iterable[str]) -> NameDates:
    """The dates of names such as `field_05-13-2021`.

    One name with a number above 12 tells the order of all. Without one, or where names disagree, the day
    comes first, and the note says so.

    Args:
        stems: Names of the files of one folder, without their suffixes.
    """
    short = {
        stem: (int(match[1]), int(match[3]), int(match[4]))
        for stem in stems
        if (match := _SHORT.search(stem)) and (parse_date(stem) is None or _is_only_short(stem, match))
    }
    day_first = any(first > 12 for first, _, _ in short.values())
    month_first = any(second > 12 for _, second, _ in short.values())
    swapped = month_first and not day_first
    days = {}
    for stem, (first, second, year) in short.items():
        day, month = (second, first) if swapped or second > 12 else (first, second)
        try:
            days[stem] = date(year, month, day)
        except ValueError:  # the 31st of June
            continue
    return NameDates(days, _note(short, days, day_first, month_first))


def _is_only_short(stem: str, match: re.Match[str]) -> bool:
    """Is there no other date in a name, which would be surer?"""
    return parse_date(stem[: match.start()] + " " + stem[match.end() :]) is None


def _note(
    short: dict[str, tuple[int, int, int]], days: dict[str, date], day_first: bool, month_first: bool
) -> str | None:
    unsure = [
        s for s, (first, second, _) in short.items() if first <= 12 and second <= 12 and first != second
    ]
    if not unsure or day_first != month_first:
        return None
    why = "names of both orders are there" if day_first else "no name tells the order of day and month"
    return (
        f"dates of {len(unsure)} file names were read with the day first ({unsure[0]} as {days[unsure[0]]}), "
        f"since {why}; name files by year, month and day"
    )

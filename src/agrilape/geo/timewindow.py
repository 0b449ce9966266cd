"""The calendar that times refer to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True)
class TimeWindow:
    """A stretch of calendar dates, mapped linearly to [0, 1].

    Attributes:
        start: First day, at 0.
        end: Last day, at 1.
    """

    start: date
    end: date

    def __post_init__(self) -> None:
        """Refuse a window that runs backwards or has no length."""
        if self.end <= self.start:
            raise ValueError(f"a time window must end after it starts, got {self.start} to {self.end}")

    @property
    def days(self) -> int:
        """Days from the first to the last date."""
        return (self.end - self.start).days

    def position(self, day: date) -> float:
        """Fraction of the window at a date; outside [0, 1] for a date outside the window."""
        return (day - self.start).days / self.days

    def date_at(self, position: float) -> date:
        """The nearest whole date at a fraction of the window."""
        return self.start + timedelta(days=round(position * self.days))

"""Dates <-> fractions of a window."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.geo.timewindow import TimeWindow

days = st.dates(date(1980, 1, 1), date(2060, 1, 1))


@given(days, st.integers(1, 3000), st.data())
def test_date_returns_from_its_position(start, length, data):
    window = TimeWindow(start, start + timedelta(days=length))
    day = start + timedelta(days=data.draw(st.integers(-length, 2 * length)))
    assert window.date_at(window.position(day)) == day


def test_ends_are_0_and_1():
    window = TimeWindow(date(2022, 3, 1), date(2022, 8, 31))
    assert (window.position(window.start), window.position(window.end)) == (0, 1)


def test_window_that_runs_backwards_is_refused():
    with pytest.raises(ValueError, match="must end after it starts"):
        TimeWindow(date(2022, 3, 1), date(2022, 3, 1))

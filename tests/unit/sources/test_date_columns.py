"""Columns of dates as tables of many countries and programs hold them."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.sources.date_columns import read_dates

DAYS = st.dates(date(1950, 1, 1), date(2049, 12, 31))
APRIL = date(2021, 4, 20)


@pytest.mark.parametrize(
    "value",
    [
        "2021-04-20", "2021/04/20", "20210420", 20210420, 20210420.0, "20210420.0",
        "2021-04-20T23:30:00-05:00",
        "2021-04-20T23:30:00Z", "2021-04-20 00:30:00+02", "20 Apr 2021", "April 20, 2021", "20. April 2021",
        "20 avril 2021", "20 de abril de 2021", "2021110", "2021-110", APRIL, datetime(2021, 4, 20, 23, 59),
        pandas.Timestamp("2021-04-20 23:30", tz="America/Chicago"), np.datetime64("2021-04-20"),
        datetime(2021, 4, 20, 23, 30, tzinfo=timezone(timedelta(hours=-5))), "20.04.2021", "20.4.21",
    ],
    ids=str,
)  # fmt: skip
def test_one_date_in_many_spellings(value) -> None:
    assert read_dates("sown", [value]).days == (APRIL,)


@given(st.lists(DAYS, min_size=1), st.sampled_from(["%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y"]))
def test_the_column_decides_on_day_or_month(days, form) -> None:
    found = read_dates("sown", [day.strftime(form) for day in days])
    if any(day.day > 12 for day in days):
        assert found.days == tuple(days)
    else:  # each day is right, or skipped and said
        assert all(day in (wanted, None) for day, wanted in zip(found.days, days, strict=True))
        assert None not in found.days or "comes first" in " ".join(found.notes)


def test_an_undecided_column_is_left_out_until_the_order_is_stated() -> None:
    found = read_dates("sown", ["05/06/2021", "07/08/2021"])
    assert found.days == (None, None)
    assert "skipped 2 dates" in found.notes[0]
    assert "date_order" in found.notes[0]
    assert read_dates("sown", ["05/06/2021"], "day_first").days == (date(2021, 6, 5),)
    assert read_dates("sown", ["05/06/2021"], "month_first").days == (date(2021, 5, 6),)


def test_other_rows_of_the_file_may_decide() -> None:
    assert read_dates("sown", ["05/06/2021"], more=lambda: ["25/12/2021"]).days == (date(2021, 6, 5),)


def test_a_column_with_both_orders_is_left_out() -> None:
    found = read_dates("sown", ["25/04/2021", "04/25/2021", "05/06/2021"])
    assert "both orders" in found.notes[0]
    assert found.days[2] is None


@given(
    st.lists(DAYS.filter(lambda day: day.year >= 1975), min_size=1), st.sampled_from([1, 1000, 10**6, 10**9])
)
def test_times_since_1970_of_any_unit(days, unit) -> None:
    moments = [int(datetime(d.year, d.month, d.day, 12, tzinfo=UTC).timestamp()) * unit for d in days]
    for values in (moments, [str(moment) for moment in moments]):
        found = read_dates("sown", values)
        assert found.days == tuple(days)
        assert "since 1970" in found.notes[0]


def test_days_of_a_spreadsheet() -> None:
    assert read_dates("sown", [44306, "44307"]).days == (APRIL, date(2021, 4, 21))


def test_what_is_not_understood_is_counted_with_the_first() -> None:
    found = read_dates("sown", ["2021-04-20", "soon", None, "", "unknown", "2020-99-99", float("nan")])
    assert found.days == (APRIL, *[None] * 6)
    assert found.notes == ("3 values of column sown were not understood (first: 'soon')",)


@given(st.lists(st.text(max_size=12) | st.floats() | st.integers() | st.none() | st.booleans()))
def test_any_column_is_read_or_counted(values) -> None:
    found = read_dates("sown", values)
    assert len(found.days) == len(values)

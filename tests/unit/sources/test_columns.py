"""Columns and cells of people's tables."""

import pandas
import pytest

from agrilape.sources.columns import is_nothing, known_column, read_number, read_numbers


@pytest.mark.parametrize(
    "name", ["sowing_date", "SOWING_DATE", "Sowing Date", "sowing-date", "\ufeffsowing_date", "sowing_dat"]
)
def test_a_column_is_known_whatever_its_spelling(name) -> None:
    assert known_column(["crop", name], ("sowing_date",)) == name
    assert known_column(["crop"], ("sowing_date",)) is None


def test_a_whole_name_goes_before_a_cut_one() -> None:
    assert known_column(["harvest_da", "harvest_date"], ("harvest_date",)) == "harvest_date"


@pytest.mark.parametrize(
    "value", [None, pandas.NA, pandas.NaT, float("nan"), "", " ", "<NA>", "None", "n/a", "NaN"]
)
def test_nothing(value) -> None:
    assert is_nothing(value)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("1,5", 1.5),
        ("1.5", 1.5),
        (2, 2.0),
        ("-3e2", -300),
        ("1.234,5", None),
        ("x", None),
        (True, None),
        ("inf", None),
    ],
)
def test_numbers_with_decimal_commas(value, number) -> None:
    assert read_number(value) == number


def test_what_is_no_number_is_counted() -> None:
    assert read_numbers("lai", ["1,5", "high", None]) == (
        [1.5, None, None],
        ["1 value of column lai was not understood: 'high'"],
    )

from datetime import date

import pytest

from agrilape.serve.spoken_dates import Stretch, find_dates


@pytest.mark.parametrize(
    "said", ["2018-06-27", "27.6.2018", "27.06.2018", "27 June 2018", "27. Juni 2018", "June 27th, 2018"]
)
def test_a_day_is_found_however_it_is_written(said):
    rest, dates = find_dates(f"What is the stage on {said}?")
    assert dates == (Stretch(date(2018, 6, 27), date(2018, 6, 27)),)
    assert rest.split() == ["What", "is", "the", "stage", "on", "⟦time⟧", "?"]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("in 2018", date(2018, 1, 1), date(2018, 12, 31)),
        ("in February 2020", date(2020, 2, 1), date(2020, 2, 29)),
        ("from 2018-04-01 to 2018-10-01", date(2018, 4, 1), date(2018, 10, 1)),
        ("zwischen März 2018 und Oktober 2018", date(2018, 3, 1), date(2018, 10, 31)),
    ],
)
def test_months_years_and_stretches(text, start, end):
    assert find_dates(text)[1] == (Stretch(start, end),)


def test_two_years_stay_two():
    assert [one.start.year for one in find_dates("in 2018 and in 2019")[1]] == [2018, 2019]


@pytest.mark.parametrize("text", ["at 2018.5, 20.25", "EPSG:2056 2600000 1200000", "31.2.2018", "12 fields"])
def test_other_numbers_are_no_dates(text):
    assert find_dates(text) == (text, ())

"""What files call their bands and dates."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.sources.bands import BandHints, name_bands
from agrilape.sources.dates import parse_date


@pytest.mark.parametrize(
    ("descriptions", "colours", "stem", "expected"),
    [
        (("B02", "B03", "B04", "B08"), ("gray",) * 4, "x", ("blue", "green", "red", "nir")),
        (("Near Infrared", "Red", "B8A"), ("gray",) * 3, "x", ("nir", "red", "nir_narrow")),
        ((None,) * 3, ("red", "green", "blue"), "x", ("red", "green", "blue")),
        ((None,) * 4, ("red", "green", "blue", "alpha"), "x", ("red", "green", "blue", "alpha")),
        ((None,) * 4, ("gray", "undefined", "undefined", "undefined"), "x", ("red", "green", "blue", "nir")),
        ((None,), ("gray",), "T32UNF_20210503_B04_10m", ("red",)),
        ((None,), ("gray",), "dtwsat_ndvi_231m", ("ndvi",)),
        ((None,), ("gray",), "elevation", ("band_1",)),
        (("red", "red"), ("gray",) * 2, "x", ("red", "band_2")),
        (("B04", "quality"), ("gray",) * 2, "x", ("red", "band_2")),
    ],
)
def test_roles(descriptions, colours, stem, expected):
    assert name_bands(descriptions, BandHints(colours=colours), stem).roles == expected


@given(
    st.dates(date(1950, 1, 1), date(2099, 12, 31)),
    st.sampled_from(["%Y-%m-%d", "%Y%m%d", "%Y:%m:%d %H:%M:%S", "%d.%m.%Y", "%d %B %Y", "%b %d, %Y"]),
)
def test_dates_of_several_forms(day, form):
    assert parse_date(f"S2A_{day.strftime(form)}_L2A") == day


@given(st.dates(date(1950, 1, 1), date(2099, 12, 31)))
def test_day_of_the_year(day):
    assert parse_date(f"MOD13Q1.{day.strftime('A%Y%j')}.h12v10.tif") == day


@given(st.text())
def test_any_text_is_a_date_or_none(text):
    assert parse_date(text) is None or isinstance(parse_date(text), date)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20211301",
        "2021-06-31",
        "tile 31TEJ",
        "123456789012",
        "1:20210503999",
        "A2021367",
        "May 2021",
        "NaT",
        "nan",
        "05/13/2021",
    ],
)
def test_what_is_no_date(text):
    assert parse_date(text) is None

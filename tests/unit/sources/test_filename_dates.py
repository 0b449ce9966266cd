"""Dates in file names whose order of day and month only the set of names tells."""

from datetime import date

import pytest
from tests.unit.sources.conftest import reflectance

from agrilape.sources import open_folder
from agrilape.sources.filename_dates import dates_in_names


@pytest.mark.parametrize(
    ("stems", "days", "noted"),
    [
        (("a_05-06-2021", "a_13-06-2021"), ((2021, 6, 5), (2021, 6, 13)), False),
        (("a_05-06-2021", "a_06-13-2021"), ((2021, 5, 6), (2021, 6, 13)), False),
        (("a_05_06_2021", "a_06_13_2021_clip"), ((2021, 5, 6), (2021, 6, 13)), False),
        (("a_05.06.2021", "a_07.08.2021"), ((2021, 6, 5), (2021, 8, 7)), True),
        (
            ("a_05-06-2021", "a_06-13-2021", "b_14-06-2021"),
            ((2021, 6, 5), (2021, 6, 13), (2021, 6, 14)),
            True,
        ),
        (("a_05-05-2021",), ((2021, 5, 5),), False),
        (("20210503", "a_2021-06-12", "m_4111124_ne_12_060_20210503"), (), False),
    ],
)
def test_the_set_of_names_decides(stems, days, noted):
    found = dates_in_names(stems)
    assert tuple(found.days.values()) == tuple(date(*day) for day in days)
    assert (found.note is not None) == noted


def test_a_surer_date_in_the_name_counts():
    assert dates_in_names(["05-06-2021_20210612"]).days == {}


def test_images_named_the_american_way_are_one_series(write_raster, tmp_path):
    for name in ("farm_05-06-2021.tif", "farm_06-13-2021.tif"):
        write_raster(name, reflectance())
    (scene,) = open_folder(tmp_path).scenes
    assert [frame.acquired for frame in scene.frames] == [date(2021, 5, 6), date(2021, 6, 13)]


def test_an_order_that_no_name_tells_is_said(write_raster, tmp_path):
    for name in ("farm_05-06-2021.tif", "farm_06-07-2021.tif"):
        write_raster(name, reflectance())
    opened = open_folder(tmp_path)
    assert [frame.acquired.month for frame in opened.scenes[0].frames] == [6, 7]
    assert any("2 file names were read with the day first (farm_05-06-2021 as 2021-06-05)" in note
               for note in opened.notes)  # fmt: skip

import io
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from shapely import box

from agrilape.geo.shapes import Box, Instant, Point, Span
from agrilape.geo.timewindow import TimeWindow
from agrilape.prepare.chips import ChipCutter
from agrilape.sources.scene import Observation, Parcel, PixelWindow, Zone
from agrilape.sources.tiling import plan_windows

SIDE = 128
SEASON = TimeWindow(date(2022, 1, 1), date(2022, 12, 31))
WHOLE = PixelWindow(0, 0, SIDE, SIDE)
CORNER = PixelWindow(0, 0, 64, 64)


@given(
    st.integers(20, 400), st.integers(20, 400), st.integers(32, 128), st.sampled_from([0.0, 0.25, 0.5, 0.9])
)
def test_windows_cover_the_raster_and_overlap_enough(width, height, side, overlap):
    windows = plan_windows(width, height, side, overlap)
    covered = np.zeros((height, width), bool)
    for column, row, w, h in windows:
        assert 0 <= column <= width - w
        assert 0 <= row <= height - h
        covered[row : row + h, column : column + w] = True
    assert covered.all()
    columns = sorted({window.column for window in windows})
    assert all(b - a <= windows[0].width * (1 - overlap) + 1 for a, b in pairwise(columns))


def test_a_still_is_undated_and_shows_its_window(config, make_scene):
    view = ChipCutter(make_scene(easting=500_000), config()).cut(PixelWindow(64, 32, 64, 64))
    (picture,) = view.chip.pictures
    assert picture.acquired is None
    assert view.chip.window is None
    pixels = np.asarray(Image.open(io.BytesIO(picture.data)))
    assert pixels.shape == (64, 64, 3)
    assert pixels[0, 0].tolist() == [32, 64, 0]  # row and column of the window's corner
    assert view.chip.georeference.to_map(Point(0, 0)) == (500_640, 4_999_680)


def test_parcels_are_clipped_and_slivers_excluded(config, maize, make_scene):
    parcels = [
        maize,
        Parcel("half", box(40, 50, 88, 60), "wheat"),  # half of it visible
        Parcel("sliver", box(60, 0, 120, 8), "rye"),  # 4 of 60 columns visible
        Parcel("hair", box(63.99, 20, 100, 30), "oats"),  # nobody would see it
        Parcel("away", box(80, 80, 100, 100), "beet"),
    ]
    fields = {one.id: one for one in ChipCutter(make_scene(parcels=parcels), config()).cut(CORNER).fields}
    assert {name: one.clear for name, one in fields.items()} == {"m": True, "half": True, "sliver": False}
    assert fields["m"].box == pytest.approx(Box(10 / 64, 10 / 64, 50 / 64, 40 / 64))
    assert fields["half"].box == pytest.approx(Box(40 / 64, 50 / 64, 1, 60 / 64))


def test_a_parcel_in_two_like_parts_is_no_answer_and_one_with_a_small_part_is(config, make_scene):
    parcels = [
        Parcel("even", box(5, 5, 25, 25).union(box(35, 5, 55, 25)), "rye"),
        Parcel("main", box(5, 30, 35, 60).union(box(50, 30, 53, 33)), "oats"),
    ]
    fields = {one.id: one for one in ChipCutter(make_scene(parcels=parcels), config()).cut(CORNER).fields}
    assert {name: one.clear for name, one in fields.items()} == {"even": False, "main": True}
    assert fields["main"].box == pytest.approx(Box(5 / 64, 30 / 64, 35 / 64, 60 / 64))


def test_parcels_of_another_split_are_never_clear(config, maize, make_scene):
    (one,) = ChipCutter(make_scene(parcels=[maize]), config(), frozenset({"m"})).cut(CORNER).fields
    assert not one.clear


def test_cloudy_ground_is_not_cut(config, make_scene):
    cloudy = np.full((SIDE, SIDE), 0.5, np.float32)
    cloudy[:20, :64] = np.nan
    scene = make_scene(ndvi=[cloudy])
    assert ChipCutter(scene, config()).cut(CORNER) == "cloud or no data"
    assert not isinstance(ChipCutter(scene, config()).cut(PixelWindow(64, 64, 64, 64)), str)


def test_only_the_labelled_region_has_to_be_seen(config, maize, make_scene):
    masked = np.full((SIDE, SIDE), np.nan, np.float32)
    masked[10:40, 10:50] = 0.5
    scene = make_scene(parcels=[maize], ndvi=[masked], region=maize.outline)
    view = ChipCutter(scene, config()).cut(CORNER)
    assert [one.id for one in view.fields] == ["m"]
    assert not view.complete
    assert ChipCutter(scene, config()).cut(PixelWindow(64, 64, 64, 64)) == "outside the labelled region"


def seasonal(*levels):
    return [np.full((SIDE, SIDE), level, np.float32) for level in levels]


def test_a_series_is_dated_and_spread(config, make_scene):
    images = seasonal(0.2, 0.3, 0.5, 0.8, 0.7, 0.5, 0.3, 0.2)
    images[2][:] = np.nan
    chip = ChipCutter(make_scene(ndvi=images), config(series=3)).cut(CORNER).chip
    days = [picture.acquired for picture in chip.pictures]
    assert days == sorted(days)
    assert len(days) == 3
    assert chip.window == SEASON
    assert days[-1] - days[0] >= (SEASON.end - SEASON.start) / 3


def test_recorded_dates_go_before_measured_ones(config, maize, make_scene):
    images = seasonal(0.2, 0.3, 0.5, 0.8, 0.7, 0.5, 0.3, 0.2)
    (one,) = ChipCutter(make_scene(parcels=[maize], ndvi=images), config(series=4)).cut(CORNER).fields
    assert one.peak_of_season.when == Instant(SEASON.position(SEASON.start + timedelta(days=90)))
    assert not one.peak_of_season.recorded
    recorded = replace(
        maize, peak=SEASON.date_at(0.5), emergence=SEASON.date_at(-0.2), harvest=SEASON.date_at(0.75)
    )
    (one,) = ChipCutter(make_scene(parcels=[recorded], ndvi=images), config(series=4)).cut(CORNER).fields
    assert one.peak_of_season.when.t == pytest.approx(0.5, abs=1 / 365)
    assert one.green.when == pytest.approx(Span(0.0, 0.75), abs=1 / 365)
    assert one.green.recorded


def test_labelled_points_get_their_place_and_pixel(config, make_scene):
    images = seasonal(0.2, 0.3, 0.5, 0.8, 0.7, 0.5, 0.3, 0.2)
    seen = [Observation(32, 16, "land_use", "cropland"), Observation(100, 16, "land_use", "pasture")]
    (spot,) = (
        ChipCutter(make_scene(ndvi=images, observations=tuple(seen)), config(series=4)).cut(CORNER).spots
    )
    assert (spot.point, spot.value) == ((0.5, 0.25), "cropland")
    assert spot.peak_of_season is not None


def test_pictures_are_reduced_on_request(config, make_scene):
    chip = ChipCutter(make_scene(), config(image_size=32)).cut(WHOLE).chip
    assert Image.open(io.BytesIO(chip.pictures[0].data)).size == (32, 32)


def test_wholly_visible_parcels_and_their_rows(config, make_scene):
    parcels = [
        Parcel("whole", box(10, 10, 40, 40), "maize", attributes={"row_azimuth_deg": 30.0}),
        Parcel("cut", box(45, 45, 100, 60), "maize", attributes={"row_azimuth_deg": 90.0}),
    ]
    scene = make_scene(parcels=parcels, easting=500_000)
    fields = {field.id: field for field in ChipCutter(scene, config()).cut(CORNER).fields}
    assert (fields["whole"].whole, fields["cut"].whole) == (True, False)
    assert fields["whole"].rows == pytest.approx(60)  # 30 degrees clockwise from up
    assert fields["cut"].rows == pytest.approx(0, abs=1e-9)
    (no_map,) = ChipCutter(make_scene(parcels=parcels[:1]), config()).cut(CORNER).fields
    assert no_map.rows is None


def test_greenness_of_fields_in_the_pictures_that_are_shown(config, maize, make_scene):
    images = seasonal(0.2, 0.3, 0.5, 0.8, 0.7, 0.5, 0.3, 0.2)
    images[3][:, :] = 0.8
    view = ChipCutter(make_scene(parcels=[maize], ndvi=images), config(series=4)).cut(CORNER)
    (field,) = view.fields
    shown = [(picture.acquired - SEASON.start).days // 30 for picture in view.chip.pictures]
    assert field.ndvi == pytest.approx([float(images[number][0, 0]) for number in shown])


STRESSED = box(20, 20, 36, 30)


def stressed_view(config, make_scene, day, level=0.2, since=60, harvest=None, zone=STRESSED):
    """A field with a zone that is stressed from a day on, seen on another."""
    image = np.full((SIDE, SIDE), 0.6, np.float32)
    image[20:30, 20:36] = level
    parcel = Parcel(
        "m", box(10, 10, 50, 40), "maize", harvest=harvest and SEASON.start + timedelta(days=harvest)
    )
    onset = SEASON.start + timedelta(days=since)
    scene = make_scene(
        parcels=[parcel], ndvi=[image], zones=(Zone("stress", "pest", zone, "m", None, onset),)
    )
    frame = replace(scene.frames[0], acquired=SEASON.start + timedelta(days=day))
    return ChipCutter(replace(scene, frames=(frame,)), config()).cut(CORNER)


def test_stress_is_shown_once_it_has_developed(config, make_scene):
    (stress,) = stressed_view(config, make_scene, 80).stress
    assert stress.clear
    assert (stress.parcel, stress.cause) == ("m", "pest")
    assert stress.box == pytest.approx(Box(20 / 64, 20 / 64, 36 / 64, 30 / 64))
    assert stress.share == pytest.approx(160 / 1200)


@pytest.mark.parametrize(
    ("facts", "clear"),
    [({"day": 59}, None), ({"day": 65}, False), ({"day": 80, "level": 0.57}, False),
     ({"day": 80, "harvest": 75}, None), ({"day": 80, "zone": box(20, 20, 80, 30)}, False)],
    ids=["before", "hardly begun", "cannot be seen", "after harvest", "cut by the chip's edge"],
)  # fmt: skip
def test_stress_that_does_not_show_is_not_asked_about(config, make_scene, facts, clear):
    found = stressed_view(config, make_scene, **facts).stress
    assert [stress.clear for stress in found] == ([] if clear is None else [clear])


@pytest.mark.parametrize(("start", "kept"), [(0, True), (200, False)])
def test_a_label_of_another_season_is_not_told_of_a_still(config, make_scene, start, kept):
    first = SEASON.start + timedelta(days=start)
    label = Observation(32, 16, "crop", "rye", first, first + timedelta(days=120))
    scene = make_scene(ndvi=seasonal(0.5), observations=(label,))  # of 1 January
    assert bool(ChipCutter(scene, config()).cut(CORNER).spots) is kept


def test_codes_of_the_crop_hierarchy_are_kept(config, make_scene):
    parcel = Parcel("m", box(10, 10, 40, 40), "maize", attributes={"EC_hcat_c": 3301010600})
    (field,) = ChipCutter(make_scene(parcels=[parcel]), config()).cut(CORNER).fields
    assert field.hcat == "3301010600"

"""Seasons: the double-logistic curve and the dates read off it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.simulate import spectra
from agrilape.simulate.crops import CROPS
from agrilape.simulate.phenology import BARE, DAYS, Canopy, Season, draw_season, read_dates
from agrilape.simulate.regions import REGIONS

SOWN = [name for name, crop in CROPS.items() if crop.sowing_lag is not None]
WINDOW = (32, 304)


def seasons(crops, seed=0, year=2022, shift=0.0, soil=REGIONS[0].soil):
    season = draw_season(np.random.default_rng(seed), crops, year, shift, np.ones(len(crops)))
    canopy = season.canopy(DAYS)
    ndvi = spectra.ndvi(spectra.reflectance(canopy, crops, soil))
    return season, canopy, ndvi, read_dates(season, canopy, ndvi, WINDOW)


def one_field(crop="maize", **changes):
    values = {
        "autumn": -1e4,
        "greenup": 150.0,
        "senescence": 250.0,
        "harvest": 1e4,
        "peak": 0.85,
        "bloom": 0.0,
    }
    arrays = {name: np.array([value]) for name, value in (values | changes).items()}
    return Season(crops=(crop,), cuts=np.full((1, 4), 1e4), **arrays)


def test_greenness_is_the_double_logistic_of_beck_2006():
    crop = CROPS["maize"]
    level = crop.winter
    rise = 1 / (1 + np.exp(-crop.greenup_rate * (DAYS - 150)))
    fall = 1 / (1 + np.exp(crop.senescence_rate * (DAYS - 250)))
    beck = level + (0.85 - level) * (rise + fall - 1)
    assert level == BARE
    np.testing.assert_allclose(one_field().canopy(DAYS).greenness[0], beck, atol=2e-3)


def test_harvest_ends_the_green_and_leaves_stubble():
    canopy = one_field(harvest=240.0).canopy(np.array([239.0, 240.0, 300.0]))
    assert canopy.greenness[0, 0] > 0.5
    assert canopy.greenness[0, 1] == canopy.greenness[0, 2] == BARE
    assert canopy.straw[0, 1] > 3 * canopy.straw[0, 2] > 0


@given(st.integers(0, 10_000), st.integers(1990, 2040), st.floats(-15, 15), st.sampled_from(REGIONS))
def test_dates_of_sown_crops_are_in_order(seed, year, shift, region):
    *_, dates = seasons(SOWN, seed, year, shift, region.soil)
    for crop, day in zip(SOWN, dates, strict=True):
        assert day.sowing < day.emergence < day.peak < day.harvest, crop
        assert day.green_from <= day.peak <= day.green_until <= day.harvest, crop


def test_ndvi_rises_to_the_peak_date_and_falls_to_the_harvest():
    _, _, ndvi, dates = seasons(SOWN)
    for curve, day in zip(ndvi, dates, strict=True):
        at = dict(zip(DAYS, curve, strict=True))
        assert at[day.peak] > at[day.emergence] + 0.3
        assert at[day.peak] > at[day.harvest] + 0.3
        assert at[day.emergence] > at[day.sowing]


def test_what_is_not_sown_has_no_sowing_and_no_harvest():
    *_, dates = seasons(["grassland", "fallow"])
    assert [(d.sowing, d.emergence, d.harvest) for d in dates] == [(None, None, None)] * 2
    assert dates[1].green_from is None  # sparse weeds never reach an NDVI of 0.5


def test_barley_ripens_before_wheat_and_wheat_before_maize():
    crops = ["winter barley"] * 30 + ["winter wheat"] * 30 + ["maize"] * 30
    *_, dates = seasons(crops)
    barley, wheat, maize = np.array([d.harvest for d in dates]).reshape(3, 30).mean(axis=1)
    assert barley + 10 < wheat < maize - 30


def test_a_year_shifts_all_scenes_alike_and_fields_differ():
    def harvest(seed, year):
        return np.array([d.harvest for d in seasons(["winter wheat"] * 40, seed, year)[3]])

    assert np.ptp(harvest(0, 2021)) > 5
    assert abs(harvest(0, 2021).mean() - harvest(1, 2021).mean()) < 3
    assert np.ptp([harvest(0, year).mean() for year in range(2000, 2010)]) > 5


def test_mown_grass_is_cut_and_grows_back():
    season, canopy, _, _ = seasons(["grassland"] * 20)
    mown = np.flatnonzero(season.cuts[:, 0] < 1000)
    assert 0 < len(mown) < 20
    first = season.cuts[mown[0], 0]
    before, after = (canopy.greenness[mown[0], np.searchsorted(DAYS, first + d)] for d in (-1, 0))
    assert after < before - 0.2


def test_rapeseed_in_flower_is_yellow():
    day = float(CROPS["rapeseed"].bloom[0])
    season = one_field("rapeseed", autumn=-112.0, greenup=82.0, senescence=174.0, bloom=day)
    blue, green, red, _ = spectra.reflectance(season.canopy(np.array([day])), ["rapeseed"], REGIONS[0].soil)[
        0, 0
    ]
    assert min(green, red) > 2 * blue


@pytest.mark.parametrize("crop", list(CROPS))
@pytest.mark.parametrize("ndvi", [0.25, 0.5, 0.7])
def test_leaves_over_soil_have_the_canopys_ndvi(crop, ndvi):
    soil = REGIONS[0].soil
    canopy = Canopy(np.array([[ndvi]]), np.zeros((1, 1)), np.zeros((1, 1)))
    assert spectra.ndvi(spectra.reflectance(canopy, [crop], soil))[0, 0] == pytest.approx(ndvi, abs=1e-6)

"""Pictures: stretch, no data, indices and formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sources.conftest import SIZE

from agrilape.errors import DataError
from agrilape.sources import PixelWindow, read_raster
from agrilape.sources.composite import (
    INDICES,
    NO_DATA_GREY,
    composite_bands,
    evaluate_formula,
    inputs_of,
    percentile_stretch,
    render,
)

reflectances = st.floats(0.0078125, 1, width=32)


@given(reflectances, reflectances)
def test_ndvi_is_its_formula(nir, red):
    bands = {"nir": np.full((2, 2), nir, np.float32), "red": np.full((2, 2), red, np.float32)}
    assert evaluate_formula(INDICES["ndvi"].formula, bands)[0, 0] == pytest.approx(
        (nir - red) / (nir + red), abs=1e-5
    )


def test_evi_of_a_known_pixel():
    bands = {
        role: np.array([[value]], np.float32) for role, value in (("nir", 0.4), ("red", 0.05), ("blue", 0.03))
    }
    assert evaluate_formula(INDICES["evi"].formula, bands)[0, 0] == pytest.approx(2.5 * 0.35 / 1.475)


def test_index_is_missing_where_it_is_undefined():
    bands = {"nir": np.array([[0.0, np.nan]], np.float32), "red": np.zeros((1, 2), np.float32)}
    assert np.isnan(evaluate_formula(INDICES["ndvi"].formula, bands)).all()


@pytest.mark.parametrize(
    "formula", ["__import__('os')", "nir.real", "nir[0]", "(lambda: 0)()", "nir if red else 1", "nir -"]
)
def test_formula_is_arithmetic_only(formula):
    with pytest.raises(DataError, match="formula"):
        inputs_of(formula)


def test_own_formula_is_a_composite(write_raster):
    frame = read_raster(write_raster()).frames[0]
    window = PixelWindow(0, 0, 8, 8)
    own, known = (frame.read(window, (name,)) for name in ("(nir - red) / (nir + red)", "ndvi"))
    np.testing.assert_array_equal(own, known)
    assert frame.picture(window, "(nir - red) / (nir + red)").shape == (8, 8, 3)


@pytest.mark.parametrize("composite", ["true_colour", "false_colour", "ndvi", "nir,green,blue"])
def test_no_data_is_grey(write_raster, composite):
    values = np.random.default_rng(0).integers(100, 4000, (4, SIZE, SIZE), dtype=np.uint16)
    values[:, :7] = 0
    picture = (
        read_raster(write_raster(values=values, nodata=0))
        .frames[0]
        .picture(PixelWindow(-5, 0, 64, 64), composite)
    )
    assert picture.dtype == np.uint8
    assert (picture[:7] == NO_DATA_GREY).all()
    assert (picture[:, :5] == NO_DATA_GREY).all()
    assert picture[7:, 5:].std() > 10


def test_all_windows_of_a_scene_share_one_stretch(write_raster):
    frame = read_raster(write_raster()).frames[0]
    whole = frame.picture(PixelWindow(0, 0, SIZE, SIZE), "true_colour")
    part = frame.picture(PixelWindow(20, 30, 40, 24), "true_colour")
    np.testing.assert_array_equal(part, whole[30:54, 20:60])


def test_stretch_is_stated_and_kept_for_all_dates(write_raster):
    bright = np.random.default_rng(1).integers(3000, 6000, (4, SIZE, SIZE), dtype=np.uint16)
    stack = np.concatenate([bright[:1] // 2, bright[:1]])
    scene = read_raster(write_raster("nir.tif", stack, ("2021-04-01", "2021-05-01")))
    assert scene.frames[0].stretch == scene.frames[1].stretch
    low, high = scene.meta["stretch"]["nir"]
    assert (low, high) == pytest.approx((0.152, 0.596), abs=5e-3)


def test_stretch_runs_from_0_to_255_and_clips():
    values = np.array([[[-1.0, 0.1, 0.5, 2.0]]] * 3, np.float32)
    limits = dict.fromkeys(("nir", "red", "green"), (0.1, 0.5))
    assert render(values, ("nir", "red", "green"), limits)[0, :, 0].tolist() == [0, 0, 255, 255]


def test_8_bit_pictures_come_out_as_they_went_in(write_raster):
    values = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE), dtype=np.uint8)
    picture = (
        read_raster(write_raster(values=values, names=None))
        .frames[0]
        .picture(PixelWindow(0, 0, SIZE, SIZE), "true_colour")
    )
    np.testing.assert_array_equal(picture, np.moveaxis(values, 0, -1))


def test_visible_bands_share_one_range():
    samples = {
        role: np.linspace(low, high, 1001, dtype=np.float32)
        for role, low, high in (("red", 0, 0.3), ("green", 0.1, 0.2))
    }
    stretch = percentile_stretch(samples)
    spans = [high - low for low, high in stretch.values()]
    assert spans[0] == pytest.approx(spans[1])
    assert stretch["green"][0] == pytest.approx(0.101)


def test_greener_is_greener():
    ramp = render(np.array([[[-0.1, 0.3, 0.8]]], np.float32), ("ndvi",), {})[0].astype(int)
    assert np.all(np.diff(ramp[:, 1] - ramp[:, 0]) > 0)


def test_composite_beyond_the_bands_says_what_is_possible():
    with pytest.raises(DataError, match=r"false_colour.*needs nir") as caught:
        composite_bands("false_colour", ("red", "green", "blue"))
    assert "true_colour" in caught.value.remedy

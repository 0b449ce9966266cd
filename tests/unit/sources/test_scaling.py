"""From stored numbers to reflectance: files, users, conventions and the Sentinel-2 baseline."""

import json

import numpy as np
import pytest
from affine import Affine
from tests.unit.sources.conftest import SIZE, reflectance, window_of

from agrilape.sources import open_folder
from agrilape.sources.scaling import ASSUMED, Baseline, baseline_of
from agrilape.sources.scene_json import ReadOptions

SAFE = "S2B_MSIL2A_20220503T103021_N0400_R108_T32UNF_20220503T140000.SAFE"
OLD_SAFE = "S2A_MSIL2A_20210503T103021_N0300_R108_T32UNF_20210503T140000.SAFE"


def red_of(tmp_path, **options):
    opened = open_folder(tmp_path, **options)
    return np.nanmean(window_of(opened.scenes[0].frames[0], ("red",))), opened


@pytest.mark.parametrize(
    ("tags", "reflectance"),
    [
        ({}, 0.3),
        ({"PROCESSING_BASELINE": "02.14"}, 0.3),
        ({"PROCESSING_BASELINE": "04.00"}, 0.2),
        ({"PROCESSING_BASELINE": "05.10", "BOA_OFFSET_APPLIED": "true"}, 0.3),
    ],
)
def test_baseline_in_tags(write_raster, tmp_path, tags, reflectance):
    write_raster(values=np.full((4, SIZE, SIZE), 3000, np.uint16), tags=tags)
    red, opened = red_of(tmp_path)
    assert red == pytest.approx(reflectance)
    assert (ASSUMED in opened.notes) == (not tags)


@pytest.mark.parametrize(
    ("facts", "reflectance"),
    [
        ({"processing_baseline": "04.00"}, 0.2),
        ({"processing_baseline": "04.00", "boa_offset_applied": True}, 0.3),
        ({"scale": 2e-4}, 0.6),
        ({"scale": 1e-4, "offset": -0.05}, 0.25),
    ],
)
def test_what_the_user_states_wins(write_raster, tmp_path, facts, reflectance):
    write_raster("deep/er/20210503.tif", np.full((4, SIZE, SIZE), 3000, np.uint16))
    (tmp_path / "scene.json").write_text(json.dumps(facts))
    red, opened = red_of(tmp_path)
    assert red == pytest.approx(reflectance)
    assert ASSUMED not in opened.notes


def test_nearer_facts_win_over_those_above(write_raster, tmp_path):
    for folder in ("a", "b"):
        write_raster(f"{folder}/20210503.tif", np.full((4, SIZE, SIZE), 3000, np.uint16))
    (tmp_path / "scene.json").write_text('{"scale": 0.0002, "sensor": "camera"}')
    (tmp_path / "b/scene.json").write_text('{"scale": 0.0001}')
    scenes = open_folder(tmp_path).scenes
    assert [window_of(scene.frames[0], ("red",)).mean() for scene in scenes] == pytest.approx([0.6, 0.3])
    assert {scene.meta["sensor"] for scene in scenes} == {"camera"}


@pytest.mark.parametrize(
    "facts", ['{"scale": -1}', '{"scale": "much"}', '{"bands": 3}', '{"window": {"start": 1}}']
)
def test_impossible_facts_name_the_key(write_raster, tmp_path, facts):
    write_raster("20210503.tif")
    (tmp_path / "scene.json").write_text(facts)
    opened = open_folder(tmp_path)
    assert opened.scenes == ()
    assert f"scene.json: {next(iter(json.loads(facts)))}" in opened.problems[0].reason


def test_zero_of_a_sentinel2_product_is_no_data_not_a_negative_reflectance(write_raster, tmp_path):
    values = np.full((4, SIZE, SIZE), 1200, np.uint16)
    values[:, :10] = 0
    write_raster(values=values, tags={"PROCESSING_BASELINE": "04.00"})
    frame = open_folder(tmp_path).scenes[0].frames[0]
    red = window_of(frame, ("red",))[0]
    assert np.isnan(red[:10]).all()
    assert red[10:] == pytest.approx(np.full((SIZE - 10, SIZE), 0.02), abs=1e-6)


def test_indices_are_not_shifted(write_raster, tmp_path):
    write_raster(
        "ndvi_20220503.tif",
        np.full((1, SIZE, SIZE), 3000, np.int16),
        None,
        tags={"PROCESSING_BASELINE": "04.00"},
    )
    assert window_of(open_folder(tmp_path).scenes[0].frames[0], ("ndvi",)).mean() == pytest.approx(0.3)


def test_float_numbers_that_are_no_reflectance_are_said(write_raster, tmp_path):
    write_raster(values=reflectance().astype(np.float32) + 1000)
    assert any("hold no reflectance in 0-1" in note for note in open_folder(tmp_path).notes)
    (tmp_path / "scene.json").write_text('{"scale": 0.0001, "offset": -0.1}')
    opened = open_folder(tmp_path)
    assert opened.notes == ()
    np.testing.assert_allclose(
        window_of(opened.scenes[0].frames[0], ("blue", "green", "red", "nir")),
        reflectance() * 1e-4,
        atol=1e-6,
    )


def test_nodata_and_nan_of_floats(write_raster, tmp_path):
    values = np.full((4, SIZE, SIZE), 0.3, np.float32)
    values[:, :5], values[:, 5:9] = np.nan, -9999
    write_raster(values=values, nodata=-9999)
    red = window_of(open_folder(tmp_path).scenes[0].frames[0], ("red",))[0]
    assert np.isnan(red[:9]).all()
    assert np.isfinite(red[9:]).all()


def test_nodata_may_be_stated(write_raster, tmp_path):
    values = np.full((4, SIZE, SIZE), 3000, np.uint16)
    values[:, :5] = 65535
    write_raster(values=values)
    (tmp_path / "scene.json").write_text('{"nodata": 65535}')
    assert np.isnan(window_of(open_folder(tmp_path).scenes[0].frames[0], ("red",))[0]).sum() == 5 * SIZE


def test_bands_may_be_named(write_raster, tmp_path):
    values = reflectance(bands=5)
    values[4] = 4
    write_raster(values=values, names=None)
    write_raster("few/image.tif", names=None)
    (tmp_path / "scene.json").write_text('{"bands": ["B04", "B08", "B11", "thermal", "SCL"]}')
    opened = open_folder(tmp_path)
    assert opened.scenes[0].frames[0].bands[:4] == ("red", "nir", "swir_1", "thermal")
    assert "few/image.tif has 4 bands, but 5 are named" in opened.problems[0].reason


def product(write_raster, name, day, value):
    """A Sentinel-2 Level-2A product as ESA lays it out, with bands at two resolutions and previews."""
    inside = f"{name}/GRANULE/L2A_T32UNF/IMG_DATA"
    stem = f"T32UNF_{day}T103021"
    full = np.full((1, SIZE, SIZE), value, np.uint16)
    half = np.full((1, SIZE // 2, SIZE // 2), value + 500, np.uint16)
    coarse = {"transform": Affine(20, 0, 600_000, 0, -20, 5_400_000)}
    for band in ("B04", "B08"):
        write_raster(f"{inside}/R10m/{stem}_{band}_10m.tif", full, None)
    write_raster(f"{inside}/R10m/{stem}_TCI_10m.tif", np.full((3, SIZE, SIZE), 90, np.uint8), None)
    write_raster(f"{inside}/R20m/{stem}_B04_20m.tif", half, None, **coarse)
    write_raster(f"{inside}/R20m/{stem}_B11_20m.tif", half, None, **coarse)
    write_raster(f"{inside}/R20m/{stem}_AOT_20m.tif", half, None, **coarse)
    scl = np.full((1, SIZE // 2, SIZE // 2), 4, np.uint8)
    scl[:, :5] = 8
    write_raster(f"{inside}/R20m/{stem}_SCL_20m.tif", scl, None, **coarse)
    write_raster(f"{name}/GRANULE/L2A_T32UNF/QI_DATA/MSK_B04.tif", scl, None, **coarse)


def test_products_of_two_baselines_are_one_series(write_raster, tmp_path):
    product(write_raster, OLD_SAFE, "20210503", 2000)
    product(write_raster, SAFE, "20220503", 3000)
    opened = open_folder(tmp_path)
    assert opened.problems == ()
    (scene,) = opened.scenes
    assert [frame.acquired.year for frame in scene.frames] == [2021, 2022]
    for frame in scene.frames:
        assert frame.bands[:3] == ("red", "nir", "swir_1")
        red, swir = window_of(frame, ("red", "swir_1"))
        assert np.isnan(red[:9]).all()  # cloud of the 20 m classification
        assert np.nanmean(red[12:]) == pytest.approx(0.2)  # of the 10 m file
        assert np.nanmean(swir[12:]) == pytest.approx(0.25)
    unread, *said = sorted(opened.notes)
    assert unread.startswith("6 files are previews, quality layers or heat and were not read: T32UNF_")
    assert said == [
        "Sentinel-2 baseline 03.00: reflectance = number x 1e-4",
        "Sentinel-2 baseline 04.00: reflectance = number x 1e-4 - 0.1",
    ]


@pytest.mark.parametrize(
    ("name", "tags", "expected"),
    [
        (f"/data/{SAFE}/GRANULE/x.jp2", {}, Baseline(4.0)),
        (f"/data/{SAFE}/x.jp2", {"PROCESSING_BASELINE": "05.11"}, Baseline(5.11)),
        ("x.tif", {"s2:processing_baseline": 5.09}, Baseline(5.09)),
        ("x.tif", {"s2:processing_baseline": "0509"}, Baseline(5.09)),
        ("x.tif", {"sentinel:boa_offset_applied": True}, None),
        ("N0400.tif", {}, None),
    ],
)
def test_baseline_of(name, tags, expected):
    assert baseline_of(name, tags, ReadOptions()) == expected

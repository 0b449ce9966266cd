"""GeoTIFFs of any data type, nodata and grid, read by window."""

import os
import pickle
from datetime import date

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import shape
from tests.unit.sources.conftest import SIZE, reflectance

from agrilape.errors import DataError
from agrilape.sources import PixelWindow, read_raster
from agrilape.sources.raster import inspect_raster
from agrilape.sources.series import assemble

WHOLE = PixelWindow(0, 0, SIZE, SIZE)
ALL = ("blue", "green", "red", "nir")


@given(st.integers(-150, 150), st.integers(-150, 150), st.integers(1, 200), st.integers(1, 200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_window_equals_the_slice_of_the_whole(write_raster, column, row, width, height):
    values = reflectance()
    frame = read_raster(write_raster(values=values)).frames[0]
    around = np.full((4, SIZE + 700, SIZE + 700), np.nan, np.float32)
    around[:, 350 : 350 + SIZE, 350 : 350 + SIZE] = values * np.float32(1e-4)
    expected = around[:, 350 + row : 350 + row + height, 350 + column : 350 + column + width]
    read = frame.read(PixelWindow(column, row, width, height), ALL)
    np.testing.assert_allclose(read, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "stored", "physical"),
    [
        ("uint16", 2500, 0.25),
        ("int16", 2500, 0.25),
        ("float32", 0.25, 0.25),
        ("uint8", 51, 0.2),
        ("float64", 0.25, 0.25),
    ],
)
def test_numbers_become_physical_by_data_type(write_raster, dtype, stored, physical):
    values = np.full((4, SIZE, SIZE), stored, dtype)
    assert read_raster(write_raster(values=values)).frames[0].read(WHOLE, ("nir",)).max() == pytest.approx(
        physical
    )


def test_scale_and_offset_of_the_file_win(write_raster):
    """Sentinel-2 since baseline 04.00 stores reflectance x 10,000 + 1,000."""
    path = write_raster(values=np.full((4, SIZE, SIZE), 3000, np.uint16), scales=((1e-4,) * 4, (-0.1,) * 4))
    assert read_raster(path).frames[0].read(WHOLE, ("red",)).mean() == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("dtype", "nodata"), [("uint16", 0), ("int16", -9999), ("float32", float("nan")), ("float32", -1)]
)
def test_nodata_reads_nan(write_raster, dtype, nodata):
    values = np.full((4, SIZE, SIZE), 0.5 if dtype == "float32" else 500, dtype)
    values[:, :10] = nodata
    read = read_raster(write_raster(values=values, nodata=nodata)).frames[0].read(WHOLE, ("red",))
    assert np.isnan(read[0, :10]).all()
    assert np.isfinite(read[0, 10:]).all()


def test_alpha_and_internal_masks_read_nan(write_raster):
    values = np.full((4, SIZE, SIZE), 200, np.uint8)
    values[3, :10] = 0
    path = write_raster(values=values, names=None, photometric="rgb", alpha="yes")
    frame = read_raster(path).frames[0]
    assert frame.bands[:3] == ("red", "green", "blue")
    read = frame.read(WHOLE, ("red",))[0]
    assert np.isnan(read[:10]).all()
    assert np.isfinite(read[10:]).all()


def test_clouds_read_nan_and_clear_zero_is_not_nodata(write_raster):
    values = np.concatenate([reflectance(), np.zeros((1, SIZE, SIZE), np.uint16)])
    values[4, 20:30, 40:50] = 1
    frame = read_raster(
        write_raster(values=values, names=("B02", "B03", "B04", "B08", "cloud_mask"), nodata=0)
    ).frames[0]
    read = frame.read(WHOLE, ALL)
    assert np.isnan(read[:, 20:30, 40:50]).all()
    assert np.isnan(read).sum() == 4 * 100
    assert "cloud_mask" not in frame.bands


def test_scene_classification_masks_clouds(write_raster):
    scl = np.full((1, SIZE, SIZE), 4, np.uint16)
    scl[0, :5], scl[0, 5:10] = 9, 0
    values = np.concatenate([reflectance(), scl])
    frame = read_raster(write_raster(values=values, names=("B02", "B03", "B04", "B08", "SCL"))).frames[0]
    read = frame.read(WHOLE, ("red",))
    assert np.isnan(read[0, :10]).all()
    assert np.isfinite(read[0, 10:]).all()


def test_of_a_scene_classification_vegetation_bare_ground_and_water_are_clear(write_raster):
    """Not no data, defects, shadows, clouds of any kind, cirrus, snow, or what is unclassified."""
    scl = np.broadcast_to(np.arange(SIZE) // 8, (1, SIZE, SIZE)).astype(np.uint16)  # 0-11, as stripes
    values = np.concatenate([reflectance(), scl])
    frame = read_raster(write_raster(values=values, names=("B02", "B03", "B04", "B08", "SCL"))).frames[0]
    seen = np.isfinite(frame.read(WHOLE, ("red",))[0]).all(0)
    assert sorted(set(scl[0, 0, seen].tolist())) == [4, 5, 6]


def test_the_narrow_infrared_stands_in_for_the_broad_one(write_raster):
    frame = read_raster(write_raster(names=("B02", "B03", "B04", "B8A"))).frames[0]
    red, narrow, ndvi = frame.read(WHOLE, ("red", "nir_narrow", "ndvi"))
    np.testing.assert_allclose(ndvi, (narrow - red) / (narrow + red), rtol=1e-4)


def test_band_on_a_coarser_grid_is_laid_onto_the_fine_one(write_raster):
    coarse = np.arange(48 * 48, dtype=np.uint16).reshape(1, 48, 48) + 100
    files = [
        write_raster("20210503_10m.tif"),
        write_raster(
            "20210503_20m.tif",
            coarse,
            ("SCL",),
            transform=Affine(20, 0, 600_000, 0, -20, 5_400_000),
            nodata=0,
        ),
    ]
    series = assemble([inspect_raster(path) for path in files], clear={"scl": (100, 147, 148 + 48)})
    (frame,) = series.frames
    assert (series.grid.width, frame.acquired) == (SIZE, date(2021, 5, 3))
    clear = np.isfinite(frame.read(WHOLE, ("red",))[0])
    expected = np.isin(np.kron(coarse[0], np.ones((2, 2), int)), (100, 147, 196))
    np.testing.assert_array_equal(clear, expected)


def test_file_in_another_crs_is_warped_onto_the_grid(write_raster):
    first = write_raster("a/20210503.tif", np.full((1, SIZE, SIZE), 1000, np.uint16), ("B04",))
    scene = read_raster(first)
    west, south, east, north = shape(scene.georeference.to_geojson(scene.georeference.extent)).bounds
    step = (east - west) / 100
    second = write_raster(
        "a/20210601.tif", np.full((1, 110, 110), 2000, np.uint16), ("B04",), crs="EPSG:4326",
        transform=Affine(step, 0, west, 0, -(north - south) / 100, north),
    )  # fmt: skip
    frames = assemble([inspect_raster(first), inspect_raster(second)]).frames
    assert [frame.acquired.month for frame in frames] == [5, 6]
    middle = frames[1].read(PixelWindow(30, 30, 20, 20), ("red",))
    assert middle == pytest.approx(np.full_like(middle, 0.2))


def test_grid_holds_acquisitions_of_other_extent(write_raster):
    values = reflectance()
    north = write_raster("20210503.tif", values[:, :60])
    south = write_raster("20210601.tif", values[:, 30:], transform=Affine(10, 0, 600_000, 0, -10, 5_399_700))
    series = assemble([inspect_raster(south), inspect_raster(north)])
    assert (series.grid.width, series.grid.height) == (SIZE, SIZE)
    first, second = (frame.read(WHOLE, ALL) for frame in series.frames)
    np.testing.assert_allclose(first[:, :60], values[:, :60] * 1e-4, rtol=1e-5)
    np.testing.assert_allclose(second[:, 30:], values[:, 30:] * 1e-4, rtol=1e-5)
    assert np.isnan(first[:, 60:]).all()
    assert np.isnan(second[:, :30]).all()


def test_frame_is_small_to_send_and_reads_after_it(write_raster):
    frame = read_raster(write_raster()).frames[0]
    before = frame.read(WHOLE, ALL)
    sent = pickle.dumps(frame)
    assert len(sent) < 4000
    np.testing.assert_array_equal(pickle.loads(sent).read(WHOLE, ALL), before)


def test_forked_child_reads_through_its_own_handle(write_raster):
    frame = read_raster(write_raster()).frames[0]
    expected = frame.read(WHOLE, ("red",)).sum()
    child = os.fork()
    if child == 0:
        os._exit(0 if frame.read(WHOLE, ("red",)).sum() == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert frame.read(WHOLE, ("red",)).sum() == expected


def test_file_replaced_on_disk_is_read_anew(write_raster):
    frame = read_raster(write_raster(values=np.full((4, SIZE, SIZE), 1000, np.uint16))).frames[0]
    assert frame.read(WHOLE, ("red",)).mean() == pytest.approx(0.1)
    write_raster(values=np.full((4, SIZE, SIZE), 3000, np.uint16), compress="deflate")
    assert frame.read(WHOLE, ("red",)).mean() == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("options", "day"),
    [
        ({"tags": {"ACQUISITION_DATE": "2021-05-03"}, "name": "20200101.tif"}, date(2021, 5, 3)),
        ({"tags": {"TIFFTAG_DATETIME": "2021:05:03 10:30:21"}}, date(2021, 5, 3)),
        (
            {"tags": {"TIFFTAG_DATETIME": "2023:01:01 00:00:00"}, "name": "S2A_20210503T103021.tif"},
            date(2021, 5, 3),
        ),
        ({}, None),
    ],
)
def test_date_is_found(write_raster, options, day):
    assert read_raster(write_raster(**options)).frames[0].acquired == day


def test_stack_of_dates_gives_one_frame_per_date(write_raster):
    values = np.stack([np.full((SIZE, SIZE), 1000 * n, np.int16) for n in (1, 2, 3)])
    names = ("2021-04-01_2021-04-16", "2021-05-01_2021-05-16", "2021-06-01_2021-06-16")
    scene = read_raster(write_raster("ndvi_stack.tif", values, names))
    assert [frame.acquired for frame in scene.frames] == [date(2021, month, 1) for month in (4, 5, 6)]
    assert [frame.read(WHOLE, ("ndvi",)).mean() for frame in scene.frames] == pytest.approx([0.1, 0.2, 0.3])
    assert scene.window.start < date(2021, 4, 1) < date(2021, 6, 1) < scene.window.end


def test_dates_out_of_order_are_refused(write_raster):
    path = write_raster("ndvi.tif", reflectance(bands=3), ("2021-04-01", "2021-06-01", "2021-05-01"))
    with pytest.raises(DataError, match="2021-05-01 follows 2021-06-01"):
        read_raster(path)


def test_two_images_of_one_date_are_refused(write_raster):
    files = [inspect_raster(write_raster(f"{name}_20210503.tif")) for name in "ab"]
    with pytest.raises(DataError, match="2021-05-03"):
        assemble(files)


def test_undated_image_among_dated_ones_is_refused(write_raster):
    files = [inspect_raster(write_raster(name)) for name in ("20210503.tif", "undated.tif")]
    with pytest.raises(DataError, match=r"undated.tif has no date"):
        assemble(files)


@pytest.mark.parametrize("keep", [0.999, 0.5, 0.01, 0.0])
@pytest.mark.parametrize("compress", ["none", "deflate"])
def test_truncated_file_is_named(write_raster, keep, compress):
    path = write_raster(compress=compress)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(DataError, match=r"image.tif is not a readable image"):
        read_raster(path)


def test_file_that_vanished_is_named(write_raster):
    path = write_raster()
    frame = read_raster(path).frames[0]
    path.unlink()
    with pytest.raises(DataError, match=r"image.tif cannot be read"):
        frame.read(WHOLE, ("red",))


def test_missing_crs_is_refused_unless_pixels_suffice(write_raster):
    path = write_raster(crs=None)
    with pytest.raises(DataError, match="no coordinate reference system"):
        read_raster(path)
    assert read_raster(path, pixels_only=True).georeference is None
    assert read_raster(path, crs="EPSG:32632").georeference.crs == "EPSG:32632"


def test_image_without_a_valid_pixel_is_refused(write_raster):
    with pytest.raises(DataError, match="no pixel is valid"):
        read_raster(write_raster(values=np.zeros((4, SIZE, SIZE), np.uint16), nodata=0))


def test_missing_band_is_named_with_what_there_is(write_raster):
    frame = read_raster(write_raster()).frames[0]
    with pytest.raises(DataError, match=r"no band swir_1 .* blue, green, red, nir"):
        frame.read(WHOLE, ("swir_1",))


def test_a_colour_table_is_refused_but_that_of_a_classification_is_codes(write_raster):
    colours = {n: (n, 0, 0, 255) for n in range(12)}
    for name in ("picture.tif", "20210503_SCL.tif"):
        path = write_raster(name, np.full((1, SIZE, SIZE), 5, np.uint8), None)
        with rasterio.open(path, "r+") as raster:
            raster.write_colormap(1, colours)
    with pytest.raises(DataError, match=r"picture\.tif holds numbers of a colour table"):
        inspect_raster(path.with_name("picture.tif"))
    assert list(inspect_raster(path).layers) == ["scl"]

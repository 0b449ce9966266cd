"""Where rasters lie: by transform, control points, world files; and rasters that lie nowhere."""

import math
import shutil
import subprocess

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from tests.unit.sources.conftest import SIZE, TRANSFORM, reflectance

from agrilape.errors import DataError
from agrilape.sources import PixelWindow, open_folder, read_parcels, read_raster
from agrilape.sources.raster import inspect_raster
from agrilape.sources.series import assemble

WHOLE = PixelWindow(0, 0, SIZE, SIZE)
NAMES = ("B02", "B03", "B04", "B08")


def points(transform, off=0.0, at=((0, 0), (SIZE, 0), (0, SIZE), (SIZE, SIZE))):
    """Control points at (column, row), the last one off by some pixels."""
    found = [GroundControlPoint(row, column, *(transform @ (column, row))) for column, row in at]
    last = found[-1]
    last.x += off * abs(transform.a)
    return found


LOCAL = 'LOCAL_CS["site",UNIT["metre",1]]'
ROTATED = Affine.translation(600_000, 5_400_000) @ Affine.rotation(30) @ Affine.scale(10, -10)


@pytest.mark.parametrize("transform", [TRANSFORM, ROTATED], ids=["north-up", "rotated"])
@pytest.mark.parametrize("count", [3, 4])
def test_control_points_on_a_plane_place_an_image(write_raster, transform, count):
    values = reflectance()
    path = write_raster(values=values, transform=None, gcps=points(transform)[:count])
    scene = read_raster(path)
    assert scene.georeference.crs == "EPSG:32632"
    assert scene.georeference.transform.almost_equals(transform, 1e-3)
    np.testing.assert_allclose(scene.frames[0].read(WHOLE, ("red",))[0], values[2] * 1e-4, rtol=1e-5)


def test_an_image_by_control_points_joins_one_with_a_transform(write_raster):
    values = reflectance()
    first = write_raster("20210503.tif", values)
    part = write_raster(
        "20210612.tif", values[:, 10:70, 20:80], transform=None,
        gcps=points(TRANSFORM @ Affine.translation(20, 10), at=((0, 0), (60, 0), (0, 60), (60, 60))),
    )  # fmt: skip
    series = assemble([inspect_raster(first), inspect_raster(part)])
    read = series.frames[1].read(WHOLE, ("red",))[0]
    np.testing.assert_allclose(read[10:70, 20:80], values[2, 10:70, 20:80] * 1e-4, rtol=1e-3)
    assert np.isnan(read).sum() == SIZE * SIZE - 60 * 60


@pytest.mark.parametrize(
    ("profile", "said", "remedy"),
    [
        ({"gcps": points(TRANSFORM, off=5)}, "4 ground control points that fix none", "gdalwarp -tps"),
        ({"gcps": points(TRANSFORM)[:2]}, "2 ground control points that fix none", "give it 3 or more"),
        ({"gcps": points(TRANSFORM, at=((0, 0), (1, 1), (2, 2)))}, "fix none", "gdalwarp -tps"),
        ({}, "its transform only counts pixels", "world file"),
        ({"crs": None}, "no coordinate reference system", "world file"),
        ({"transform": Affine(1, 0, 0, 0, -1, 0)}, "its transform only counts pixels", "-a_ullr"),
        ({"transform": Affine(10, 0, 6e5, 10, 0, 5.4e6)}, "its transform only counts pixels", "-a_ullr"),
        ({"transform": TRANSFORM, "crs": "EPSG:4326"}, "lies outside what its coordinate system", "assign"),
        ({"transform": Affine(1e-4, 0, 9, 0, -1e-4, 52)}, "its pixels are tiny", "assign the system"),
        ({"transform": TRANSFORM, "crs": LOCAL}, "no place on the Earth", "true CRS"),
        ({"transform": TRANSFORM, "crs": None}, "no coordinate reference system", "rio edit-info --crs"),
    ],
)  # fmt: skip
def test_an_image_without_a_place_gets_none_and_a_remedy(write_raster, tmp_path, profile, said, remedy):
    path = write_raster("bad.tif", **({"transform": None} | profile))
    with pytest.raises(DataError) as error:
        read_raster(path)
    assert said in error.value.problem
    assert str(path) in error.value.problem
    assert remedy in error.value.remedy
    write_raster("good.tif")
    opened = open_folder(tmp_path)
    assert [scene.id for scene in opened.scenes] == ["good"]
    assert [problem.path.name for problem in opened.problems] == ["bad.tif"]


def test_rational_polynomials_alone_are_no_place(write_raster):
    path = write_raster(transform=None, crs=None)
    with rasterio.open(path, "r+") as raster:
        raster.rpcs = RPC(
            height_off=0, height_scale=1, lat_off=48, lat_scale=1, line_den_coeff=[1.0] + [0.0] * 19,
            line_num_coeff=[0.0] * 20, line_off=0, line_scale=1, long_off=9, long_scale=1,
            samp_den_coeff=[1.0] + [0.0] * 19, samp_num_coeff=[0.0] * 20, samp_off=0, samp_scale=1,
        )  # fmt: skip
    with pytest.raises(DataError, match="gdalwarp -rpc"):
        read_raster(path)


@pytest.mark.skipif(not shutil.which("gdalwarp"), reason="GDAL's programs are not installed")
def test_the_remedy_for_bent_control_points_works(write_raster, tmp_path):
    path = write_raster(transform=None, gcps=points(TRANSFORM, off=5))
    with pytest.raises(DataError) as error:
        read_raster(path)
    command = error.value.remedy.partition(": ")[2].split()
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    assert read_raster(tmp_path / "warped.tif").georeference is not None


def test_pixels_suffice_where_that_is_stated(write_raster):
    for profile in ({}, {"crs": None}, {"transform": Affine(10, 0, 6e5, 10, 0, 5.4e6)}):
        path = write_raster(**({"transform": None} | profile))
        assert read_raster(path, pixels_only=True).georeference is None


def test_a_world_file_places_an_image(write_raster, tmp_path):
    path = write_raster("ortho.tif", transform=None, crs=None)
    (tmp_path / "ortho.tfw").write_text("10\n0\n0\n-10\n600005\n5399995\n")
    assert read_raster(path, crs="EPSG:32632").georeference.transform == TRANSFORM
    with pytest.raises(DataError, match="no coordinate reference system"):
        read_raster(path)


STEP = 1e-4


@pytest.mark.parametrize("west", [240.0, 359.995, 179.995, -180.005, -120.0])
def test_longitudes_of_0_to_360_are_those_of_minus_180_to_180(write_raster, write_parcels, west):
    """Place, points and parcels are the same, wherever the file begins to count."""
    path = write_raster(crs="EPSG:4326", transform=Affine(STEP, 0, west, 0, -STEP, 37.0))
    scene = read_raster(path)
    place = scene.georeference
    assert -180 <= place.centre_wgs84()[0] <= 180
    longitude = (west + 30.5 * STEP + 180) % 360 - 180
    for turn in (-360, 0, 360):
        point = place.to_normalised(longitude + turn, 37 - 20.5 * STEP)
        assert (point.x * SIZE, point.y * SIZE) == pytest.approx((30.5, 20.5))
    outline = shapely.box(west + 20 * STEP, 37 - 40 * STEP, west + 50 * STEP, 37 - 20 * STEP)
    for turn in (-360, 0, 360):
        moved = shapely.transform(outline, lambda xy, turn=turn: xy + np.array([turn, 0]))
        assert place.to_pixels(moved).bounds == pytest.approx((20, 20, 50, 40))
    many = place.to_pixels(np.array([shapely.Point(longitude, 37.0), shapely.Point(longitude + 360, 37.0)]))
    assert [point.x for point in many] == pytest.approx([30.5, 30.5])
    assert math.isclose(
        place.area_ha(outline), place.area_ha(shapely.transform(outline, lambda xy: xy + np.array([360, 0])))
    )


def test_dates_of_one_place_that_count_longitudes_otherwise_are_one_series(write_raster):
    values = reflectance()
    files = []
    for name, west in (("20210503", 240.0), ("20210612", -120.0), ("20210801", 240.0 - 10 * STEP)):
        path = write_raster(
            f"{name}.tif", values, crs="EPSG:4326", transform=Affine(STEP, 0, west, 0, -STEP, 37.0)
        )
        files.append(inspect_raster(path))
    series = assemble(files)
    assert (series.grid.width, series.grid.height) == (SIZE + 10, SIZE)
    for frame, at in zip(series.frames, (10, 10, 0), strict=True):
        read = frame.read(PixelWindow(at, 0, SIZE, SIZE), ("red",))[0]
        np.testing.assert_allclose(read, values[2] * 1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:2263", Affine(30, 0, 980_000, 0, -30, 200_000)),  # New York, US survey feet
        ("EPSG:3413", Affine(10, 0, -100_000, 0, -10, -2_000_000)),  # polar stereographic
        ("EPSG:3031", Affine(10, 0, 1_000_000, 0, -10, 1_200_000)),
    ],
)
def test_feet_and_polar_systems_hold(write_raster, write_parcels, crs, transform):
    scene = read_raster(write_raster(crs=crs, transform=transform))
    feet = 0.3048 if crs == "EPSG:2263" else 1.0
    assert scene.georeference.gsd_m == pytest.approx(abs(transform.a) * feet, rel=0.05)
    outline = shapely.transform(
        shapely.box(20, 20, 50, 40), lambda xy: xy * [transform.a, transform.e] + [transform.c, transform.f]
    )
    path = write_parcels(geometry=[outline], crs=crs, to="EPSG:4326", crop=["oats"])
    (parcel,) = read_parcels(path, scene.georeference).parcels
    assert parcel.outline.bounds == pytest.approx((20, 20, 50, 40), abs=0.01)


def test_two_dates_with_alpha_on_two_grids_are_one_series(write_raster):
    values = np.full((4, SIZE, SIZE), 200, np.uint8)
    values[3, :8] = 0
    options = {"names": None, "photometric": "rgb", "alpha": "yes"}
    first = write_raster("20210503.tif", values, **options)
    second = write_raster(
        "20210703.tif", values, **options, transform=TRANSFORM @ Affine.translation(0.5, 0.3)
    )
    series = assemble([inspect_raster(first), inspect_raster(second)])
    for frame in series.frames:
        read = frame.read(WHOLE, ("red",))[0]
        assert np.isnan(read[:8]).all()
        assert read[10:, :90] == pytest.approx(200 / 255, abs=0.01)


@pytest.mark.parametrize(
    "profile",
    [
        {"BIGTIFF": "YES"},
        {"driver": "COG"},
        {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate"},
    ],
)
def test_ways_of_storing_a_tiff_make_no_difference(write_raster, profile):
    values = reflectance()
    frame = read_raster(write_raster(values=values, **profile)).frames[0]
    np.testing.assert_allclose(frame.read(WHOLE, ("red",))[0], values[2] * 1e-4, rtol=1e-5)

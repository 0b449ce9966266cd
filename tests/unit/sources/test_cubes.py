"""NetCDF and Zarr cubes, read lazily by window."""

import json
import pickle
import sys
from datetime import date

import numpy as np
import pytest
from tests.unit.sources.conftest import window_of

from agrilape.errors import DataError
from agrilape.sources import PixelWindow, open_folder

xarray = pytest.importorskip("xarray", reason="extra `cubes` is not installed")
pytest.importorskip("rioxarray")  # gives `.rio`

SIDE = 40
DAYS = np.array(["2021-05-03", "2021-06-12", "2021-08-01"], "datetime64[ns]")
REFLECTANCE = np.random.default_rng(0).uniform(0.01, 0.5, (2, 3, SIDE, SIDE)).astype(np.float32)


def cube(crs="EPSG:32632", south_up=False, **variables):
    """Red and nir of three dates, with pixel centres as coordinates."""
    y = 5_400_000 - 5 - 10.0 * np.arange(SIDE)
    variables = variables or {"B04": REFLECTANCE[0], "B08": REFLECTANCE[1]}
    made = xarray.Dataset(
        {name: (("time", "y", "x"), values) for name, values in variables.items()},
        coords={"time": DAYS, "y": y, "x": 600_005 + 10.0 * np.arange(SIDE)},
    )
    made = made.isel(y=slice(None, None, -1)) if south_up else made
    return made.rio.write_crs(crs) if crs else made


def write(made, path, **options):
    if path.suffix == ".zarr":
        made.to_zarr(path, consolidated=False, **options)
    else:
        made.to_netcdf(path, **options)


@pytest.mark.parametrize("name", ["cube.nc", "cube.zarr"])
@pytest.mark.parametrize("south_up", [False, True])
def test_cube_is_a_series_with_its_bands_by_role(tmp_path, write_parcels, name, south_up):
    write(cube(south_up=south_up), tmp_path / name)
    write_parcels()
    opened = open_folder(tmp_path, images=f"*{name[4:]}")
    (scene,) = opened.scenes
    assert opened.problems == ()
    assert (scene.id, scene.georeference.crs, scene.meta["gsd_m"]) == (
        "cube",
        "EPSG:32632",
        pytest.approx(10, rel=1e-3),
    )
    assert [frame.acquired for frame in scene.frames] == [
        date(2021, 5, 3), date(2021, 6, 12), date(2021, 8, 1)
    ]  # fmt: skip
    for index, frame in enumerate(scene.frames):
        np.testing.assert_array_equal(window_of(frame, ("red", "nir")), REFLECTANCE[:, index])
    assert scene.parcels[0].outline.bounds == pytest.approx((10, 10, 40, 30), abs=1e-6)


def test_window_beyond_the_cube_is_no_data_and_frames_travel(tmp_path):
    write(cube(), tmp_path / "cube.nc")
    frame = open_folder(tmp_path, images="*.nc").scenes[0].frames[1]
    read = pickle.loads(pickle.dumps(frame)).read(PixelWindow(-5, 30, 20, 20), ("red",))[0]
    np.testing.assert_array_equal(read[:10, 5:], REFLECTANCE[0, 1, 30:, :15])
    assert np.isnan(read[10:]).all()
    assert np.isnan(read[:, :5]).all()


def test_only_the_window_is_read(tmp_path):
    write(cube(), tmp_path / "c.zarr", encoding={name: {"chunks": (1, 20, 20)} for name in ("B04", "B08")})
    frame = open_folder(tmp_path, images="*.zarr").scenes[0].frames[0]
    (tmp_path / "c.zarr/B04/c/0/1/1").write_bytes(b"torn")
    np.testing.assert_array_equal(
        frame.read(PixelWindow(0, 0, 20, 20), ("red",))[0], REFLECTANCE[0, 0, :20, :20]
    )
    with pytest.raises(DataError, match=r"c.zarr cannot be read"):
        frame.read(PixelWindow(20, 20, 20, 20), ("red",))


def test_packed_numbers_and_fill_values_follow_cf(tmp_path):
    values = REFLECTANCE[0].copy()
    values[:, :5] = np.nan
    packing = {"dtype": "int16", "scale_factor": 1e-4, "add_offset": 0.1, "_FillValue": -9999}
    write(cube(B04=values), tmp_path / "cube.nc", encoding={"B04": packing})
    opened = open_folder(tmp_path, images="*.nc")
    np.testing.assert_allclose(window_of(opened.scenes[0].frames[2], ("red",))[0], values[2], atol=1e-4)
    assert opened.notes == ()


def test_unpacked_integers_are_scaled_and_that_is_said(tmp_path):
    write(cube(B04=np.full((3, SIDE, SIDE), 2500, np.uint16)), tmp_path / "cube.nc")
    opened = open_folder(tmp_path, images="*.nc")
    assert window_of(opened.scenes[0].frames[0], ("red",)).mean() == pytest.approx(0.25)
    assert any("no scale is stated" in note for note in opened.notes)


def test_band_dimension_and_scene_classification(tmp_path):
    """As stackstac and odc-stac give them: one variable, bands named along a dimension."""
    scl = np.full((3, 1, SIDE, SIDE), 4, np.uint16)
    scl[:, :, :4] = 9
    stack = np.concatenate([np.full((3, 2, SIDE, SIDE), 3000, np.uint16), scl], 1)
    one = cube()
    made = xarray.Dataset(
        {"data": (("time", "band", "y", "x"), stack)},
        coords={
            "time": one.time, "band": ["red", "nir", "scl"], "y": one.y, "x": one.x,
            "s2:processing_baseline": "05.09",
        },
    ).rio.write_crs("EPSG:32632")  # fmt: skip
    write(made, tmp_path / "cube.nc")
    (scene,) = open_folder(tmp_path, images="*.nc").scenes
    red, nir = window_of(scene.frames[0], ("red", "nir"))
    assert np.isnan(red[:4]).all()
    assert red[4:].mean() == pytest.approx(0.2)  # the offset since baseline 04.00
    assert nir[4:].mean() == pytest.approx(0.2)


def test_geographic_cube_needs_no_grid_mapping(tmp_path):
    made = xarray.Dataset(
        {"ndvi": (("time", "latitude", "longitude"), REFLECTANCE[0])},
        coords={
            "time": DAYS,
            "latitude": ("latitude", 50 - 0.01 * np.arange(SIDE), {"units": "degrees_north"}),
            "longitude": ("longitude", 8 + 0.01 * np.arange(SIDE), {"units": "degrees_east"}),
        },
    )
    write(made, tmp_path / "cube.nc")
    (scene,) = open_folder(tmp_path, images="*.nc").scenes
    assert scene.meta["longitude"] == pytest.approx(8 + 0.01 * 19.5)
    np.testing.assert_array_equal(window_of(scene.frames[0], ("ndvi",))[0], REFLECTANCE[0, 0])


def test_lone_unnamed_variable_is_named_by_its_file(tmp_path):
    write(cube(anything=REFLECTANCE[0]), tmp_path / "ndvi_2021.nc")
    (scene,) = open_folder(tmp_path, images="*.nc").scenes
    assert scene.frames[0].bands == ("ndvi",)


def test_times_that_are_strings_missing_or_twice(tmp_path):
    made = cube().isel(time=[0, 1, 2, 2]).assign_coords(time=["20210503", "", "2021-06-12", "12.06.2021"])
    write(made, tmp_path / "cube.nc")
    opened = open_folder(tmp_path, images="*.nc")
    assert [frame.acquired for frame in opened.scenes[0].frames] == [date(2021, 5, 3), date(2021, 6, 12)]
    np.testing.assert_array_equal(window_of(opened.scenes[0].frames[1], ("red",))[0], REFLECTANCE[0, 2])
    assert any("skipped 2 times" in note for note in opened.notes)


def test_times_may_stand_in_any_order(tmp_path):
    write(cube().isel(time=[2, 0, 1]), tmp_path / "cube.nc")
    (scene,) = open_folder(tmp_path, images="*.nc").scenes
    assert [frame.acquired.month for frame in scene.frames] == [5, 6, 8]
    np.testing.assert_array_equal(window_of(scene.frames[2], ("red",))[0], REFLECTANCE[0, 2])


def test_of_two_times_on_one_day_the_first_is_read(tmp_path):
    made = cube().assign_coords(
        time=np.array(["2021-05-03T10:30", "2021-05-03T10:40", "2021-06-12"], "M8[ns]")
    )
    write(made, tmp_path / "cube.nc")
    (scene,) = open_folder(tmp_path, images="*.nc").scenes
    np.testing.assert_array_equal(window_of(scene.frames[0], ("red",))[0], REFLECTANCE[0, 0])


def test_cube_of_one_date_has_it_in_its_name(tmp_path):
    write(cube().isel(time=0, drop=True), tmp_path / "field_20210503.nc")
    (scene,) = open_folder(tmp_path, images="*.nc").scenes
    assert [frame.acquired for frame in scene.frames] == [date(2021, 5, 3)]


def test_variables_are_named_by_their_attributes_and_may_have_no_time(tmp_path):
    """Bands with a scale alone, and a mask that holds for all dates."""
    made = cube(first=REFLECTANCE[0], second=REFLECTANCE[1])
    made["first"].attrs["common_name"], made["second"].attrs["long_name"] = "red", "Near-Infrared"
    cloud = np.zeros((SIDE, SIDE), np.uint8)
    cloud[:6] = 1
    made = made.assign(cloud_mask=(("y", "x"), cloud))
    packing = {
        name: {"dtype": "int16", "scale_factor": 1e-4, "_FillValue": -1} for name in ("first", "second")
    }
    write(made, tmp_path / "cube.nc", encoding=packing)
    (scene,) = open_folder(tmp_path, images="*.nc").scenes
    red, nir = window_of(scene.frames[1], ("red", "nir"))
    assert np.isnan(red[:6]).all()
    np.testing.assert_allclose(red[6:], REFLECTANCE[0, 1, 6:], atol=1e-4)
    np.testing.assert_allclose(nir[6:], REFLECTANCE[1, 1, 6:], atol=1e-4)


def test_bands_of_no_known_role_keep_their_label(tmp_path):
    one = cube()
    made = xarray.Dataset(
        {"data": (("time", "band", "y", "x"), REFLECTANCE.swapaxes(0, 1))},
        coords={"time": one.time, "band": ["red", "thermal"], "y": one.y, "x": one.x},
    ).rio.write_crs("EPSG:32632")
    write(made, tmp_path / "cube.nc")
    assert open_folder(tmp_path, images="*.nc").scenes[0].frames[0].bands[:2] == ("red", "thermal")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda made: made.drop_vars("spatial_ref"), "no coordinate reference system"),
        (lambda made: made.assign_coords(x=made.x + 4 * (made.x > 600_200)), "not on a regular grid along x"),
        (lambda made: made.drop_vars("y"), "no coordinates along y"),
        (lambda made: made.rename(x="a", y="b"), "no dimensions y and x"),
        (lambda made: made.rename(B04="first", B08="second"), "holds no variable on y and x"),
        (lambda made: made.assign_coords(time=["a", "b", "c"]), "no dates along time"),
        (lambda made: made * np.nan, "no pixel is valid"),
    ],
)
def test_bad_cube_is_left_out_with_the_reason(tmp_path, change, reason):
    write(cube(), tmp_path / "good.nc")
    (tmp_path / "more").mkdir()
    write(change(cube()), tmp_path / "more/bad.nc")
    opened = open_folder(tmp_path, images="**/*.nc")
    assert [scene.id for scene in opened.scenes] == ["good"]
    assert reason in opened.problems[0].reason


def test_crs_may_be_stated_beside_the_cube(tmp_path):
    write(cube(crs=None), tmp_path / "cube.nc")
    (tmp_path / "scene.json").write_text(json.dumps({"crs": "EPSG:32633"}))
    assert open_folder(tmp_path, images="*.nc").scenes[0].georeference.crs == "EPSG:32633"
    write(cube(), tmp_path / "cube.zarr")  # what a file says of itself holds
    assert open_folder(tmp_path, images="*.zarr").scenes[0].georeference.crs == "EPSG:32632"


def test_torn_cube_is_left_out(tmp_path):
    write(cube(), tmp_path / "good.nc")
    (tmp_path / "torn.nc").write_bytes(b"\x89HDF nothing more")
    opened = open_folder(tmp_path, images="*.nc")
    assert len(opened.scenes) == 1
    assert "torn.nc is not a readable cube" in opened.problems[0].reason


def test_cube_on_another_grid_than_its_neighbour_is_said(tmp_path):
    write(cube(), tmp_path / "a.nc")
    write(cube().coarsen(x=2, y=2).mean(), tmp_path / "b.nc")
    opened = open_folder(tmp_path, images="*.nc")
    assert opened.scenes == ()
    assert "another pixel grid" in opened.problems[0].reason


def test_missing_extra_is_named(tmp_path, monkeypatch):
    write(cube(), tmp_path / "cube.nc")
    monkeypatch.setitem(sys.modules, "xarray", None)
    reason = open_folder(tmp_path, images="*.nc").problems[0].reason
    assert "needs xarray" in reason
    assert "agrilape[cubes]" in reason


@pytest.mark.parametrize(
    ("names", "attributes", "roles"),
    [
        (("B04", "B8A"), {}, ("red", "nir_narrow", "nir")),
        (("SR_B4", "SR_B5"), {"platform": "landsat-8"}, ("red", "nir")),
        (("SR_B3", "SR_B4"), {"platform": "landsat-5"}, ("red", "nir")),
        (("sur_refl_b01", "sur_refl_b02"), {}, ("red", "nir")),
    ],
)
def test_variables_are_named_as_their_sensor_says(tmp_path, names, attributes, roles):
    made = cube(**dict(zip(names, REFLECTANCE, strict=True))).assign_attrs(attributes)
    write(made, tmp_path / "cube.nc")
    assert tuple(open_folder(tmp_path, images="*.nc").scenes[0].frames[0].layers) == roles


def test_variables_that_mean_two_things_are_left_out_and_said(tmp_path):
    write(cube(red=REFLECTANCE[0], B5=REFLECTANCE[1]), tmp_path / "cube.nc")
    opened = open_folder(tmp_path, images="*.nc")
    assert tuple(opened.scenes[0].frames[0].layers) == ("red",)
    assert any("bands B5 were left unnamed" in note for note in opened.notes)
    assert any("skipped 1 variables" in note for note in opened.notes)


def test_longitudes_of_0_to_360_are_brought_to_minus_180_to_180(tmp_path):
    made = cube(crs=None)
    degrees = {"x": 240 + 0.01 * np.arange(SIDE), "y": 37 - 0.01 * np.arange(SIDE)}
    made = made.assign_coords(degrees).rename(x="lon", y="lat")
    made["lon"].attrs["units"] = "degrees_east"
    write(made, tmp_path / "era.nc")
    (scene,) = open_folder(tmp_path, images="*.nc").scenes
    assert scene.georeference.centre_wgs84()[0] == pytest.approx(-120 + 0.195)
    np.testing.assert_array_equal(window_of(scene.frames[0], ("red",))[0], REFLECTANCE[0, 0])

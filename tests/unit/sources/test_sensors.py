"""Bands of sensors: every published list, and names that mean two things."""

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from tests.unit.sources.conftest import SIZE, TRANSFORM, reflectance

from agrilape.errors import DataError
from agrilape.sources import PixelWindow, open_folder, read_raster
from agrilape.sources.bands import BandHints, name_bands
from agrilape.sources.raster import inspect_raster
from agrilape.sources.sensors import SENSORS, sensor_in, sensor_of_tags

WHOLE = PixelWindow(0, 0, SIZE, SIZE)
MSI = {
    "B1": "coastal", "B2": "blue", "B3": "green", "B4": "red", "B5": "red_edge_1", "B6": "red_edge_2",
    "B7": "red_edge_3", "B8": "nir", "B8A": "nir_narrow", "B11": "swir_1", "B12": "swir_2",
}  # fmt: skip
OLI = {"2": "blue", "3": "green", "4": "red", "5": "nir", "6": "swir_1", "7": "swir_2"}
TM = {"1": "blue", "2": "green", "3": "red", "4": "nir", "5": "swir_1", "7": "swir_2"}
# File name -> role, as each producer's product guide lists them; "" for a layer that is not read.
PUBLISHED = {
    "sentinel-2 L2A, ESA": {
        f"T32UNC_20210503T103021_{name.replace('B', 'B0') if len(name) == 2 else name}_20m": role
        for name, role in MSI.items()
    },
    "Landsat 8, Collection 2 Level 2": {
        **{f"LC08_L2SP_193024_20210503_20210510_02_T1_SR_B{n}": role for n, role in OLI.items()},
        "LC08_L2SP_193024_20210503_20210510_02_T1_SR_B1": "coastal",
        **{f"LC08_L2SP_193024_20210503_20210510_02_T1_{n}": ""
           for n in ("ST_B10", "QA_PIXEL", "QA_RADSAT", "SR_QA_AEROSOL", "ST_EMIS", "ST_QA", "ST_URAD")},
    },
    "Landsat 7, Collection 2 Level 2": {
        **{f"LE07_L2SP_193024_20000503_20200510_02_T1_SR_B{n}": role for n, role in TM.items()},
        **{f"LE07_L2SP_193024_20000503_20200510_02_T1_{n}": ""
           for n in ("ST_B6", "QA_PIXEL", "SR_ATMOS_OPACITY", "SR_CLOUD_QA")},
    },
    "Landsat 5, Level 1": {
        **{f"LT05_L1TP_193024_19900503_20200510_02_T1_B{n}": role for n, role in TM.items()},
        "LT05_L1TP_193024_19900503_20200510_02_T1_B6": "",
    },
    "Landsat 9, Level 1": {
        **{f"LC09_L1TP_193024_20220503_20220510_02_T1_B{n}": role for n, role in OLI.items()},
        **{f"LC09_L1TP_193024_20220503_20220510_02_T1_{n}": ""
           for n in ("B8", "B9", "B10", "B11", "SAA", "VZA", "QA_PIXEL")},
    },
    "HLS L30": {
        **{f"HLS.L30.T32UNC.2021123T103021.v2.0.B0{n}": role for n, role in OLI.items()},
        **{f"HLS.L30.T32UNC.2021123T103021.v2.0.{n}": "" for n in ("B09", "B10", "B11", "Fmask", "SZA")},
    },
    "HLS S30": {
        **{f"HLS.S30.T32UNC.2021123T103021.v2.0.{n.replace('B', 'B0') if len(n) == 2 else n}": role
           for n, role in MSI.items()},
        **{f"HLS.S30.T32UNC.2021123T103021.v2.0.{n}": "" for n in ("B09", "B10", "Fmask", "VAA")},
    },
    "MODIS MOD09A1": {
        f"MOD09A1.A2021129.h18v04.061.sur_refl_b0{n}": role
        for n, role in {
            "1": "red", "2": "nir", "3": "blue", "4": "green", "6": "swir_1", "7": "swir_2"
        }.items()
    } | {"MOD09A1.A2021129.h18v04.061.sur_refl_qc_500m": ""},
    "MODIS MOD13Q1, AppEEARS": {
        "MOD13Q1.061__250m_16_days_NDVI_doy2021129_aid0001": "ndvi",
        "MOD13Q1.061__250m_16_days_EVI_doy2021129_aid0001": "evi",
        "MOD13Q1.061__250m_16_days_red_reflectance_doy2021129_aid0001": "red",
        "MOD13Q1.061__250m_16_days_NIR_reflectance_doy2021129_aid0001": "nir",
        "MOD13Q1.061__250m_16_days_MIR_reflectance_doy2021129_aid0001": "mir",
    },
    "VIIRS": {
        "VNP09GA.A2021129.h18v04.002.SurfReflect_I1": "red",
        "VNP09GA.A2021129.h18v04.002.SurfReflect_M7": "nir",
        "VNP09GA_2021_05_09_M4": "green", "VNP09GA_2021_05_09_I3": "swir_1",
    },
}  # fmt: skip


@pytest.mark.parametrize("product", PUBLISHED)
def test_a_folder_of_one_file_per_band_is_one_date(write_raster, tmp_path, product):
    for stem in PUBLISHED[product]:
        write_raster(f"{stem}.TIF", reflectance(bands=1), names=None)
    opened = open_folder(tmp_path)
    assert opened.problems == ()
    (scene,) = opened.scenes
    (frame,) = scene.frames
    assert frame.acquired is not None
    layers = {role: Path(band.path).stem for role, band in frame.layers.items()}
    expected = {role: stem for stem, role in PUBLISHED[product].items() if role}
    assert layers == expected
    unread = [stem for stem, role in PUBLISHED[product].items() if not role]
    assert not unread or any(note.startswith(f"{len(unread)} files are ") for note in opened.notes)


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (tuple(MSI), tuple(MSI.values())),
        (("B2", "B3", "B4", "B8A"), ("blue", "green", "red", "nir_narrow")),
        (("B02", "B03", "B04", "B08", "B11"), ("blue", "green", "red", "nir", "swir_1")),
        (("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6"), ("blue", "green", "red", "nir", "swir_1")),
        (("SR_B1", "SR_B2", "SR_B3", "SR_B4", "ST_B6"), ("blue", "green", "red", "nir", "")),
        (("SR_B2", "SR_B4", "SR_QA_AEROSOL"), ("blue", "red", "")),
        (("SR_B2", "SR_B4", "SR_CLOUD_QA"), ("green", "nir", "")),
        (("sur_refl_b01", "sur_refl_b02", "sur_refl_b03"), ("red", "nir", "blue")),
        (("Nadir_Reflectance_Band1", "Nadir_Reflectance_Band2"), ("red", "nir")),
        (("NDVI", "EVI", "SummaryQA"), ("ndvi", "evi", "")),
        (("coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir"),
         ("coastal", "blue", "green_i", "green", "yellow", "red", "red_edge_1", "nir")),
        (("B2_median", "B8A_median"), ("blue", "nir_narrow")),
        (("red_p50", "nir_p50"), ("red", "nir")),
        (("0_red", "0_nir"), ("red", "nir")),
        (("B4, central wavelength 665 nm", "B8 - NIR", "B8A (865 nm)"), ("red", "nir", "nir_narrow")),
        (("Band 4 - Red", "Band 5 (NIR)", "Blue Band"), ("red", "nir", "blue")),
    ],
)  # fmt: skip
def test_names_that_but_one_sensor_has_together_are_understood(names, roles):
    named = name_bands(names, BandHints())
    told = tuple(role if read else "" for role, read in zip(named.roles, named.read, strict=True))
    assert told == roles


@pytest.mark.parametrize(
    ("names", "unnamed"),
    [
        (("B2", "B3", "B4", "B8"), ("B2", "B3", "B4", "B8")),
        (("B5",), ("B5",)),
        (("red", "nir", "B11"), ("B11",)),
        (("B02", "B03", "B04", "B05"), ("B05",)),
        (("SR_B2", "SR_B3", "SR_B4"), ("SR_B2", "SR_B3", "SR_B4")),
    ],
)
def test_a_name_that_means_two_things_is_left_unnamed_and_said(names, unnamed):
    named = name_bands(names, BandHints())
    left = [name for name, role in zip(names, named.roles, strict=True) if role.startswith("band_")]
    assert tuple(left) == unnamed
    (note,) = named.notes
    assert f"bands {', '.join(unnamed)} were left unnamed" in note
    assert '"sensor" in scene.json' in note


@pytest.mark.parametrize(
    ("sensor", "roles"),
    [
        ("Sentinel-2 MSI", ("blue", "green", "red", "nir")),
        ("Landsat 7 ETM+", ("green", "red", "nir", "band_4")),
        ("Landsat 8 OLI", ("blue", "green", "red", "band_4")),
    ],
)
def test_the_sensor_stated_in_scene_json_decides(write_raster, tmp_path, sensor, roles):
    write_raster("a_20210503.tif", names=("B2", "B3", "B4", "B8"))
    (tmp_path / "scene.json").write_text(f'{{"sensor": "{sensor}"}}')
    (scene,) = open_folder(tmp_path).scenes
    assert [role for role in roles if not role.startswith("band_")] == list(scene.frames[0].layers)
    assert scene.meta["sensor"] == sensor


def test_names_stated_in_scene_json_decide_in_files_of_one_band_too(write_raster, tmp_path):
    for name in ("B4", "B5", "x7"):
        write_raster(f"20210503_{name}.tif", reflectance(bands=1), names=None)
    opened = open_folder(tmp_path)
    assert opened.scenes == ()
    assert '"sensor" in scene.json' in opened.problems[0].reason
    (tmp_path / "scene.json").write_text('{"bands": {"B4": "red", "B5": "nir", "x7": "thermal"}}')
    (scene,) = open_folder(tmp_path).scenes
    assert list(scene.frames[0].layers) == ["red", "nir", "thermal"]
    (tmp_path / "scene.json").write_text('{"bands": {"B4": "red", "B5": "nir", "x7": "heat", "B9": "blue"}}')
    assert "no band is called B9, as scene.json names some" in open_folder(tmp_path).notes


@pytest.mark.parametrize(
    ("name", "tags", "role"),
    [
        ("a", {"SENSOR": "OLI_TIRS"}, "nir"),
        ("a", {"SPACECRAFT_NAME": "Sentinel-2A"}, "red_edge_1"),
        ("a", {"SPACECRAFT_ID": "LANDSAT_7", "SENSOR_ID": "ETM"}, "swir_1"),
        ("a", {"LANDSAT_PRODUCT_ID": "LT05_L1TP_193024_19900503_20200510_02_T1"}, "swir_1"),
        ("s2_median_2021", {}, "red_edge_1"),
        ("Landsat-8_median_2021", {}, "nir"),
        ("a", {"SENSOR": "OLI ; MSI"}, "band_1"),
    ],
)
def test_sensor_from_tags_and_file_names(write_raster, name, tags, role):
    file = inspect_raster(write_raster(f"{name}.tif", reflectance(bands=1), names=("B5",), tags=tags))
    assert list(file.layers) == [role]


def test_sensor_of_the_folder_of_a_product(write_raster):
    path = write_raster("LC08_L1TP_193024_20210503_20210510_02_T1/B5.tif", reflectance(bands=1), names=None)
    assert list(inspect_raster(path).layers) == ["nir"]


def test_words_of_other_things_name_no_sensor():
    for text in ("farm_2021", "oli_field", "tm", "notes2", "planetary", "amodis", "LC08", None):
        assert sensor_in(text) in {None, "landsat_8_9"}
    assert sensor_in("oli_field") is None
    assert sensor_in("Landsat 8 and Sentinel-2") is None
    assert sensor_of_tags({"sensor": "TM"}) == "landsat_4_7"


def test_every_role_of_the_table_is_one_that_bands_know():
    roles = {role for sensor in SENSORS.values() for role in (*sensor.bands.values(), *sensor.short.values())}
    for order in (order for sensor in SENSORS.values() for order in sensor.orders.values()):
        roles |= set(order)
    for role in roles - {None}:
        assert name_bands((role,), BandHints()).roles == (role,)


@pytest.mark.parametrize(
    ("name", "count", "roles"),
    [
        ("20210503_103021_PSScene_AnalyticMS_SR", 4, ("blue", "green", "red", "nir")),
        ("20210503_103021_23_2402_3B_AnalyticMS_SR_8b_clip", 8,
         ("coastal", "blue", "green_i", "green", "yellow", "red", "red_edge_1", "nir")),
        ("m_4111124_ne_12_060_20210503", 4, ("red", "green", "blue", "nir")),
        ("2021-05-03_RapidEye_ortho", 5, ("blue", "green", "red", "red_edge_1", "nir")),
    ],
)  # fmt: skip
def test_files_without_names_have_the_order_of_their_sensor_and_that_is_said(
    write_raster, name, count, roles
):
    file = inspect_raster(write_raster(f"{name}.tif", reflectance(bands=count), names=None))
    assert tuple(file.layers) == roles
    assert any(", ".join(roles) in note and "without names" in note for note in file.notes)


def test_an_order_that_is_assumed_is_said(write_raster):
    file = inspect_raster(write_raster(names=None))
    assert tuple(file.layers) == ("red", "green", "blue", "nir")
    assert any("taken as red, green, blue, nir" in note and "PlanetScope" in note for note in file.notes)
    five = inspect_raster(write_raster("rededge-mx.tif", reflectance(bands=5), names=None))
    assert tuple(five.layers) == tuple(f"band_{n}" for n in range(1, 6))
    assert any('5 bands have no names: state "bands"' in note for note in five.notes)


def test_colours_that_the_file_states_are_no_assumption(write_raster):
    values = np.full((3, SIZE, SIZE), 90, np.uint8)
    assert inspect_raster(write_raster(values=values, names=None, photometric="rgb")).notes == ()


@pytest.mark.parametrize("how", ["tags", "imagery", "description", "micrometres"])
def test_bands_by_their_wavelengths(write_raster, how):
    """A hyperspectral image: each role is the band nearest to its centre."""
    centres = np.arange(420, 2400, 12)
    path = write_raster("enmap_20210503.tif", reflectance(bands=len(centres)), names=None)
    with rasterio.open(path, "r+") as raster:
        for number, nm in enumerate(centres, start=1):
            match how:
                case "tags":
                    raster.update_tags(number, wavelength=str(nm), wavelength_units="Nanometers")
                case "imagery":
                    raster.update_tags(number, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=str(nm / 1000))
                case "description":
                    raster.set_band_description(number, f"band {number} ({nm}.0 Nanometers)")
                case "micrometres":
                    raster.update_tags(number, wavelength=str(nm / 1000), wavelength_units="Micrometers")
    layers = inspect_raster(path).layers
    for role, centre in {
        "blue": 490,
        "green": 560,
        "red": 665,
        "nir": 842,
        "swir_1": 1610,
        "swir_2": 2190,
    }.items():
        assert abs(centres[layers[role].number - 1] - centre) <= 12, role


def test_multispectral_cameras_by_their_wavelengths(write_raster):
    path = write_raster("ortho.tif", reflectance(bands=5), names=None)
    with rasterio.open(path, "r+") as raster:
        for number, nm in enumerate((475, 560, 668, 842, 717), start=1):
            raster.update_tags(number, WAVELENGTH=str(nm), WAVELENGTH_UNIT="nm")
    assert tuple(inspect_raster(path).layers) == ("blue", "green", "red", "nir", "red_edge_1")


def test_landsat_reflectance_is_scaled_as_its_product_says(write_raster):
    stored = np.full((1, SIZE, SIZE), 14545, np.uint16)
    stored[0, 0] = 0
    for path in (
        write_raster("LC08_L2SP_193024_20210503_20210510_02_T1_SR_B5.TIF", stored, names=None),
        write_raster("median.tif", stored, names=("SR_B5",), tags={"SENSOR": "OLI"}),
    ):
        frame = read_raster(path).frames[0]
        read = frame.read(WHOLE, ("nir",))[0]
        assert read[1:] == pytest.approx(14545 * 2.75e-5 - 0.2)
        assert np.isnan(read[0]).all()
    scaled = np.full((1, SIZE, SIZE), 0.25, np.float32)
    frame = read_raster(write_raster("float.tif", scaled, names=("SR_B5",), tags={"SENSOR": "OLI"})).frames[0]
    assert frame.read(WHOLE, ("nir",)) == pytest.approx(0.25)


@pytest.mark.parametrize(("satellite", "dtype"), [("LC08", np.uint16), ("LT05", np.uint8)])
def test_landsat_level_1_is_scaled_by_its_metadata(write_raster, tmp_path, satellite, dtype):
    product = f"{satellite}_L1TP_193024_20100503_20200510_02_T1"
    path = write_raster(f"{product}_B4.TIF", np.full((1, SIZE, SIZE), 100, dtype), names=None)
    (tmp_path / f"{product}_MTL.txt").write_text(
        "GROUP = LEVEL1_RADIOMETRIC_RESCALING\n  REFLECTANCE_MULT_BAND_3 = 9\n"
        "  REFLECTANCE_MULT_BAND_4 = 2.5E-03\n  REFLECTANCE_ADD_BAND_4 = -0.05\nEND_GROUP\nEND\n"
    )
    file = inspect_raster(path)
    (band,) = file.layers.values()
    assert (band.scale, band.offset, band.nodata) == (2.5e-3, -0.05, 0.0)
    assert not file.eight_bit
    assert any("top of the atmosphere" in note for note in file.notes)


def names_of(days, bands, form="{day}T103021_{day}T103024_T32UNC_{band}"):
    return tuple(form.format(day=day, band=band) for day in days for band in bands)


@pytest.mark.parametrize(
    ("form", "bands", "roles"),
    [
        (
            "{day}T103021_{day}T103024_T32UNC_{band}",
            ("B2", "B3", "B4", "B8"),
            ("blue", "green", "red", "nir"),
        ),
        ("LC08_193024_{day}_{band}", ("SR_B4", "SR_B5"), ("red", "nir")),
        ("LT05_193024_{day}_{band}", ("SR_B3", "SR_B4"), ("red", "nir")),
        ("1_2_LC08_193024_{day}_{band}", ("SR_B4", "SR_B5"), ("red", "nir")),
        ("{day}_{band}", ("red", "red_edge_1"), ("red", "red_edge_1")),
        ("{band}_{day}", ("B04", "B08"), ("red", "nir")),
        ("{day}_{band}", ("sur_refl_b01", "sur_refl_b02"), ("red", "nir")),
        ("{day}_{band}", ("NDVI",), ("ndvi",)),
    ],
)
def test_a_stack_of_images_is_read_as_dates_with_bands(write_raster, form, bands, roles):
    days = ("20210503", "20210612", "20210801")
    names = names_of(days, bands, form)
    values = np.stack([np.full((SIZE, SIZE), 1000 * (n + 1), np.int16) for n in range(len(names))])
    scene = read_raster(
        write_raster("stack.tif", values, names, scales=((1e-4,) * len(names), (0.0,) * len(names)))
    )
    assert [f"{frame.acquired:%Y%m%d}" for frame in scene.frames] == list(days)
    for number, frame in enumerate(scene.frames):
        assert tuple(frame.layers) == roles
        read = frame.read(WHOLE, roles)
        expected = [0.1 * (number * len(roles) + n + 1) for n in range(len(roles))]
        assert read.reshape(len(roles), -1).mean(1) == pytest.approx(expected)


def test_quality_bands_of_a_stack_are_counted_and_the_scene_classification_masks(write_raster):
    names = names_of(("20210503", "20210612"), ("B4", "B8", "QA60", "SCL"))
    values = reflectance(bands=8)
    values[[3, 7]] = 4
    values[3, :10] = 9
    scene = read_raster(write_raster("stack.tif", values, names))
    assert [tuple(frame.layers) for frame in scene.frames] == [("red", "nir", "scl")] * 2
    assert np.isnan(scene.frames[0].read(WHOLE, ("red",))[0, :10]).all()
    assert np.isfinite(scene.frames[1].read(WHOLE, ("red",))).all()
    assert any("1 bands show no reflectance" in note and "QA60" in note for note in scene.meta["notes"])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("0_B2", "0_B3", "1_B2", "1_B3"), "mixes the bands of 2 images (0_B2 ... 1_B3) without their dates"),
        (("B4", "B8", "B4_1", "B8_1"), "mixes the bands of 2 images"),
        (
            ("20210503_T32UNC_B4", "20210503_T32UNB_B4"),
            "holds B4 of 2021-05-03 twice, as 20210503_T32UNC_B4 and as 20210503_T32UNB_B4",
        ),
        (("20210503_x", "20210503_y"), "2 of 2 names of bands were not understood (first: 20210503_x)"),
    ],
)
def test_a_mixture_that_cannot_be_told_apart_is_refused_as_what_it_is(write_raster, names, said):
    with pytest.raises(DataError, match=re.escape(said)):
        read_raster(write_raster("stack.tif", reflectance(bands=len(names)), names))


def test_a_single_image_with_its_name_before_every_band(write_raster):
    names = names_of(("20210503",), ("B2", "B3", "B4", "B8"))
    scene = read_raster(write_raster("export.tif", names=names))
    assert tuple(scene.frames[0].layers) == ("blue", "green", "red", "nir")
    assert str(scene.frames[0].acquired) == "2021-05-03"


def test_bands_of_several_resolutions_in_a_product(write_raster, tmp_path):
    """IMG_DATA of a Level-2A product: the finer file of a band is read, on the 10 m grid."""
    home = "S2A_MSIL2A_20210503T103021_N0300_R108_T32UNC_20210503T140000.SAFE/GRANULE/L2A_T32UNC/IMG_DATA"
    for folder, step, bands in (
        ("R10m", 10, ("B02", "B03", "B04", "B08", "TCI")),
        ("R20m", 20, ("B02", "B05", "B8A", "B11", "SCL")),
        ("R60m", 60, ("B01", "B09")),
    ):
        size = SIZE * 10 // step
        for band in bands:
            values = np.full((1, size, size), 5 if band == "SCL" else 100 * step, np.uint16)
            name = f"{home}/{folder}/T32UNC_20210503T103021_{band}_{folder[1:]}.JP2"
            write_raster(
                name, values, None, driver="JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES",
                transform=Affine(step, 0, 600_000, 0, -step, 5_400_000),
            )  # fmt: skip
    opened = open_folder(tmp_path, images="**/*.jp2")
    (scene,) = opened.scenes
    (frame,) = scene.frames
    assert (scene.width, set(frame.layers)) == (
        SIZE, {"blue", "green", "red", "nir", "red_edge_1", "nir_narrow", "swir_1", "scl", "coastal"},
    )  # fmt: skip
    assert frame.read(WHOLE, ("blue", "swir_1")).reshape(2, -1).mean(1) == pytest.approx([0.1, 0.2], rel=1e-3)
    assert any("2 files are previews" in note for note in opened.notes)


def test_one_image_is_read_as_its_scene_json_or_the_caller_says(write_raster, tmp_path):
    path = write_raster(names=("B2", "B3", "B4", "B8"))
    with pytest.raises(DataError, match=r'"sensor" or "bands" in scene\.json'):
        read_raster(path).frames[0].picture(WHOLE, "true_colour")
    scene = read_raster(path, sensor="Sentinel-2")
    assert (tuple(scene.frames[0].layers), scene.meta["sensor"]) == (
        ("blue", "green", "red", "nir"), "Sentinel-2",
    )  # fmt: skip
    (tmp_path / "scene.json").write_text(
        '{"bands": ["red", "green", "blue", "NIR"], "acquired": "2021-05-03"}'
    )
    frame = read_raster(path).frames[0]
    assert (tuple(frame.layers), str(frame.acquired)) == (("red", "green", "blue", "nir"), "2021-05-03")
    (tmp_path / "scene.json").write_text('{"bands": {"b8": "near infrared", "B4": "Red"}}')
    assert set(read_raster(path).frames[0].layers) >= {"red", "nir"}


def test_names_that_say_more_than_a_band_are_none():
    """A standard deviation, a quality and two statistics are no reflectance of one image."""
    for names in (("red_std", "nir_std"), ("red quality", "nir quality"), ("red_min", "nir_max")):
        assert name_bands(names, BandHints()).roles == ("band_1", "band_2")


def test_numbers_that_are_no_reflectance_are_said(write_raster):
    values = np.full((2, SIZE, SIZE), 3000, np.uint16)  # a user's own x 10,000 under Landsat's names
    scene = read_raster(write_raster(values=values, names=("SR_B4", "SR_B5"), tags={"SENSOR": "OLI"}))
    assert any("red, nir hold no reflectance in 0-1" in note for note in scene.meta["notes"])


def test_on_a_date_of_two_sensors_the_finer_counts_and_that_is_said(write_raster, tmp_path):
    """Never bands of one beside bands of the other: they measure other wavelengths."""
    coarse = Affine(30, 0, 600_000, 0, -30, 5_400_000)
    for name, band, step in (("S2A", "B04", 10), ("S2A", "B08", 10), ("LC08", "B4", 30), ("LC08", "B6", 30)):
        values = reflectance(bands=1, size=SIZE * 10 // step)
        write_raster(
            f"{name}_20210503_{band}.tif", values, None, transform=TRANSFORM if step == 10 else coarse
        )
    write_raster("LC08_20210612_B4.tif", reflectance(bands=1, size=SIZE // 3), None, transform=coarse)
    opened = open_folder(tmp_path)
    (scene,) = opened.scenes
    assert [tuple(frame.layers) for frame in scene.frames] == [("red", "nir"), ("red",)]
    assert any("skipped 2 files (LC08_20210503_B4.tif, ...): S2A_20210503_B04.tif" in n for n in opened.notes)


def test_near_infrared_in_the_place_of_alpha_is_no_mask(write_raster):
    """Of four 8-bit bands GDAL calls the fourth alpha; of NAIP it is near infrared, and dark over water."""
    values = np.full((4, SIZE, SIZE), 90, np.uint8)
    values[3, :20] = 0
    path = write_raster("m_4111124_ne_12_060_20210503.tif", values, None, photometric="rgb", alpha="yes")
    frame = read_raster(path).frames[0]
    assert np.isfinite(frame.read(WHOLE, ("red", "nir"))).all()
    assert np.isfinite(frame.read(WHOLE, ("red",))).all()


def test_bands_stated_for_a_stack_keep_its_dates(write_raster, tmp_path):
    days = ("2021-04-01", "2021-05-01", "2021-06-01", "2021-07-01")
    path = write_raster("a.tif", names=days)
    assert any("called by dates alone" in note for note in read_raster(path).meta["notes"])
    (tmp_path / "scene.json").write_text('{"bands": ["ndvi"]}')
    assert [(str(f.acquired), f.bands) for f in read_raster(path).frames] == [
        (day, ("ndvi",)) for day in days
    ]
    (tmp_path / "scene.json").write_text('{"bands": ["red", "nir", "red", "nir"]}')
    path = write_raster("a.tif", names=("20210503_a", "20210503_b", "20210612_a", "20210612_b"))
    assert [tuple(f.layers) for f in read_raster(path).frames] == [("red", "nir")] * 2
    with pytest.raises(DataError, match="two bands of one image are named alike"):
        read_raster(write_raster("a.tif", names=None))
    with pytest.raises(DataError, match="has 3 bands, but 4 are named"):
        read_raster(write_raster("a.tif", reflectance(bands=3), names=None))

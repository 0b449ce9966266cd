"""PASTIS, Fields of The World, EuroCrops, CropHarvest and fields in COCO's form."""

import json
from datetime import date

import geopandas
import numpy as np
import pandas
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image

from agrilape.config.recipe import DatasetConfig, FolderSource
from agrilape.errors import DataError
from agrilape.prepare.chips import ChipCutter
from agrilape.sources import PixelWindow, read_observations
from agrilape.sources.formats import SCENE_FORMATS, SERIES_FORMATS
from agrilape.sources.formats.cropharvest import months
from agrilape.sources.formats.instances import instance_outlines
from agrilape.sources.formats.pastis import CROPS
from agrilape.sources.formats.release_files import PictureFolder

ALL = {**SCENE_FORMATS, **SERIES_FORMATS}
WEST, NORTH = 600_000, 5_400_000


def read(name, folder, omissions):
    return list(ALL[name](folder, omissions))


@pytest.mark.parametrize("name", ALL)
def test_a_folder_without_a_release_says_what_is_missing(name, tmp_path, omissions):
    with pytest.raises(DataError, match="holds no"):
        read(name, tmp_path, omissions)


# --- PASTIS -----------------------------------------------------------------------------------------------

DAYS = [20180920, 20181020, 20190507]
SIDE = 64


def pastis(folder, crs="EPSG:2154", footprints=None, void=False):
    """Two patches of 64 pixels: parcel 1 winter wheat (class 2), parcel 2 maize (class 3) in two pieces."""
    for name in ("DATA_S2", "ANNOTATIONS", "INSTANCE_ANNOTATIONS"):
        (folder / name).mkdir()
    instances = np.zeros((SIDE, SIDE), np.uint16)
    instances[4:20, 4:40], instances[30:40, 4:20], instances[50:60, 4:20] = 1, 2, 2
    target = np.zeros((3, SIDE, SIDE), np.uint8)
    target[0][instances == 1], target[0][instances == 2] = 2, 19 if void else 3
    boxes = footprints or [shapely.box(700_000, 6_500_000, 700_640, 6_500_640)] * 2
    features = []
    for patch, footprint in zip((10000, 10001), boxes, strict=True):
        rng = np.random.default_rng(patch)
        series = rng.integers(200, 4000, (len(DAYS), 10, SIDE, SIDE)).astype(np.int16)
        series[0, :, :2] = 0
        np.save(folder / f"DATA_S2/S2_{patch}.npy", series)
        np.save(folder / f"ANNOTATIONS/TARGET_{patch}.npy", target)
        np.save(folder / f"INSTANCE_ANNOTATIONS/INSTANCES_{patch}.npy", instances)
        facts = {"ID_PATCH": patch, "TILE": "t31tfm", "Fold": 3, "dates-S2": dict(enumerate(DAYS))}
        features.append(
            {"type": "Feature", "properties": facts, "geometry": shapely.geometry.mapping(footprint)}
        )
    code = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{crs[5:]}"}}
    text = json.dumps({"type": "FeatureCollection", "crs": code, "features": features})
    (folder / "metadata.geojson").write_text(text)


def test_pastis_patches_are_series_with_parcels(tmp_path, omissions):
    pastis(tmp_path)
    first, _ = read("pastis", tmp_path, omissions)
    assert not omissions.counts
    assert [f.acquired for f in first.frames] == [date(2018, 9, 20), date(2018, 10, 20), date(2019, 5, 7)]
    stored = np.load(tmp_path / "DATA_S2/S2_10000.npy")
    window = PixelWindow(-2, 0, 10, 8)
    red, ndvi = first.frames[1].read(window, ("red", "ndvi"))
    assert np.isnan(red[:, :2]).all(), "west of the patch there is nothing"
    np.testing.assert_allclose(red[:, 2:], stored[1, 2, :8, :8] * 1e-4, rtol=1e-6)
    nir = stored[1, 6, :8, :8] * 1e-4
    np.testing.assert_allclose(ndvi[:, 2:], (nir - red[:, 2:]) / (nir + red[:, 2:]), rtol=1e-4)
    assert np.isnan(first.frames[0].read(window, ("blue",))[0, :2]).all(), "0 is no data"
    for column in (-20, SIDE + 3):
        assert np.isnan(first.frames[0].read(PixelWindow(column, 0, 10, 8), ("red",))).all()
    with pytest.raises(DataError, match="no band thermal"):
        first.frames[0].read(window, ("thermal",))
    wheat, maize = first.parcels
    assert (wheat.crop, maize.crop) == ("winter wheat", "maize")
    assert wheat.outline.equals(shapely.box(4, 4, 40, 20))
    assert maize.outline.area == 2 * 16 * 10
    assert wheat.area_ha == pytest.approx(16 * 36 / 100, rel=0.01)
    assert first.exhaustively_labelled
    assert first.meta["fold"] == 3


def test_pastis_places_a_patch_where_its_footprint_is_upright(tmp_path, omissions):
    upright = shapely.box(700_000, 6_500_000, 700_640, 6_500_640)
    in_utm = geopandas.GeoSeries([shapely.box(650_000, 5_000_000, 650_640, 5_000_640)], crs="EPSG:32631")
    pastis(tmp_path, footprints=[upright, in_utm.to_crs("EPSG:2154").iloc[0]])
    lambert, utm = read("pastis", tmp_path, omissions)
    assert lambert.georeference.crs == "EPSG:2154"
    assert lambert.georeference.transform.almost_equals(Affine(10, 0, 700_000, 0, -10, 6_500_640))
    assert utm.georeference.crs == "EPSG:32631"
    assert utm.georeference.transform.almost_equals(Affine(10, 0, 650_000, 0, -10, 5_000_640), precision=1e-3)


def test_pastis_claims_no_place_that_does_not_fit(tmp_path, omissions):
    tilted = shapely.affinity.rotate(shapely.box(700_000, 6_500_000, 700_640, 6_500_640), 20)
    pastis(tmp_path, footprints=[tilted, tilted])
    assert [scene.georeference for scene in read("pastis", tmp_path, omissions)] == [None, None]


def test_pastis_void_parcels_have_no_known_crop(tmp_path, omissions):
    pastis(tmp_path, void=True)
    scene = read("pastis", tmp_path, omissions)[0]
    assert [p.crop for p in scene.parcels] == ["winter wheat", None]
    assert not scene.exhaustively_labelled, "with unknown crops nothing is counted"


def test_pastis_leaves_out_a_damaged_patch(tmp_path, omissions):
    pastis(tmp_path)
    (tmp_path / "DATA_S2/S2_10000.npy").write_bytes(b"x")
    assert [s.id for s in read("pastis", tmp_path, omissions)] == ["pastis/10001"]
    assert "patch 10000" in omissions.problems[0].reason


def test_pastis_dates_are_put_in_order(tmp_path, omissions):
    pastis(tmp_path)
    table = json.loads((tmp_path / "metadata.geojson").read_text())
    for feature in table["features"]:
        feature["properties"]["dates-S2"] = {"0": 20190507, "1": 20180920, "2": 20181020}
    (tmp_path / "metadata.geojson").write_text(json.dumps(table))
    first = read("pastis", tmp_path, omissions)[0]
    assert [f.acquired for f in first.frames] == [date(2018, 9, 20), date(2018, 10, 20), date(2019, 5, 7)]
    stored = np.load(tmp_path / "DATA_S2/S2_10000.npy")
    red = first.frames[2].read(PixelWindow(0, 4, 8, 8), ("red",))[0]
    np.testing.assert_allclose(red, stored[0, 2, 4:12, :8] * 1e-4, rtol=1e-6)


def test_pastis_classes_are_the_benchmark_s():
    """In its order, 0 and 19 without a crop."""
    assert list(CROPS) == list(range(1, 19))
    assert [CROPS[code] for code in (1, 5, 9, 14, 17, 18)] == [
        "meadow", "winter rapeseed", "beet", "leguminous fodder", "mixed cereal", "sorghum"
    ]  # fmt: skip


def test_pastis_scenes_can_be_cut_and_asked_about(tmp_path, omissions):
    pastis(tmp_path)
    config = DatasetConfig(
        source=FolderSource(kind="folder", path="x"), tasks=("crop_box",), chip=64, series=3
    )
    view = ChipCutter(read("pastis", tmp_path, omissions)[1], config).cut(PixelWindow(0, 0, 64, 64))
    assert not isinstance(view, str)
    assert len(view.chip.pictures) == 3
    assert {field.crop for field in view.fields} == {"winter wheat", "maize"}


# --- Fields of The World ----------------------------------------------------------------------------------


def write_tif(path, values, **profile):
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "driver": "GTiff", "crs": "EPSG:32632", "transform": Affine(10, 0, WEST, 0, -10, NORTH),
        "dtype": values.dtype, "count": values.shape[0], "height": values.shape[1], "width": values.shape[2],
    } | profile  # fmt: skip
    with rasterio.open(path, "w", **facts) as raster:
        raster.write(values)


def ftw(folder, country="france", **place):
    rng = np.random.default_rng(0)
    instances = np.zeros((1, SIDE, SIDE), np.uint32)
    instances[0, 2:20, 2:20], instances[0, 2:20, 20:50] = 1, 2  # two fields that touch
    for name in ("g1", "g2"):
        for window in ("window_a", "window_b"):
            values = rng.integers(200, 4000, (4, SIDE, SIDE)).astype(np.uint16)
            write_tif(folder / country / "s2_images" / window / f"{name}.tif", values, **place)
        write_tif(folder / country / "label_masks/instance" / f"{name}.tif", instances, **place)
    chips = pandas.DataFrame({"aoi_id": ["g1", "g2"], "split": ["train", "test"]})
    chips.to_parquet(folder / country / f"chips_{country}.parquet")


def test_fields_of_the_world(tmp_path, omissions):
    ftw(tmp_path)
    scenes = {scene.id: scene for scene in read("fields_of_the_world", tmp_path, omissions)}
    assert set(scenes) == {f"france/{n}/window_{w}" for n in ("g1", "g2") for w in "ab"}
    scene = scenes["france/g2/window_b"]
    assert scene.frames[0].bands[:4] == ("red", "green", "blue", "nir")
    values = scene.frames[0].read(PixelWindow(0, 0, SIDE, SIDE), ("red",))
    assert 0.02 <= np.nanmin(values) <= np.nanmax(values) <= 0.4
    assert [p.outline.bounds for p in scene.parcels] == [(2, 2, 20, 20), (20, 2, 50, 20)]
    assert {p.crop for p in scene.parcels} == {None}
    assert scene.meta["split"] == "test"
    assert scene.meta["group"] == scenes["france/g2/window_a"].meta["group"]
    assert scene.exhaustively_labelled


def test_fields_of_the_world_knows_partly_labelled_countries_and_misses_no_window(tmp_path, omissions):
    ftw(tmp_path, "kenya")
    (tmp_path / "kenya/s2_images/window_a/g1.tif").unlink()
    scenes = read("fields_of_the_world", tmp_path, omissions)
    assert len(scenes) == 3
    assert not any(scene.exhaustively_labelled for scene in scenes)
    assert sum(omissions.counts.values()) == 1


def test_fields_of_the_world_in_degrees_have_their_true_area(tmp_path, omissions):
    degrees = {"crs": "EPSG:4326", "transform": Affine(9e-5, 0, 8.0, 0, -9e-5, 48.0)}
    ftw(tmp_path, **degrees)
    scene = read("fields_of_the_world", tmp_path, omissions)[0]
    height, width = 9e-5 * 111_200, 9e-5 * 111_320 * np.cos(np.radians(48))
    assert scene.parcels[0].area_ha == pytest.approx(18 * 18 * height * width / 1e4, rel=0.01)


def test_fields_of_the_world_leaves_out_a_mask_of_other_ground(tmp_path, omissions):
    ftw(tmp_path)
    mask = np.ones((1, SIDE, SIDE), np.uint32)
    beside = {"transform": Affine(10, 0, WEST + 10, 0, -10, NORTH)}
    write_tif(tmp_path / "france/label_masks/instance/g1.tif", mask, **beside)
    assert len(read("fields_of_the_world", tmp_path, omissions)) == 2
    assert omissions.counts == {"a mask lies on other pixels than its image": 2}


def test_fields_that_touch_at_a_corner_are_two_pieces():
    numbers = np.array([[7, 0], [0, 7]])
    ((number, outline),) = instance_outlines(numbers)
    assert (number, outline.geom_type, outline.area) == (7, "MultiPolygon", 2)
    assert outline.is_valid


# --- EuroCrops --------------------------------------------------------------------------------------------


def eurocrops(folder, columns):
    rng = np.random.default_rng(0)
    values = rng.integers(200, 4000, (4, SIDE, SIDE)).astype(np.uint16)
    write_tif(folder / "images/20190615.tif", values)
    boxes = [shapely.box(WEST + x, NORTH - 200, WEST + x + 100, NORTH - 50) for x in (50, 200, 350, 500)]
    (folder / "DK_2019").mkdir()
    table = geopandas.GeoDataFrame(columns, geometry=boxes, crs="EPSG:32632")
    table.to_file(folder / "DK_2019/DK_2019_EC21.shp")


def test_eurocrops_by_the_names_of_its_hierarchy(tmp_path, omissions):
    names = ["spring_common_soft_wheat", "potatoes", "grain_maize_corn_popcorn", "not_known_and_other"]
    eurocrops(
        tmp_path, {"EC_hcat_n": names, "EC_hcat_c": [1, 2, 3, 4], "Marknr": ["1-0", "2-0", "3-0", "4-0"]}
    )
    (scene,) = read("eurocrops", tmp_path, omissions)
    assert [p.crop for p in scene.parcels] == ["spring wheat", "potatoes", "grain maize", None]
    assert scene.parcels[0].outline.bounds == pytest.approx((5, 5, 15, 20))
    assert scene.parcels[0].area_ha == pytest.approx(1.5, rel=0.01)
    assert not scene.exhaustively_labelled
    assert not omissions.counts


COUNTRY = """original_code,original_name,translated_name,HCAT3_name,HCAT3_code
1,Vårbyg,Spring barley,spring_barley,3301010402
11,Vinterhvede,Winter wheat,winter_common_soft_wheat,3301010101
252,"Permanent græs, normalt udbytte",Permanent grass,pasture_meadow_grassland_grass,3302000000
"""


def test_eurocrops_by_codes_of_the_country(tmp_path, omissions):
    eurocrops(tmp_path, {"Afgkode": [1, 11, 252, 999], "Gb": [7, 8, 9, 10]})
    (tmp_path / "csvs/country_mappings").mkdir(parents=True)
    (tmp_path / "csvs/country_mappings/dk_2019.csv").write_text(COUNTRY, encoding="utf-8")
    (scene,) = read("eurocrops", tmp_path, omissions)
    assert [p.crop for p in scene.parcels] == ["spring barley", "winter wheat", "grassland", None]
    assert "999" in " ".join(scene.meta["notes"]), "an unknown code is said"


# Other countries' tables lie beside it; some have no code for a spelling, or a second crop without either.
OTHERS = {
    "es_ne_2021": """original_code,original_name,translated_name,HCAT3_name,HCAT3_code
1,VIÑEDO,VINEYARD,vineyards_wine_vine_rebland_grapes,3303060000
,,ASOC. VINEYARD-NUTS,nuts,3303030000
""",
    "be_wal_all_years": """original_name,original_code,translated_name,HCAT3_name,HCAT3_code,HCAT2_name
Froment d'hiver,311,Winter wheat,winter_common_soft_wheat,3301010101,winter_common_soft_wheat
Froment d?'hiver,,Winter wheat,winter_common_soft_wheat,3301010101,winter_common_soft_wheat
Sarrasin,,Buckwheat,buckwheat,3301150200,buckwheat
""",
}


def write_tables(folder, **tables):
    (folder / "csvs/country_mappings").mkdir(parents=True)
    for name, text in tables.items():
        (folder / f"csvs/country_mappings/{name}.csv").write_text(text, encoding="utf-8")


def test_eurocrops_asks_the_country_s_own_table_alone(tmp_path, omissions):
    eurocrops(tmp_path, {"Afgkode": ["1", "11", "252", ""], "empty": [""] * 4})
    write_tables(tmp_path, dk_2019=COUNTRY, **OTHERS)
    (scene,) = read("eurocrops", tmp_path, omissions)
    assert [p.crop for p in scene.parcels] == ["spring barley", "winter wheat", "grassland", None]


def test_eurocrops_by_names_of_the_country_where_it_has_no_codes(tmp_path, omissions):
    names = ["Sarrasin", "Froment d'hiver", "Froment d?'hiver", ""]
    eurocrops(tmp_path, {"CULT_NOM": names})
    for file in (tmp_path / "DK_2019").iterdir():
        file.rename(file.with_name(file.name.replace("DK_2019", "BE_WAL_2021")))
    write_tables(tmp_path, dk_2019=COUNTRY, **OTHERS)
    (scene,) = read("eurocrops", tmp_path, omissions)
    assert [p.crop for p in scene.parcels] == ["buckwheat", "winter wheat", "winter wheat", None]


def test_eurocrops_guesses_among_no_foreign_tables(tmp_path, omissions):
    eurocrops(tmp_path, {"Afgkode": ["1", "11", "252", "1"]})
    write_tables(tmp_path, **OTHERS)
    assert read("eurocrops", tmp_path, omissions) == []
    assert "HCAT" in next(iter(omissions.counts))


def test_eurocrops_without_names_or_codes_says_what_is_needed(tmp_path, omissions):
    eurocrops(tmp_path, {"Afgkode": [1, 11, 252, 999]})
    assert read("eurocrops", tmp_path, omissions) == []
    assert "HCAT" in next(iter(omissions.counts))


# --- CropHarvest ------------------------------------------------------------------------------------------


def cropharvest(folder):
    netcdf = pytest.importorskip("netCDF4")
    (folder / "features/arrays").mkdir(parents=True)
    rows = [
        {"index": 0, "dataset": "togo", "lat": 8.0, "lon": 1.0, "is_crop": 1, "label": "maize"},
        {"index": 1, "dataset": "togo", "lat": 8.1, "lon": 1.1, "is_crop": 0, "label": None},
        {"index": 2, "dataset": "togo", "lat": 8.2, "lon": 1.2, "is_crop": 1, "label": None},
        {"index": 0, "dataset": "x/../../../../secret", "lat": 8.2, "lon": 1.2, "is_crop": 1, "label": None},
    ]
    points = [shapely.Point(row["lon"], row["lat"]) for row in rows]
    table = geopandas.GeoDataFrame(rows, geometry=points, crs="EPSG:4326")
    table["export_end_date"], table["planting_date"] = "2021-02-01T00:00:00", "2020-04-15T00:00:00"
    table.to_file(folder / "labels.geojson", driver="GeoJSON")
    for index in (0, 1):
        with netcdf.Dataset(folder / f"features/arrays/{index}_togo.h5", "w") as file:
            file.createDimension("t", 12)
            file.createDimension("b", 18)
            values = np.arange(12 * 18, dtype=float).reshape(12, 18)
            values[:, 17] = np.linspace(0.1, 0.9, 12)
            file.createVariable("array", "f8", ("t", "b"))[:] = values


def test_cropharvest_series(tmp_path, omissions):
    cropharvest(tmp_path)
    first, second = read("cropharvest", tmp_path, omissions)
    assert (first.id, first.label, second.label) == ("0_togo", "maize", "no crop")
    assert (first.longitude, first.latitude) == (1.0, 8.0)
    assert first.values["ndvi"] == pytest.approx(np.linspace(0.1, 0.9, 12))
    for role, band in (("blue", 2), ("red", 4), ("nir", 8), ("swir_2", 12)):  # of the 18, in their order
        assert first.values[role] == pytest.approx((np.arange(12) * 18 + band) * 1e-4)
    assert first.dates == months(date(2021, 2, 1))
    assert first.dates[0] == date(2020, 2, 22)
    assert (date(2021, 2, 1) - first.dates[-1]).days == 15
    assert omissions.counts == {
        "the measurements of a label are not there": 1, "the name of a data set leads out of the folder": 1
    }  # fmt: skip


def test_cropharvest_labels_are_observations_of_imagery(tmp_path):
    from agrilape.geo.georeference import Georeference

    cropharvest(tmp_path)
    place = Georeference("EPSG:4326", Affine(0.001, 0, 0.95, 0, -0.001, 8.05), 100, 100)
    seen, _ = read_observations(tmp_path / "labels.geojson", place)
    assert {(o.kind, o.value, o.observed) for o in seen} == {
        ("crop", "maize", None), ("sowing", "maize", date(2020, 4, 15))
    }  # fmt: skip
    assert {(round(o.x), round(o.y)) for o in seen} == {(50, 50)}


# --- fields in COCO's form --------------------------------------------------------------------------------


def test_coco_fields_are_parcels_of_pictures(tmp_path, omissions):
    (tmp_path / "images").mkdir()
    Image.fromarray(np.full((100, 200, 3), 90, np.uint8)).save(tmp_path / "images/a.png")
    things = [
        {"id": 1, "image_id": 5, "category_id": 1, "bbox": [0, 0, 50, 40],
         "segmentation": [[0, 0, 50, 0, 50, 40, 0, 40]]},
        {"id": 2, "image_id": 5, "category_id": 2, "bbox": [60, 10, 30, 20],
         "segmentation": {"counts": [1], "size": [1, 1]}},
        {"id": 3, "image_id": 5, "category_id": 1, "bbox": [60, 10, 0, 20]},
        {"id": 4, "image_id": 99, "category_id": 1, "bbox": [60, 10, 10, 20]},
    ]  # fmt: skip
    content = {
        "images": [{"id": 5, "file_name": "a.png"}, {"id": 6, "file_name": "../../b.png"}],
        "categories": [{"id": 1, "name": "Winter_Wheat"}, {"id": 2, "name": "field"}],
        "annotations": things,
    }
    (tmp_path / "fields.json").write_text(json.dumps(content))
    (tmp_path / "other.json").write_text("[]")
    (scene,) = read("coco_fields", tmp_path, omissions)
    wheat, field = scene.parcels
    assert (wheat.crop, field.crop) == ("winter wheat", None)
    assert wheat.outline.equals(shapely.box(0, 0, 50, 40))
    assert field.outline.equals(shapely.box(60, 10, 90, 30))
    assert field.attributes == {"box_only": True}
    assert (scene.width, scene.height, scene.georeference) == (200, 100, None)
    assert sum(omissions.counts.values()) == 4


def test_coco_fields_fit_a_resized_copy(tmp_path, omissions):
    Image.fromarray(np.full((50, 100, 3), 90, np.uint8)).save(tmp_path / "a.png")
    thing = {"id": 1, "image_id": 5, "category_id": 1, "bbox": [0, 0, 50, 40],
             "segmentation": [[0, 0, 50, 0, 50, 40, 0, 40], [100, 0, 120, 0, 120, 20, 100, 20]]}  # fmt: skip
    content = {
        "images": [{"id": 5, "file_name": "a.png", "width": 200, "height": 100}],
        "categories": [{"id": 1, "name": "maize"}],
        "annotations": [thing],
    }
    (tmp_path / "fields.json").write_text(json.dumps(content))
    (scene,) = read("coco_fields", tmp_path, omissions)
    two_parts = shapely.union(shapely.box(0, 0, 25, 20), shapely.box(50, 0, 60, 10))
    assert scene.parcels[0].outline.equals(two_parts)


def test_suffixes_of_any_case_are_found(tmp_path, omissions):
    ftw(tmp_path)
    for number, path in enumerate(sorted(tmp_path.rglob("*.tif"))):
        path.rename(path.with_suffix((".TIF", ".tiff", ".tif")[number % 3]))
    assert len(read("fields_of_the_world", tmp_path, omissions)) == 4
    pictures = PictureFolder(tmp_path)
    for name in ("a.PNG", "b.jpeg"):
        (tmp_path / "pictures" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "pictures" / name).touch()
    assert [pictures.find(name).name for name in ("a.png", "x/b.JPG", "b")] == ["a.PNG", "b.jpeg", "b.jpeg"]

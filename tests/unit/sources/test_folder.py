"""Folders of users and of the simulator: what is good is used, what is bad is listed."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from PIL import Image
from tests.unit.sources.conftest import SIZE, field, reflectance

from agrilape import console
from agrilape.config.recipe import FolderSource
from agrilape.errors import DataError
from agrilape.sources import PixelWindow, load_scenes, open_folder, read_raster
from agrilape.sources.scaling import ASSUMED


def scene(write_raster, write_parcels, folder, **options):
    for day in ("20210503", "20210612", "20210801"):
        write_raster(f"{folder}/{day}.tif", **options)
    write_parcels(f"{folder}/parcels.gpkg")


def test_one_folder_is_one_scene_in_order_of_date(write_raster, write_parcels, tmp_path):
    scene(write_raster, write_parcels, "scene_0000")
    (tmp_path / "scene_0000/scene.json").write_text(
        json.dumps(
            {
                "window": {"start": "2021-02-01", "end": "2021-10-31"},
                "exhaustively_labelled": False,
                "region": "Jutland",
            }
        )
    )
    opened = open_folder(tmp_path)
    (only,) = opened.scenes
    assert (only.id, opened.problems) == ("scene_0000", ())
    assert [frame.acquired for frame in only.frames] == [
        date(2021, 5, 3),
        date(2021, 6, 12),
        date(2021, 8, 1),
    ]
    assert (only.window.start, only.window.end) == (date(2021, 2, 1), date(2021, 10, 31))
    assert [parcel.crop for parcel in only.parcels] == ["winter wheat", "maize"]
    assert not only.exhaustively_labelled
    assert (only.meta["region"], only.meta["group"]) == ("Jutland", "scene_0000")
    assert only.meta["gsd_m"] == pytest.approx(10, rel=1e-3)


def test_one_bad_scene_never_sinks_the_others(write_raster, write_parcels, tmp_path):
    scene(write_raster, write_parcels, "good")
    scene(write_raster, write_parcels, "truncated")
    for path in (tmp_path / "truncated").glob("*.tif"):
        path.write_bytes(path.read_bytes()[:5000])
    scene(write_raster, write_parcels, "blank", values=np.zeros((4, SIZE, SIZE), np.uint16), nodata=0)
    scene(write_raster, write_parcels, "nowhere", crs=None)
    scene(write_raster, write_parcels, "elsewhere")
    write_parcels("elsewhere/parcels.gpkg", geometry=[field(9000, 0, 9050, 50)], crop=["maize"])
    scene(write_raster, write_parcels, "bad_facts")
    (tmp_path / "bad_facts/scene.json").write_text("{")
    scene(write_raster, write_parcels, "backwards")
    (tmp_path / "backwards/scene.json").write_text('{"window": {"start": "2021-05-01", "end": "2020-05-01"}}')
    opened = open_folder(tmp_path)
    assert [found.id for found in opened.scenes] == ["good"]
    reasons = {problem.path.relative_to(tmp_path).parts[0]: problem.reason for problem in opened.problems}
    for folder, reason in {
        "truncated": "not a readable image",
        "blank": "no pixel is valid",
        "nowhere": "no coordinate reference system",
        "elsewhere": "do not overlap",
        "bad_facts": "not readable JSON",
        "backwards": "must end after it starts",
    }.items():
        assert reason in reasons.pop(folder)
    assert not reasons


def test_bad_date_is_left_out_of_its_series(write_raster, write_parcels, tmp_path):
    scene(write_raster, write_parcels, "a")
    path = tmp_path / "a/20210612.tif"
    path.write_bytes(path.read_bytes()[:1000])
    write_raster("a/20210801.tif", values=np.zeros((4, SIZE, SIZE), np.uint16), nodata=0)
    opened = open_folder(tmp_path)
    assert [frame.acquired for frame in opened.scenes[0].frames] == [date(2021, 5, 3)]
    assert sorted(problem.path.name for problem in opened.problems) == ["20210612.tif", "a"]


def test_one_file_per_band(write_raster, tmp_path):
    for role in ("B02", "B03", "B04", "B08"):
        write_raster(f"T32_20210503_{role}.tif", reflectance(bands=1), names=None)
    (only,) = open_folder(tmp_path).scenes
    assert set(only.frames[0].bands) >= {"blue", "green", "red", "nir", "ndvi"}


def test_undated_images_are_scenes_of_their_own(write_raster, write_parcels, tmp_path):
    for name in ("north", "south"):
        write_raster(f"{name}.tif")
    write_parcels()
    scenes = open_folder(tmp_path).scenes
    assert [found.id for found in scenes] == ["north", "south"]
    assert [len(found.parcels) for found in scenes] == [2, 2]
    assert {found.window for found in scenes} == {None}


def test_other_places_of_one_folder_are_other_scenes(write_raster, tmp_path):
    write_raster("20210503_here.tif")
    write_raster("20210503_there.tif", transform=Affine(10, 0, 700_000, 0, -10, 5_400_000))
    assert len(open_folder(tmp_path).scenes) == 2


def test_scenes_of_one_folder_have_names_of_their_own(write_raster, tmp_path):
    for day in ("20210503", "20210612"):
        write_raster(f"a/here_{day}.tif")
        write_raster(f"a/there_{day}.tif", transform=Affine(10, 0, 700_000, 0, -10, 5_400_000))
    scenes = open_folder(tmp_path).scenes
    assert [found.id for found in scenes] == ["a/here_20210503", "a/there_20210503"]
    assert [len(found.frames) for found in scenes] == [2, 2]


def test_parcels_in_a_folder_of_their_own(write_raster, write_parcels, tmp_path):
    write_raster("images/20210503.tif")
    write_parcels("labels/far.gpkg", geometry=[field(9000, 0, 9050, 50)], crop=["maize"])
    write_parcels("labels/near.gpkg", to="EPSG:4326")
    opened = open_folder(tmp_path)
    assert len(opened.scenes[0].parcels) == 2
    assert opened.notes == (ASSUMED, "near.gpkg: reprojected from EPSG:4326 to EPSG:32632")


def test_pictures_have_pixels_only(tmp_path):
    Image.fromarray(np.full((40, 60, 3), 100, np.uint8)).save(tmp_path / "field.png")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG nothing more")
    opened = open_folder(tmp_path, images="*.png")
    (only,) = opened.scenes
    assert (only.width, only.height, only.georeference) == (60, 40, None)
    assert [problem.path.name for problem in opened.problems] == ["torn.png"]


def test_blank_margin_of_a_mosaic_is_grey_but_white_roofs_are_not(tmp_path):
    image = np.random.default_rng(0).integers(0, 200, (100, 120, 3)).astype(np.uint8)
    image[:, 90:] = 255
    image[40:50, 40:50] = 255
    Image.fromarray(image).save(tmp_path / "naip.png")
    frame = read_raster(tmp_path / "naip.png", pixels_only=True).frames[0]
    picture = frame.picture(PixelWindow(0, 0, 130, 100), "true_colour")
    np.testing.assert_array_equal(picture[:, :90], image[:, :90])
    assert (picture[:, 90:] == 128).all()


def test_bright_ground_at_the_edge_is_no_margin_and_bands_come_by_name(tmp_path):
    image = np.random.default_rng(0).integers(0, 200, (100, 120, 3)).astype(np.uint8)
    image[:, 90:] = 240  # concrete
    image[:20, :20] = 255  # a roof that the picture cuts
    Image.fromarray(image).save(tmp_path / "naip.png")
    frame = read_raster(tmp_path / "naip.png", pixels_only=True).frames[0]
    blue, red = frame.read(PixelWindow(0, 0, 120, 100), ("blue", "red"))
    np.testing.assert_allclose(blue, image[..., 2] / 255, rtol=1e-6)
    np.testing.assert_allclose(red, image[..., 0] / 255, rtol=1e-6)


def test_hidden_files_are_passed_over(write_raster, tmp_path):
    write_raster("a/20210503.tif")
    write_raster(".half-written/20210503.tif")
    assert [found.id for found in open_folder(tmp_path).scenes] == ["a/20210503"]


def test_what_was_done_is_said(write_raster, write_parcels, tmp_path):
    scene(write_raster, write_parcels, "a")
    write_parcels("a/parcels.gpkg", to="EPSG:4326")
    scene(write_raster, write_parcels, "b", crs=None)
    with console.out.capture() as said, console.err.capture() as warned:
        assert len(list(load_scenes(FolderSource(kind="folder", path=tmp_path)))) == 1
    assert "reprojected from EPSG:4326" in said.get()
    assert "no coordinate reference system" in warned.get()


@pytest.mark.parametrize("folder", ["", "missing"])
def test_folder_without_images_is_an_error(tmp_path, folder):
    with pytest.raises(DataError, match=r"no file|not a folder"):
        open_folder(tmp_path / folder)


def test_folder_with_nothing_usable_is_an_error(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"")
    with console.err.capture(), pytest.raises(DataError, match="no scene"):
        list(load_scenes(FolderSource(kind="folder", path=tmp_path)))


def test_parcel_outlines_lie_on_their_pixels(write_raster, write_parcels, tmp_path):
    """The bright field of the image is the field of the parcels."""
    values = np.full((4, SIZE, SIZE), 500, np.uint16)
    values[:, 10:30, 10:40] = 3000
    write_raster("20210503.tif", values)
    write_parcels(to="EPSG:4326")
    (only,) = open_folder(tmp_path).scenes
    red = only.frames[0].read(PixelWindow(0, 0, SIZE, SIZE), ("red",))[0]
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    inside = shapely.contains_xy(only.parcels[0].outline, columns, rows)
    np.testing.assert_array_equal(inside, red > 0.2)


def test_ndvi_only_series_of_one_file_per_date(write_raster, tmp_path):
    for month, value in ((4, 2000), (6, 8000), (8, 5000)):
        stored = np.full((1, SIZE, SIZE), value, np.int16)
        stored[:, :10] = -3000
        write_raster(f"MOD13Q1_NDVI_2021{month:02d}07.tif", stored, None, nodata=-3000)
    (only,) = open_folder(tmp_path).scenes
    assert [frame.bands for frame in only.frames] == [("ndvi",)] * 3
    read = [frame.read(PixelWindow(0, 0, SIZE, SIZE), ("ndvi",))[0] for frame in only.frames]
    assert [np.nanmean(ndvi) for ndvi in read] == pytest.approx([0.2, 0.8, 0.5])
    assert np.isnan(read[0][:10]).all()
    assert only.frames[1].picture(PixelWindow(0, 0, SIZE, SIZE), "ndvi")[20, 20].argmax() == 1  # green


def test_one_file_per_band_and_date(write_raster, tmp_path):
    for day in ("20210503", "20210612"):
        for role in ("B04", "B08"):
            write_raster(f"T32UNF_{day}T103021_{role}_10m.tif", reflectance(bands=1), None)
        write_raster(f"T32UNF_{day}T103021_SCL_20m.tif", np.full((1, SIZE, SIZE), 5, np.uint8), None)
    (only,) = open_folder(tmp_path).scenes
    assert [frame.acquired.month for frame in only.frames] == [5, 6]
    assert [set(frame.bands) for frame in only.frames] == [{"red", "nir", "ndvi", "evi2", "savi"}] * 2


def test_undated_image_among_dated_ones_is_a_scene_of_its_own(write_raster, tmp_path):
    for name in ("20210503", "20210612", "undated"):
        write_raster(f"{name}.tif")
    first, second = open_folder(tmp_path).scenes
    assert [len(found.frames) for found in (first, second)] == [2, 1]
    assert (second.id, second.window) == ("undated", None)


def test_date_may_be_stated_for_an_image_without_one(write_raster, tmp_path):
    write_raster("field.tif")
    (tmp_path / "scene.json").write_text('{"acquired": "2021-05-03"}')
    assert open_folder(tmp_path).scenes[0].frames[0].acquired == date(2021, 5, 3)


def test_images_without_a_place_are_used_if_asked_for_and_that_is_said(write_raster, write_parcels, tmp_path):
    write_raster("drone.tif", crs=None)
    write_parcels()
    (tmp_path / "scene.json").write_text('{"pixels_only": true}')
    opened = open_folder(tmp_path)
    (only,) = opened.scenes
    assert (only.georeference, only.parcels) == (None, ())
    assert "drone: no place on the map, pixels only" in opened.notes


def test_corrupt_labels_are_listed_with_their_scene(write_raster, write_parcels, tmp_path):
    for folder, name in (("a", "stress_zones.geojson"), ("b", "observations.csv"), ("c", "labels.tif")):
        scene(write_raster, write_parcels, folder)
        (tmp_path / folder / name).write_bytes(b"\x00 nothing")
    scene(write_raster, write_parcels, "good")
    opened = open_folder(tmp_path)
    assert [found.id for found in opened.scenes] == ["good"]
    assert [problem.path.name for problem in opened.problems] == ["a", "b", "c"]
    for problem, name in zip(opened.problems, ("stress_zones", "observations", "labels"), strict=True):
        assert name in problem.reason


def test_scene_json_counts_for_a_folder_named_from_here_too(write_raster, tmp_path, monkeypatch):
    write_raster("farm/a/field.tif", crs=None)
    (tmp_path / "farm/scene.json").write_text('{"acquired": "2021-05-03"}')
    (tmp_path / "farm/a/scene.json").write_text('{"crs": "EPSG:32632"}')
    monkeypatch.chdir(tmp_path)
    (only,) = open_folder(Path("farm")).scenes
    assert (only.frames[0].acquired, only.georeference.crs) == (date(2021, 5, 3), "EPSG:32632")
    assert read_raster(Path("farm/a/field.tif")).georeference.crs == "EPSG:32632"


@pytest.mark.parametrize(
    "name",
    ["parcels.geojson", "PARCELS.GEOJSON", "parcels.shp", "parcels.parquet", "parcels.fgb", "parcels.json"],
)
def test_labels_of_any_format_are_found_without_a_pattern(write_raster, write_parcels, tmp_path, name):
    write_raster("a.tif")
    write_parcels(name)
    opened = open_folder(tmp_path)
    assert len(opened.scenes[0].parcels) == 2
    assert any("parcels are read from 1 file" in note for note in opened.notes)


def test_label_files_that_nothing_matches_are_named(write_raster, write_parcels, tmp_path):
    write_raster("a.tif")
    write_parcels("parcels.geojson")
    notes = open_folder(tmp_path, parcels="**/*.shp").notes
    assert any("no file matches parcels: **/*.shp" in note for note in notes)
    assert any("parcels.geojson" in note and "passed over" in note for note in notes)


def test_an_unknown_key_of_scene_json_is_refused_with_the_nearest(write_raster, tmp_path):
    write_raster("a.tif")
    (tmp_path / "scene.json").write_text('{"fuly_labelled": true}')
    (problem,) = open_folder(tmp_path).problems
    assert "unknown key 'fuly_labelled'" in problem.reason
    assert "did you mean 'exhaustively_labelled'?" in problem.reason


def test_nobody_assumes_that_all_is_labelled(write_raster, write_parcels, tmp_path):
    write_raster("a.tif")
    write_parcels("parcels.gpkg")
    (scene,) = open_folder(tmp_path).scenes
    assert not scene.exhaustively_labelled
    assert 0 < scene.meta["labelled_share"] < 1
    (stated,) = open_folder(tmp_path, exhaustively_labelled=True).scenes
    assert stated.exhaustively_labelled
    assert "labelled_share" not in stated.meta


def test_json_that_holds_no_features_is_no_label_file(write_raster, tmp_path):
    write_raster("a.tif")
    (tmp_path / "scene.json").write_text('{"sensor": "camera"}')
    (tmp_path / "items.json").write_text(
        '{"type": "FeatureCollection", "features": [{"stac_version": "1.0.0"}]}'
    )
    opened = open_folder(tmp_path)
    assert (opened.problems, opened.scenes[0].parcels) == ((), ())
    assert not any("json" in note for note in opened.notes if "scene.json" not in note)


def test_a_label_file_that_cannot_be_read_is_named_beside_a_good_one(write_raster, write_parcels, tmp_path):
    write_raster("a.tif")
    write_parcels("good.gpkg")
    (tmp_path / "torn.gpkg").write_bytes(b"nothing")
    opened = open_folder(tmp_path)
    assert len(opened.scenes[0].parcels) == 2
    assert [note for note in opened.notes if "skipped" in note and "torn.gpkg" in note]


def pictures(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((40, 60, 3), 100, np.uint8)).save(path)


def test_a_table_says_what_is_known_of_each_image(tmp_path):
    pictures(tmp_path, "tiles/a.png", "tiles/b.png", "tiles/c.png", "tiles/d.png")
    (tmp_path / "scene.json").write_text('{"gsd_m": 10, "label": "unknown", "metadata": {"owner": "us"}}')
    (tmp_path / "tiles/metadata.csv").write_text(
        "file_name;label;gsd_m;split;window_start;window_end;camera\n"
        "c.png;pasture;;test;;;\n"
        "a.png;;0.5;;2021-02-01;2021-10-31;M3\n"
        "b.png;;minus one;;;;\n"
        "gone.png;river;;;;;\n"
    )
    opened = open_folder(tmp_path, "**/*.png")
    assert [scene.id for scene in opened.scenes] == ["tiles/c", "tiles/a", "tiles/d"]  # as the table has them
    c, a, d = opened.scenes
    assert (c.label, a.label, d.label) == ("pasture", "unknown", "unknown")
    assert (c.meta["gsd_m"], a.meta["gsd_m"], d.meta["gsd_m"]) == (10, 0.5, 10)
    assert (c.meta["split"], "split" in a.meta) == ("test", False)
    assert (a.meta["window"]["start"], a.meta["camera"], a.meta["owner"]) == ("2021-02-01", "M3", "us")
    assert [problem.path.name for problem in opened.problems] == ["b.png"]
    assert "gsd_m" in opened.problems[0].reason
    assert any("1 of its images are not there (gone.png" in note for note in opened.notes)


def test_a_table_of_something_else_is_passed_over_and_named(tmp_path):
    pictures(tmp_path, "a.png")
    (tmp_path / "metadata.csv").write_text("station,height\n1,2\n")
    opened = open_folder(tmp_path, "**/*.png")
    assert len(opened.scenes) == 1
    assert any("metadata.csv was passed over" in note for note in opened.notes)


def test_a_table_also_speaks_of_images_on_the_map(write_raster, tmp_path):
    write_raster("one.tif")
    write_raster("two.tif", transform=Affine(10, 0, 600_000, 0, -10, 5_200_000))
    (tmp_path / "metadata.csv").write_text(
        "file_name,split,acquired\ntwo.tif,test,2020-07-01\none.tif,train,2021-06-01\n"
    )
    two, one = open_folder(tmp_path).scenes
    assert (two.meta["split"], one.meta["split"]) == ("test", "train")
    assert [scene.frames[0].acquired for scene in (two, one)] == [date(2020, 7, 1), date(2021, 6, 1)]


def test_drawn_outlines_are_fields_of_their_picture(tmp_path):
    pictures(tmp_path, "a.png", "b.png")
    (tmp_path / "outlines.csv").write_text(
        "image,id,outline,crop\n"
        'a.png,7,"POLYGON ((0 0, 20 0, 20 10, 0 10, 0 0))",Winter_Wheat\n'
        'a.png,8,"POLYGON ((30 0, 50 20, 50 0, 30 20, 30 0))",\n'  # crosses itself
        'a.png,9,"LINESTRING (0 0, 5 5)",\n'
        'a.png,10,"POLYGON ((100 100, 120 100, 120 120, 100 100))",\n'
        "a.png,11,POLYGON of mine,\n"
        'b.png,1,"POLYGON ((0 0, 20 0, 20 10, 0 10, 0 0))",maize\n'
    )
    a, b = (opened := open_folder(tmp_path, "**/*.png")).scenes
    assert [(field.id, field.crop) for field in a.parcels] == [("7", "winter wheat"), ("8", None)]
    assert all(field.outline.is_valid for field in a.parcels)
    assert a.parcels[1].outline.area == pytest.approx(200)
    assert [field.crop for field in b.parcels] == ["maize"]
    assert any("skipped 3 outlines of a.png" in note and "no polygon" in note for note in opened.notes)


def test_outlines_without_their_columns_say_what_to_write(tmp_path):
    pictures(tmp_path, "a.png")
    (tmp_path / "outlines.csv").write_text("file,shape\na.png,x\n")
    (problem,) = open_folder(tmp_path, "**/*.png").problems
    assert "lacks the columns outline, image" in problem.reason


def test_parcels_cut_at_the_edge_have_no_area(write_raster, write_parcels, tmp_path):
    scene(write_raster, write_parcels, "here")
    whole = open_folder(tmp_path).scenes[0].parcels
    assert all(parcel.area_ha for parcel in whole)
    box = shapely.box(*shapely.total_bounds([parcel.outline for parcel in whole]))
    assert box.bounds[0] >= 0
    write_parcels("here/parcels.gpkg", geometry=[field(0, 0, 4, 4), field(10, 10, 14, 14)])
    (tmp_path / "here/scene.json").write_text('{"clipped": true, "labelled_area": "parcels"}')
    (seen,) = open_folder(tmp_path).scenes
    cut, inside = seen.parcels
    assert (cut.area_ha, cut.attributes["clipped"]) == (None, True)
    assert inside.area_ha
    assert "clipped" not in inside.attributes
    assert seen.region.area == pytest.approx(cut.outline.area + inside.outline.area)

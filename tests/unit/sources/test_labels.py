"""Zones, points, masks and boxes beside the imagery."""

import gzip
from datetime import date

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image
from tests.unit.sources.conftest import SIZE, field

from agrilape.config.recipe import SimulateSource
from agrilape.errors import DataError
from agrilape.simulate import simulate_scene
from agrilape.sources import open_folder, read_observations, read_point_series
from agrilape.sources.labels import PARTLY


def test_simulated_zones_lie_in_their_parcels(tmp_path):
    folder = simulate_scene(tmp_path, SimulateSource(scenes=1, size=256, dates=2, seed=2), 0)
    (scene,) = open_folder(folder).scenes
    parcels = {parcel.id: parcel for parcel in scene.parcels}
    stress = [zone for zone in scene.zones if zone.kind == "stress"]
    assert stress
    for zone in stress:
        parcel = parcels[zone.parcel]
        assert zone.outline.intersection(parcel.outline).area == pytest.approx(zone.outline.area, rel=1e-6)
        assert zone.share == pytest.approx(zone.outline.area / parcel.outline.area, abs=2e-3)
        assert scene.window.start <= zone.since <= scene.window.end
    cover = {zone.name for zone in scene.zones if zone.kind == "landcover"}
    assert cover <= {"road", "track", "wood", "farmstead", "water", "river", "hedge", "pond"}
    assert len(cover) >= 2


def test_zones_in_a_file_of_their_own(write_raster, write_parcels, tmp_path):
    write_raster("20210503.tif")
    write_parcels()
    write_parcels(
        "stress_zones.geojson", geometry=[field(12, 12, 20, 20), field(900, 0, 910, 9)], to="EPSG:4326",
        cause=["Drought", "pest"], parcel_id=["a", "z"], share=[0.1, 0.2], onset_date=["12 June 2021", None],
    )  # fmt: skip
    opened = open_folder(tmp_path, parcels="*.g*")
    (zone,) = opened.scenes[0].zones
    assert (zone.kind, zone.name, zone.parcel, zone.share) == ("stress", "drought", "a", 0.1)
    assert zone.since == date(2021, 6, 12)
    assert zone.outline.bounds == pytest.approx((12, 12, 20, 20), abs=1e-3)
    assert len(opened.scenes[0].parcels) == 2  # a zone is no parcel


@pytest.mark.parametrize("stage", ["growth_stage", "BBCH", "BBCH Rating"])
def test_observations_of_a_table_in_degrees(write_raster, tmp_path, stage):
    write_raster("a/20210503.tif")
    places = geopandas.GeoSeries([shapely.Point(600_105, 5_399_795)] * 3, crs="EPSG:32632").to_crs(
        "EPSG:4326"
    )
    rows = [
        f"lon,lat,date,{stage},crop,sowing_date,harvest_date",
        f"{places.x[0]},{places.y[0]},3.5.2021,31,winter wheat,2020-10-01,",
        f"{places.x[0]},{places.y[0]},,65,,,",
        f"{places.x[0]},{places.y[0]},2021-06-12,unrated,,,20210801",
        "8,10,2021-05-03,31,maize,,",
        ",,2021-05-03,31,maize,,",
    ]
    (tmp_path / "observations.csv").write_text("\n".join(rows))
    opened = open_folder(tmp_path)
    (scene,) = opened.scenes
    found = [(seen.kind, seen.value, seen.observed) for seen in scene.observations]
    assert found == [
        ("bbch", 31.0, date(2021, 5, 3)),
        ("crop", "winter wheat", date(2021, 5, 3)),
        ("sowing", "winter wheat", date(2020, 10, 1)),
        ("harvest", "", date(2021, 8, 1)),
    ]
    assert (scene.observations[0].x, scene.observations[0].y) == pytest.approx((10.5, 20.5), abs=1e-3)
    assert not scene.exhaustively_labelled  # points say nothing about the ground between them
    assert "observations.csv: skipped 1 observations without a date" in opened.notes
    assert "observations.csv: skipped 1 rows without a place" in opened.notes


def test_observations_of_a_vector_one_per_row(write_parcels, grid):
    path = write_parcels(
        "observations.geojson", geometry=[shapely.Point(600_105, 5_399_795)] * 3, to="EPSG:4326",
        kind=["bbch", "Sowing", "land_use"], value=["31", "2021-04-20", "Pasture"], date=["2021-05-03"] * 3,
    )  # fmt: skip
    found, notes = read_observations(path, grid)
    assert [(seen.kind, seen.value, seen.observed.month) for seen in found] == [
        ("bbch", 31.0, 5), ("sowing", "", 4), ("land_use", "pasture", 5)
    ]  # fmt: skip
    assert notes == ()


def test_observations_without_places_are_an_error(tmp_path, grid):
    (tmp_path / "observations.csv").write_text("date,bbch\n2021-05-03,31\n")
    with pytest.raises(DataError, match="no columns longitude and latitude"):
        read_observations(tmp_path / "observations.csv", grid)


def test_observations_in_pixels(tmp_path, grid):
    path = tmp_path / "observations.csv"
    path.write_text("column,row,kind,value,date\n12.5,3.25,bbch,31,2022-04-01\n-1,5,bbch,31,2022-04-01\n")
    (seen,), _ = read_observations(path, grid)
    assert (seen.x, seen.y, seen.kind, seen.value) == (12.5, 3.25, "bbch", 31.0)


def test_point_series(tmp_path):
    rows = [
        "id,label,longitude,latitude,date,red,ndvi",
        "2,Pasture,8.2,50,2021-06-01,0.1,0.5",
        "1,Cropland,8.1,50,2021-06-01,0.2,0.6",
        "1,Cropland,8.1,50,2021-05-01,0.3,",
        "1,Cropland,8.1,50,never,0.3,0.1",
    ]
    path = tmp_path / "series.csv.gz"
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    first, second = read_point_series(path)
    assert (first.id, first.label, first.longitude) == ("1", "cropland", 8.1)
    assert first.dates == (date(2021, 5, 1), date(2021, 6, 1))
    assert first.values["red"] == (0.3, 0.2)
    assert np.isnan(first.values["ndvi"][0])
    assert second.values == {"red": (0.1,), "ndvi": (0.5,)}


def test_point_series_without_its_columns_is_an_error(tmp_path):
    path = tmp_path / "series.csv"
    path.write_text("id,date\n1,2021-05-03\n")
    with pytest.raises(DataError, match="lacks the columns latitude, longitude"):
        read_point_series(path)


def test_mask_of_crop_codes_gives_parcels(write_raster, tmp_path):
    codes = np.zeros((1, SIZE // 2, SIZE // 2), np.uint8)
    codes[0, 5:15, 5:20] = 11
    codes[0, 20:30, 20:30] = 216
    codes[0, 24:26, 24:26] = 0  # a hole
    codes[0, 40, 40] = 11  # noise
    codes[0, 0:5, 0:5] = 255
    write_raster("20210503.tif")
    write_raster("labels.tif", codes, None, transform=Affine(20, 0, 600_000, 0, -20, 5_400_000), nodata=255)
    (tmp_path / "crops.csv").write_text("code;name\n11;Winter wheat\n")
    (scene,) = open_folder(tmp_path).scenes
    assert [(parcel.crop, parcel.outline.bounds) for parcel in scene.parcels] == [
        ("winter wheat", (10, 10, 40, 30)), (None, (40, 40, 60, 60))
    ]  # fmt: skip
    assert [parcel.area_ha for parcel in scene.parcels] == pytest.approx([6.0, 3.84], rel=2e-3)


def test_picture_with_a_mask_or_boxes(tmp_path):
    for name in ("one", "two"):
        Image.fromarray(np.full((40, 60, 3), 100, np.uint8)).save(tmp_path / f"{name}.png")
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 30:50] = 1
    Image.fromarray(mask).save(tmp_path / "one_labels.png")
    (tmp_path / "crops.csv").write_text("code,name\n1,maize\n")
    (tmp_path / "boxes.csv").write_text(
        "image,left,top,right,bottom,crop\ntwo.png,1,2,11,12,Winter_Wheat\nthree.png,0,0,1,1,rice\n"
    )
    opened = open_folder(tmp_path, images="*.png")
    one, two = opened.scenes
    assert [(parcel.crop, parcel.outline.bounds) for parcel in one.parcels] == [("maize", (30, 10, 50, 20))]
    (box,) = two.parcels
    assert (box.crop, box.outline.bounds, box.area_ha) == ("winter wheat", (1, 2, 11, 12), None)
    assert box.attributes == {"box_only": True}
    assert not one.exhaustively_labelled  # a mask's 0 and the ground beside boxes may be anything
    assert not two.exhaustively_labelled
    (tmp_path / "scene.json").write_text('{"exhaustively_labelled": true}')
    assert all(scene.exhaustively_labelled for scene in open_folder(tmp_path, images="*.png").scenes)
    assert opened.notes == (PARTLY, "2 pictures have no place on the map: pixels only")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a.png,1,2,three,4,maize", "line 2"),
        ("a.png,9,2,1,4,maize", "no area"),
        ("a.png,1,2", "line 2"),
        ("a.png,nan,2,3,4,maize", "line 2"),
        ("a.png,1,2,90,4,maize", "reaches out"),
    ],
)
def test_bad_box_names_its_line(tmp_path, line, reason):
    Image.fromarray(np.full((40, 60, 3), 100, np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "boxes.csv").write_text(f"image,left,top,right,bottom,crop\n{line}\n")
    opened = open_folder(tmp_path, images="*.png")
    assert opened.scenes[0].parcels == ()
    assert any("skipped 1 boxes of a.png" in note and reason in note for note in opened.notes)


def test_mask_of_another_size_is_left_out(tmp_path):
    Image.fromarray(np.full((40, 60, 3), 100, np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.ones((20, 30), np.uint8)).save(tmp_path / "a_labels.png")
    assert "30 x 20 pixels, the image 60 x 40" in open_folder(tmp_path, images="*.png").problems[0].reason


CODES = np.zeros((40, 60), np.uint8)
CODES[2:12, 5:25] = 1
CODES[25:35, 30:50] = 2


def masked(folder, name, write):
    """The folder of one picture with a mask, opened."""
    Image.fromarray(np.full((40, 60, 3), 100, np.uint8)).save(folder / "a.png")
    (folder / "crops.csv").write_text("code,name\n1,wheat\n2,maize\n")
    write(folder / name)
    return open_folder(folder, images="a.png")


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32", "uint32", "int64", "float32"])
def test_masks_of_any_whole_numbers_are_codes(tmp_path, kind):
    values = CODES.astype(kind)
    if kind == "float32":
        values[CODES == 0] = np.nan

    def write(path):
        with rasterio.open(path, "w", driver="GTiff", width=60, height=40, count=1, dtype=kind) as mask:
            mask.write(values, 1)

    (scene,) = masked(tmp_path, "a_labels.tif", write).scenes
    assert [(parcel.crop, parcel.outline.bounds) for parcel in scene.parcels] == [
        ("wheat", (5, 2, 25, 12)), ("maize", (30, 25, 50, 35))
    ]  # fmt: skip


def test_a_palette_is_read_by_its_indices_and_transparent_pixels_are_unlabelled(tmp_path):
    def palette(path):
        image = Image.fromarray(CODES, "P")
        image.putpalette([0, 0, 0, 200, 30, 30, 30, 200, 30])
        image.save(path)

    def alpha(path):
        image = Image.fromarray(CODES).convert("LA")
        image.putalpha(
            Image.fromarray(np.where(np.arange(40)[:, None] < 20, 0, 255 * (CODES >= 0)).astype("u1"))
        )
        image.save(path)

    assert [p.crop for p in masked(tmp_path, "a_labels.png", palette).scenes[0].parcels] == ["wheat", "maize"]
    assert [p.crop for p in masked(tmp_path, "a_labels.png", alpha).scenes[0].parcels] == ["maize"]


@pytest.mark.parametrize("name", ["a_labels.jpg", "a_labels.tif", "a_labels.png"])
def test_masks_that_hold_no_codes_are_refused(tmp_path, name):
    def write(path):
        if path.suffix == ".tif":
            Image.fromarray(CODES.astype(np.float32) * 1.3).save(path)
        else:
            Image.fromarray(CODES * 100).convert("L" if path.suffix == ".jpg" else "RGB").save(path)

    (problem,) = masked(tmp_path, name, write).problems
    reason = {"jpg": "JPEG, whose compression", "tif": "fractions", "png": "3 bands"}[name[-3:]]
    assert name in problem.reason
    assert reason in problem.reason


def test_crop_column_and_codes_may_be_stated_above(write_raster, write_parcels, tmp_path):
    write_raster("a/20210503.tif")
    write_parcels("a/parcels.gpkg", AfgKode=[11, 216])
    (tmp_path / "scene.json").write_text('{"crop_column": "AfgKode"}')
    (tmp_path / "crops.csv").write_text("code,name\n11,Winter wheat\n216,Silage maize\n")
    (scene,) = open_folder(tmp_path).scenes
    assert [parcel.crop for parcel in scene.parcels] == ["winter wheat", "silage maize"]

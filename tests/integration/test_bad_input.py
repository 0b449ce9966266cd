"""Bad input through the command line: a clear error or a counted skip, never a traceback."""

from __future__ import annotations

import json
import resource
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pytest
import rasterio
import shapely
import yaml

from agrilape import logfile
from agrilape.cli import main
from agrilape.config.recipe import SimulateSource
from agrilape.dataset import read_store
from agrilape.geo.shapes import Point
from agrilape.prepare.chips import ChipCutter
from agrilape.simulate import simulate_scene
from agrilape.sources import PixelWindow, open_folder, read_parcels
from agrilape.sources import folder as folder_source

SIDE = 128
RECIPE = {
    "name": "bad",
    "datasets": {
        "fields": {
            "source": {"kind": "folder", "exhaustively_labelled": True},
            "chip": 64,
            "overlap": 0,
            "split": [1, 0, 0],
            "questions": 4,
            "tasks": ["field_at_point", "crop_at_point", "count"],
        }
    },
    "stages": [
        {
            "name": "align",
            "enable_lape": False,
            "learning_rates": {"llm": 1e-3},
            "mixture": {"all": {"weight": 1, "datasets": ["fields"]}},
            "steps": 1,
        }
    ],
    "evaluation": {"datasets": ["fields"]},
}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """Two dates of a small scene."""
    return simulate_scene(tmp_path_factory.mktemp("good"), SimulateSource(size=SIDE, dates=2, scenes=1), 0)


@pytest.fixture
def scene(good, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(good, tmp_path / "scenes" / "one"))


@pytest.fixture
def agrilape(capsys, monkeypatch) -> Callable[..., tuple[int, str]]:
    """The command: its status and all that it said."""

    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["agrilape", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out + said.err

    return call


@pytest.fixture
def prepare(agrilape, tmp_path) -> Callable[..., tuple[int, str]]:
    """`agrilape prepare` on the spoilt scene."""

    def call(*overrides: str) -> tuple[int, str]:
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(yaml.safe_dump({**RECIPE, "output": str(tmp_path / "run")}))
        given = [f"datasets.fields.source.path={tmp_path / 'scenes'}", *overrides]
        return agrilape("prepare", recipe, *(word for one in given for word in ("--set", one)))

    return call


def image_of(scene: Path) -> Path:
    return sorted(scene.glob("*.tif"))[0]


def blank(path: Path, columns: slice) -> None:
    with rasterio.open(path, "r+") as image:
        values = image.read()
        values[:, :, columns] = image.nodata
        image.write(values)


def redraw(scene: Path, change: Callable[[geopandas.GeoDataFrame], geopandas.GeoDataFrame]) -> None:
    """Write changed parcels in the place of the truth."""
    file = scene / "parcels.gpkg"
    parcels = change(geopandas.read_file(file, layer="parcels"))
    file.unlink()
    parcels.to_file(file, layer="parcels")


def test_an_image_that_cannot_be_read_is_left_out_and_named(scene, prepare):
    image = image_of(scene)
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    status, said = prepare()
    assert status == 3
    assert said.count(str(image)) == 1
    assert "is not a readable image" in said
    (skip,) = json.loads((scene.parents[1] / "run/data/fields/manifest.json").read_text())["skipped_scenes"]
    assert skip["scene"] == str(image)


@pytest.fixture
def log(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(logfile.FOLDER, str(tmp_path / "log"))
    return tmp_path / "log"


def manifest_of(tmp_path) -> dict:
    return json.loads((tmp_path / "run/data/fields/manifest.json").read_text())


def test_a_scene_that_fails_as_nobody_planned_leaves_the_others(scene, prepare, tmp_path, monkeypatch, log):
    shutil.copytree(scene, scene.with_name("two"))
    label = folder_source.label_scene

    def fail(found, root, home, *rest):
        if home.name == "two":
            raise KeyError("a column of [two]")
        return label(found, root, home, *rest)

    monkeypatch.setattr(folder_source, "label_scene", fail)
    status, said = prepare()
    assert status == 3
    assert "KeyError: 'a column of [two]' while opening" in said
    (skip,) = manifest_of(tmp_path)["skipped_scenes"]
    assert skip["scene"].endswith("two")
    (file,) = log.iterdir()
    assert "in fail" in file.read_text()
    assert str(file) in skip["reason"]


def test_all_scenes_failing_is_an_error_that_names_the_reason(scene, prepare, monkeypatch, log):
    monkeypatch.setattr(folder_source, "label_scene", lambda *given: 1 / 0)
    status, said = prepare()
    assert status == 1
    assert "no scene could be opened" in said
    assert "ZeroDivisionError" in said


def test_a_chip_that_fails_as_nobody_planned_is_counted(scene, prepare, tmp_path, monkeypatch, log):
    cut = ChipCutter.cut

    def fail(self, window):
        if window.column == 0 and window.row == 0:
            raise IndexError("beyond the edge")
        return cut(self, window)

    monkeypatch.setattr(ChipCutter, "cut", fail)
    status, said = prepare()
    assert status == 3
    assert "IndexError: beyond the edge while cutting a chip of one" in said
    assert manifest_of(tmp_path)["skipped_chips"]["cannot be read"] == 1
    assert "in fail" in next(log.iterdir()).read_text()


def test_nothing_but_unreadable_images_is_an_error_that_names_them(scene, prepare):
    for image in scene.glob("*.tif"):
        image.write_bytes(b"not an image")
    status, said = prepare()
    assert status == 1
    assert "no scene could be opened" in said
    assert all(str(image) in said for image in scene.glob("*.tif"))


def test_an_image_without_crs_is_refused(scene, prepare):
    facts = json.loads((scene / "scene.json").read_text())
    del facts["crs"]
    (scene / "scene.json").write_text(json.dumps(facts))
    for path in scene.glob("*.tif"):
        with rasterio.open(path) as image:
            profile, values = {**image.profile, "crs": None}, image.read()
        with rasterio.open(path, "w", **profile) as image:
            image.write(values)
    status, said = prepare()
    assert status == 1
    assert "no coordinate reference system" in said


def test_parcels_in_another_crs_are_reprojected_and_it_is_said(scene, prepare):
    redraw(scene, lambda parcels: parcels.to_crs("EPSG:3035"))
    status, said = prepare()
    assert status == 0
    assert "reprojected from EPSG:3035" in said


def test_invalid_outlines_are_repaired_and_counted(scene, prepare):
    def cross(parcels):
        x, y = parcels.geometry.iloc[0].centroid.coords[0]
        bow = shapely.Polygon([(x, y), (x + 90, y + 90), (x + 90, y), (x, y + 90)])
        return parcels.set_geometry([bow, *parcels.geometry.iloc[1:]], crs=parcels.crs)

    redraw(scene, cross)
    status, said = prepare()
    assert status == 0
    assert "repaired 1 invalid" in said


def _repeated(parcels):
    return pandas.concat([parcels, parcels.iloc[:2]])


def _of_unknown_crops(parcels):
    return parcels.assign(crop=[f"{9000 + number}" for number in range(len(parcels))])


def _without_a_place(parcels):
    return parcels.set_geometry([None, shapely.Polygon(), *parcels.geometry.iloc[2:]], crs=parcels.crs)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (_repeated, "skipped 2 parcels that repeat an outline"),
        (_of_unknown_crops, "crops.csv has no name for 9000"),
        (_without_a_place, "skipped 2 features without a geometry"),
    ],
)
def test_what_parcels_lack_or_repeat_is_counted(scene, prepare, change, note):
    redraw(scene, change)
    status, said = prepare()
    assert status == 0
    assert note in said


def _in_three_dimensions(parcels):
    return parcels.set_geometry(shapely.force_3d(parcels.geometry.array, 250.0))


def _with_ponds(parcels):
    return parcels.set_geometry(parcels.geometry.difference(parcels.geometry.centroid.buffer(15)))


def _in_two_parts(parcels):
    far = parcels.geometry.translate(10_000)
    return parcels.set_geometry([shapely.union(*both) for both in zip(parcels.geometry, far, strict=True)])


@pytest.mark.parametrize("change", [_in_three_dimensions, _with_ponds, _in_two_parts])
def test_parcels_of_any_shape_are_asked_about(scene, prepare, change):
    redraw(scene, change)
    status, said = prepare("datasets.fields.tasks=[crop_at_point]")
    assert status == 0, said
    samples = [
        sample for one in read_store(scene.parents[1] / "run/data/fields", "train") for sample in one.samples
    ]
    assert samples
    outlines = geopandas.read_file(scene / "parcels.gpkg", layer="parcels").set_index("parcel_id").geometry
    chips = {one.chip.id: one.chip for one in read_store(scene.parents[1] / "run/data/fields", "train")}
    for sample in samples:
        (point,) = (part for part in sample.question if isinstance(part, Point))
        place = shapely.Point(chips[sample.chip].georeference.to_map(point))
        assert outlines[sample.provenance["parcels"][0]].contains(place)


def test_dates_missing_or_in_words_are_read_where_they_can_be(scene, prepare):
    def said(parcels):
        forms = ["2022-03-01", "1.3.2022", "March 1, 2022", "20220301T101500", "soon", "", None]
        repeated = [forms[number % len(forms)] for number in range(len(parcels))]
        return parcels.assign(sowing_date=repeated, emergence_date=None, peak_date=None, harvest_date=None)

    redraw(scene, said)
    status, heard = prepare()
    assert status == 0
    assert "Traceback" not in heard
    table = read_parcels(scene / "parcels.gpkg", open_folder(scene).scenes[0].georeference)
    found = Counter(parcel.sowing for parcel in table.parcels)
    assert set(found) == {date(2022, 3, 1), None}
    assert found[None] <= 3 * -(-len(table.parcels) // 7)


@pytest.mark.parametrize(
    ("dtype", "nodata", "numbers", "stated"),
    [
        ("uint16", 0, lambda reflectance: reflectance * 10_000 + 1000, {"processing_baseline": "04.00"}),
        ("float32", np.nan, lambda reflectance: reflectance, {"scale": 1}),
        ("float32", -9999, lambda reflectance: reflectance * 200 + 20, {"scale": 0.005, "offset": -0.1}),
    ],
)
def test_numbers_of_any_kind_give_the_same_reflectance(scene, prepare, dtype, nodata, numbers, stated):
    """16 bits with the offset of Sentinel-2's baseline 04.00; floats, with NaN or a number for no data."""
    for image in scene.glob("*.tif"):
        blank(image, slice(0, 4))
    wanted = reflectance(scene)
    assert np.isnan(wanted[..., :4]).all()
    assert np.isfinite(wanted).any()
    for image in scene.glob("*.tif"):
        with rasterio.open(image) as raster:
            values, profile, names, tags = (
                raster.read(masked=True),
                raster.profile,
                raster.descriptions,
                raster.tags(),
            )
        stored = values.data.astype(float)
        stored[:4] = numbers(values[:4].astype(float) / 10_000).filled(nodata)  # the fifth is the cloud mask
        with rasterio.open(image, "w", **profile | {"dtype": dtype, "nodata": nodata}) as raster:
            raster.write((stored.round() if dtype == "uint16" else stored).astype(dtype))
            raster.descriptions = names
            raster.update_tags(**tags)
    (scene / "scene.json").write_text(json.dumps(json.loads((scene / "scene.json").read_text()) | stated))
    status, said = prepare()
    assert status == 0, said
    np.testing.assert_allclose(reflectance(scene), wanted, atol=1e-4)


def reflectance(scene: Path) -> np.ndarray:
    """What is read of all dates, `[dates, bands, height, width]`."""
    frames = open_folder(scene).scenes[0].frames
    bands = ("blue", "green", "red", "nir")
    return np.stack([frame.read(PixelWindow(0, 0, SIDE, SIDE), bands) for frame in frames])


def test_a_manifest_that_points_outside_its_folder_is_refused(scene, prepare, agrilape):
    status, said = prepare()
    assert status == 0, said
    manifest = scene.parents[1] / "run/data/fields/manifest.json"
    facts = json.loads(manifest.read_text())
    facts["shards"][0]["path"] = "../elsewhere.parquet"
    manifest.write_text(json.dumps(facts))
    for command in ("check", "stats"):
        status, said = agrilape("data", command, manifest.parent)
        assert status == 1
        assert "a shard lies beside its manifest" in " ".join(said.split())


def test_parcels_of_another_place_are_refused(scene, prepare):
    redraw(scene, lambda parcels: parcels.set_geometry(parcels.geometry.translate(90_000, 90_000)))
    status, said = prepare()
    assert status == 1
    assert "do not overlap" in said


def test_windows_without_data_are_counted(scene, prepare):
    for image in scene.glob("*.tif"):
        blank(image, slice(0, SIDE // 2))
    status, said = prepare()
    assert status == 0
    assert "skipped 2 chips: " in said


def test_images_without_any_data_are_refused(scene, prepare):
    for image in scene.glob("*.tif"):
        blank(image, slice(None))
    status, said = prepare()
    assert status == 1
    assert "no pixel is valid" in said


def test_dates_out_of_order_are_left_out_and_counted(scene, prepare):
    def swap(parcels):
        columns = {"sowing_date": "harvest_date", "harvest_date": "sowing_date"}
        return parcels.rename(columns=columns)

    redraw(scene, swap)
    status, said = prepare()
    assert status == 0
    assert "which are out of order" in said


def test_a_task_that_nothing_can_be_asked_for_is_named(scene, prepare):
    redraw(scene, lambda parcels: parcels.drop(columns="crop"))
    status, said = prepare()
    assert status == 0
    assert "no chip gave a question for crop_at_point" in said


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("datasets.fields.chips=64", "unknown key 'datasets.fields.chips', did you mean 'chip'?"),
        ("stages.align.step=1", "unknown key 'stages.align.step', did you mean 'steps'?"),
        ("datasets.fields.tasks=[field_at_pint]", "did you mean 'field_at_point'?"),
    ],
)
def test_a_name_that_is_not_known_brings_up_the_nearest(scene, prepare, override, hint):
    status, said = prepare(override)
    assert status == 1
    assert hint in said.replace("\n", " ")


@pytest.mark.parametrize("room", [2_000, 20_000, 120_000])
def test_a_full_disk_is_said_and_leaves_nothing_half_done(agrilape, tmp_path, room):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        status, said = agrilape("simulate", tmp_path / "scenes", "--size", SIDE, "--dates", 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 1
    assert "no room on the disk" in said
    assert "free some space" in said
    assert list((tmp_path / "scenes").iterdir()) == []

"""Bad input through the command line: a clear error or a counted skip, never a traceback."""

from __future__ import annotations

import json
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import geopandas
import pytest
import rasterio
import shapely
import yaml

from agrilape.cli import main
from agrilape.config.recipe import SimulateSource
from agrilape.simulate import simulate_scene

SIDE = 128
RECIPE = {
    "name": "bad",
    "datasets": {
        "fields": {
            "source": {"kind": "folder"},
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
    assert "left out 2 chips: " in said


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

"""Preparing goes on after a kill, gives the same bytes whoever does it, and stays within its memory."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import date

import numpy as np
import pytest
import rasterio.env
import shapely
import yaml
from typer.testing import CliRunner

from agrilape.cli.app import app
from agrilape.config.recipe import DatasetConfig, SimulateSource
from agrilape.dataset import read_manifest
from agrilape.errors import DataError
from agrilape.prepare import from_scenes
from agrilape.prepare.from_scenes import prepare_dataset
from agrilape.prepare.label_index import write_label_index
from agrilape.simulate import simulate_scene
from agrilape.sources import Observation, Parcel, PixelWindow, Scene, Zone

SETTINGS = {
    "source": {"kind": "simulate", "scenes": 3, "size": 192, "dates": 4},
    "tasks": ["field_at_point", "crop_in_box", "peak_of_season"],
    "chip": 64,
    "series": 4,
    "split": (0.6, 0.0, 0.4),
}
CONFIG = DatasetConfig.model_validate(SETTINGS)
A_DAY = date(2022, 4, 1)


@pytest.fixture(autouse=True)
def small_units(monkeypatch):
    monkeypatch.setattr("agrilape.prepare.windows.UNIT_CHIPS", 5)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Simulated scenes, kept for all tests."""
    return tmp_path_factory.mktemp("scenes")


def content(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture
def whole(scenes, tmp_path):
    prepare_dataset("sim", CONFIG, tmp_path / "whole", scenes, 1)
    return content(tmp_path / "whole")


SLOW = """
import json, sys, time
from pathlib import Path
from agrilape.config.recipe import DatasetConfig
from agrilape.prepare import from_scenes, windows

windows.UNIT_CHIPS = 5
ask = from_scenes.ask
from_scenes.ask = lambda *all: (time.sleep(0.05), ask(*all))[1]
folder, scenes, settings = sys.argv[1:]
config = DatasetConfig.model_validate(json.loads(settings))
from_scenes.prepare_dataset("sim", config, Path(folder), Path(scenes), 1)
"""


def test_a_run_killed_at_any_time_continues_to_the_same_bytes(whole, scenes, tmp_path):
    folder = tmp_path / "killed"
    arguments = [str(folder), str(scenes), CONFIG.model_dump_json()]
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(SLOW), *arguments])
    while len(list(folder.glob("[!.]*.parquet"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.1)  # into the next shard
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {file.name: file.stat().st_mtime_ns for file in folder.glob("[!.]*.parquet")}
    assert 2 <= len(kept) < len(whole) - 1
    assert not (folder / "manifest.json").exists()
    assert any(file.name.startswith(".") for file in folder.iterdir())  # what it was writing
    prepare_dataset("sim", CONFIG, folder, scenes, 1)
    assert content(folder) == whole
    assert {name: (folder / name).stat().st_mtime_ns for name in kept} == kept


@pytest.mark.parametrize(
    "processes", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["threads", "processes"]
)
def test_a_dask_cluster_of_two_workers_gives_the_same_bytes(whole, scenes, tmp_path, processes):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=processes, protocol="tcp://", dashboard_address=None
    ) as cluster:
        prepare_dataset("sim", CONFIG, tmp_path / "dask", scenes, scheduler=cluster.scheduler_address)
    assert content(tmp_path / "dask") == whole


def test_a_scheduler_that_does_not_answer_is_named(scenes, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("agrilape.prepare.worker_pool.PATIENCE_S", 0.2)
    with pytest.raises(DataError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9"):
        prepare_dataset("sim", CONFIG, tmp_path / "x", scenes, scheduler="tcp://127.0.0.1:9")


def test_a_scene_that_breaks_while_it_is_cut_is_listed_and_the_status_says_so(tmp_path, monkeypatch):
    source = SimulateSource(scenes=3, size=192, dates=1)
    for number in range(3):
        simulate_scene(tmp_path / "in", source, number)
    broken = next((tmp_path / "in" / "scene_0001").glob("*.tif"))
    plan = from_scenes.plan

    def breaking(*all):  # a large scene is not read whole when it is opened
        broken.write_bytes(broken.read_bytes()[:20_000])
        return plan(*all)

    monkeypatch.setattr(from_scenes, "plan", breaking)
    dataset = SETTINGS | {
        "source": {"kind": "folder", "path": str(tmp_path / "in"), "exhaustively_labelled": True},
        "series": 0,
        "tasks": ["count"],
    }
    recipe = {
        "name": "broken", "output": str(tmp_path / "run"), "datasets": {"farm": dataset},
        "evaluation": {"datasets": ["farm"]},
        "stages": [{"name": "one", "enable_lape": True, "steps": 1, "learning_rates": {"llm": 1e-3},
                    "mixture": {"all": {"weight": 1, "datasets": ["farm"]}}}],
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    command = ["prepare", str(tmp_path / "recipe.yaml"), "--workers", "1"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 3, done.output
    assert "skipped scene_0001/" in done.output
    manifest = read_manifest(tmp_path / "run" / "data" / "farm")
    assert [skip.scene[:10] for skip in manifest.skipped_scenes] == ["scene_0001"]
    assert manifest.skipped_chips["cannot be read"] >= 1
    assert sum(counts.chips for counts in manifest.splits.values()) >= 9
    assert CliRunner().invoke(app, command).exit_code == 3  # it stays skipped


def test_labels_come_back_by_place_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 4000, (3000, 2))
    parcels = tuple(
        Parcel(str(n), shapely.box(x, y, x + 30, y + 30), "maize" if n % 2 else None, area_ha=0.1 * n,
               sowing=None if n % 3 else A_DAY, attributes={"soil": "löss", "n": n})
        for n, (x, y) in enumerate(corners)
    )  # fmt: skip
    seen = (Observation(10.5, 20.25, "bbch", 31, A_DAY), Observation(3999, 3999, "crop", "maize"))
    zones = (Zone("stress", "drought", shapely.box(5, 5, 25, 25), parcel="1", share=0.5, since=A_DAY),)
    scene = Scene("s", "fake", (), 4000, 4000, parcels=parcels, observations=seen, zones=zones)
    ground = write_label_index(scene, tmp_path / "labels.parquet")
    assert ground.crops == ("maize",)
    assert not ground.scene.parcels
    near = ground.near([PixelWindow(0, 0, 512, 512), PixelWindow(3000, 3000, 64, 64)])
    area = shapely.union_all([shapely.box(0, 0, 512, 512), shapely.box(3000, 3000, 3064, 3064)])
    assert near.parcels == tuple(parcel for parcel in parcels if parcel.outline.intersects(area))
    assert near.observations == seen[:1]
    assert near.zones == zones
    assert (
        write_label_index(Scene("s", "fake", (), 9, 9), tmp_path / "none")
        .near([PixelWindow(0, 0, 9, 9)])
        .parcels
        == ()
    )


def test_a_worker_that_dies_is_explained(scenes, tmp_path, monkeypatch):
    monkeypatch.setattr("agrilape.prepare.from_scenes.write_shard", die)
    with pytest.raises(DataError, match="worker process was killed"):
        prepare_dataset("sim", CONFIG, tmp_path / "x", scenes, 2)


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_most_work_comes_first_and_changes_nothing(whole, scenes, tmp_path, monkeypatch):
    done = []
    finish = from_scenes.write_shard

    def noting(unit, **how):
        done.append(unit)
        return finish(unit, **how)

    monkeypatch.setattr("agrilape.prepare.from_scenes.write_shard", noting)
    prepare_dataset("sim", CONFIG, tmp_path / "again", scenes, 1)
    reads = [unit.reads for unit in done]
    assert reads == sorted(reads, reverse=True)
    assert reads[0] > reads[-1] > 0
    assert content(tmp_path / "again") == whole


def test_decoded_tiles_are_kept_up_to_bytes_worth_keeping(scenes, tmp_path, monkeypatch):
    caches = []
    examples = from_scenes._examples

    def asking(*all):
        caches.append(rasterio.env.getenv()["GDAL_CACHEMAX"])  # in bytes, whatever GDAL's own manual says
        return examples(*all)

    monkeypatch.setattr(from_scenes, "_examples", asking)
    prepare_dataset("sim", CONFIG, tmp_path / "x", scenes, 1)
    assert {32 << 20 <= cache <= 256 << 20 for cache in caches} == {True}

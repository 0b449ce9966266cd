"""The benchmark of preparing compares the same windows and pictures, and writes what it measured."""

import json
import sys
from argparse import Namespace

import numpy as np
import pytest
import rasterio
from tests.benchmarks import load

from agrilape.dataset import read_store
from agrilape.prepare.from_scenes import prepare_dataset
from agrilape.prepare.windows import ShardJob, SplitWindows
from agrilape.sources.tiling import encode_png


@pytest.fixture(scope="module")
def benchmark():
    return load("prepare")


def test_the_bare_loop_encodes_the_pictures_of_the_samples(benchmark, tmp_path, monkeypatch):
    options = Namespace(folder=tmp_path, chip=128)
    benchmark.make_scene(tmp_path / "scene", 512, 5)
    samples = benchmark.samples_folder(options, "1 worker")
    manifest = prepare_dataset("scene", benchmark.config(options), samples, tmp_path, 1)
    wanted = [
        picture.data
        for split in manifest.splits
        for example in read_store(samples, split)
        for picture in example.chip.pictures
    ]
    encoded = []
    monkeypatch.setattr(benchmark, "encode_png", lambda picture: encoded.append(encode_png(picture)))
    scene = tmp_path / "scene"
    benchmark.read_and_encode(scene, list(benchmark.shown_windows(samples)), benchmark.tones_of(scene))
    assert encoded == wanted


def test_a_part_of_the_plan_is_spread_over_all_of_it(benchmark):
    units = [ShardJob("train", number, (SplitWindows(None, (None,) * 10, ()),)) for number in range(20)]
    numbers = [unit.number for unit in benchmark.spread(units, 50)]
    assert numbers == [2, 6, 10, 14, 18]
    assert benchmark.spread(units, 0) == benchmark.spread(units, 10_000) == units
    assert len(benchmark.spread(units, 1)) == 1


def test_fields_are_green_in_season(benchmark, tmp_path):
    benchmark.make_scene(tmp_path, 256, 3)
    greenness = []
    for file in sorted(tmp_path.glob("*.tif")):
        with rasterio.open(file) as raster:
            red, nir = raster.read([3, 4]).astype(float)
            assert raster.block_shapes[0] == (512, 512) or raster.width < 512
        greenness.append(np.median((nir - red) / (nir + red)))
    assert greenness[1] > max(greenness[0], greenness[2]) + 0.1


@pytest.mark.slow
def test_one_command_measures_prints_and_writes(benchmark, tmp_path, monkeypatch, capsys):
    page, numbers = tmp_path / "page.md", tmp_path / "numbers.json"
    small = [
        "--size",
        "512",
        "--chips",
        "0",
        "--dates",
        "5",
        "--chip",
        "128",
        "--write",
        str(page),
        "--json",
        str(numbers),
    ]
    monkeypatch.setattr(sys, "argv", [benchmark.__file__, *small])
    benchmark.main()
    said = capsys.readouterr().out
    assert "| 2 workers |" in said
    assert said.count("PASS") + said.count("MISS") == len(benchmark.TARGETS)
    assert set(json.loads(numbers.read_text())["cases"]) == set(benchmark.CASES)
    assert page.read_text().count("<!-- prepare -->") == 1

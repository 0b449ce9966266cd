"""A folder of ordinary files becomes a sample store."""

import json
import os
from datetime import date

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from affine import Affine

from agrilape.config import parse_recipe
from agrilape.config.recipe import DatasetConfig
from agrilape.dataset import read_manifest, read_store
from agrilape.dataset.integrity import check_data_set
from agrilape.dataset.tasks import TASKS
from agrilape.errors import DataError, RecipeError
from agrilape.pipeline import prepare_run, train_run
from agrilape.prepare.from_scenes import prepare_dataset

DAYS = [date(2022, month, 15) for month in range(1, 13)]
NDVI = [0.2, 0.2, 0.3, 0.5, 0.7, 0.8, 0.7, 0.5, 0.3, 0.2, 0.2, 0.2]


def write_scene(folder, easting, side=128, year=2022):
    """Two fields on bare soil, green in June, on twelve dates."""
    folder.mkdir(parents=True)
    transform = Affine(10, 0, easting, 0, -10, 5_000_000)
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 4, "width": side, "height": side,
               "crs": "EPSG:32632", "transform": transform, "nodata": 0}  # fmt: skip
    noise = np.random.default_rng(int(easting) + year).integers(0, 200, (4, side, side))
    fields = {"maize": (10, 10, 50, 50), "wheat": (70, 60, 120, 110)}
    for day, index in zip(DAYS, NDVI, strict=True):
        values = 1500 + noise
        for left, top, right, bottom in fields.values():
            values[2, top:bottom, left:right] = 2000 * (1 - index)  # red
            values[3, top:bottom, left:right] = 2000 * (1 + index)  # near infrared
        with rasterio.open(folder / f"{day.replace(year=year):%Y%m%d}.tif", "w", **profile) as raster:
            raster.write(values.astype(np.uint16))
            raster.descriptions = ("B02", "B03", "B04", "B08")
    outlines = [
        shapely.box(*(transform @ (left, bottom)), *(transform @ (right, top)))
        for left, top, right, bottom in fields.values()
    ]
    frame = gpd.GeoDataFrame(
        {"parcel_id": ["1", "2"], "crop": list(fields)}, geometry=outlines, crs="EPSG:32632"
    )
    frame.to_file(folder / "parcels.gpkg")


@pytest.fixture(scope="module")
def farm(tmp_path_factory):
    root = tmp_path_factory.mktemp("farm")
    for number in range(4):
        write_scene(root / f"scene{number}", 500_000 + 5_000 * number)
    return root


def config(farm, **settings):
    return DatasetConfig.model_validate(
        {
            "source": {"kind": "folder", "path": str(farm), "exhaustively_labelled": True},
            "tasks": ["crop_box", "field_at_point", "peak_of_season", "count"],
            "chip": 128,
            "series": 4,
            "questions": 16,
            "split": (0.5, 0, 0.5),
            **settings,
        }
    )


def content(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.suffix == ".parquet"}


def test_a_folder_becomes_a_store_with_right_answers(farm, tmp_path):
    manifest = prepare_dataset("farm", config(farm), tmp_path, tmp_path)
    assert manifest == read_manifest(tmp_path)
    assert {split: counts.chips for split, counts in manifest.splits.items()} == {"train": 2, "test": 2}
    assert not set(manifest.splits["train"].groups) & set(manifest.splits["test"].groups)
    for example in [*read_store(tmp_path, "train"), *read_store(tmp_path, "test")]:
        assert len(example.chip.pictures) == 4
        answers = {(s.task, s.truth.get("crop")): s.answer for s in example.samples}
        assert answers["crop_box", "maize"][0] == pytest.approx((10 / 128, 10 / 128, 50 / 128, 50 / 128))
        assert answers["count", "wheat"] == ("1",)
        assert example.chip.window.date_at(answers["peak_of_season", "wheat"][0].t) == date(2022, 6, 15)


def test_a_finished_folder_is_left_as_it_is_and_a_killed_run_continues(farm, tmp_path, monkeypatch):
    prepare_dataset("farm", config(farm), tmp_path, tmp_path)
    before, times = content(tmp_path), {f: f.stat().st_mtime_ns for f in tmp_path.iterdir()}
    prepare_dataset("farm", config(farm), tmp_path, tmp_path)
    assert {f: f.stat().st_mtime_ns for f in tmp_path.iterdir()} == times

    (tmp_path / "manifest.json").unlink()  # as a kill between two shards leaves it
    (tmp_path / "test-00000.parquet").unlink()
    prepare_dataset("farm", config(farm), tmp_path, tmp_path)
    assert content(tmp_path) == before
    train = tmp_path / "train-00000.parquet"
    assert train.stat().st_mtime_ns == times[train]

    other = prepare_dataset("farm", config(farm, questions=1), tmp_path, tmp_path)
    assert other.splits["train"].samples == 2


def test_what_was_prepared_before_names_changed_is_recognised_and_read(farm, tmp_path):
    made = prepare_dataset("farm", config(farm), tmp_path, tmp_path)
    before = content(tmp_path)
    column = pq.read_table(tmp_path / "test-00000.parquet").column("samples").to_pylist()
    stored = {(one["task"], one["id"].split("/")[-2]) for chip in column for one in chip}
    assert ("greenest", "greenest") in stored, "data sets hold the names that tasks first had"
    path = tmp_path / "manifest.json"
    text = path.read_text().replace("peak_of_season", "greenest").replace("image_size", "picture_side")
    path.write_text(text.replace("exhaustively_labelled", "fully_labelled"))
    times = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    again = prepare_dataset(
        "farm", config(farm, tasks=("crop_box", "field_at_point", "greenest", "count")), tmp_path, tmp_path
    )
    assert again == made
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == times
    assert content(tmp_path) == before
    store = read_store(tmp_path, "test")
    assert "peak_of_season" in {sample.task for example in store for sample in example.samples}
    assert all("greenest" not in tasks for tasks in store.tasks())
    assert all(task != "greenest" for chip in store.truths() for task, _ in chip)


def test_the_number_of_workers_does_not_change_a_byte(farm, tmp_path):
    for workers in (1, 2):
        prepare_dataset("farm", config(farm, chip=64), tmp_path / str(workers), tmp_path, workers)
    assert content(tmp_path / "1") == content(tmp_path / "2")


def test_a_bad_scene_is_listed_and_the_others_are_kept(farm, tmp_path):
    for number in range(3):
        write_scene(tmp_path / "in" / f"scene{number}", 700_000 + 5_000 * number)
    broken = tmp_path / "in" / "scene1" / "20220615.tif"
    broken.write_bytes(broken.read_bytes()[:2000])
    manifest = prepare_dataset("farm", config(tmp_path / "in"), tmp_path / "out", tmp_path)
    assert sum(counts.chips for counts in manifest.splits.values()) >= 2
    assert any("20220615" in skip.scene + skip.reason for skip in manifest.skipped_scenes)


def test_blocks_of_one_scene_share_no_ground_and_no_field(tmp_path):
    write_scene(tmp_path / "in" / "one", 500_000, side=256)
    blocked = config(tmp_path / "in", chip=64, split_by="block", buffer_m=100, tasks=["field_at_point"])
    manifest = prepare_dataset("one", blocked, tmp_path / "out", tmp_path)
    owners = {
        split: {parcel for example in read_store(tmp_path / "out", split) for sample in example.samples
                for parcel in sample.provenance["parcels"]}
        for split in manifest.splits
    }  # fmt: skip
    assert set().union(*owners.values()) == {"1", "2"}
    assert sum(len(parcels) for parcels in owners.values()) == 2
    with pytest.raises(DataError, match="cannot be divided"):
        prepare_dataset("one", config(tmp_path / "in"), tmp_path / "out", tmp_path)


def test_chips_say_their_block_where_a_buffer_keeps_it_apart(tmp_path, capsys):
    write_scene(tmp_path / "in" / "one", 500_000, side=256)
    for buffer in (100, 0):
        blocked = config(
            tmp_path / "in", chip=32, split_by="block", buffer_m=buffer, tasks=["field_at_point"]
        )
        prepare_dataset("one", blocked, tmp_path / str(buffer), tmp_path)
        chips = [
            example.chip
            for split in read_manifest(tmp_path / str(buffer)).splits
            for example in read_store(tmp_path / str(buffer), split)
        ]
        if not buffer:
            assert not any("block" in chip.meta for chip in chips)
            continue
        for chip in chips:
            left, top, right, bottom = chip.meta["block"]
            column, row = map(int, chip.id.rpartition("/")[2].split("_"))
            assert left <= column <= right - 32
            assert top <= row <= bottom - 32
        assert len({tuple(chip.meta["block"]) for chip in chips}) > 1
    assert "set `buffer_m` to the width of a field" in capsys.readouterr().err


@pytest.mark.parametrize("series", [0, 4])
def test_years_of_one_place_are_told_apart(tmp_path, series):
    for year in (2020, 2021, 2022):
        write_scene(tmp_path / "in" / str(year), 500_000, year=year)
    by_year = config(
        tmp_path / "in", split_by="year", split=(0.4, 0.3, 0.3), series=series, tasks=["field_at_point"]
    )
    manifest = prepare_dataset("farm", by_year, tmp_path / "out", tmp_path, 1)
    assert sorted(counts.groups for counts in manifest.splits.values()) == [("2020",), ("2021",), ("2022",)]
    for split, counts in manifest.splits.items():
        assert {example.chip.scene for example in read_store(tmp_path / "out", split)} == set(counts.groups)
    assert check_data_set(tmp_path / "out") == []
    with pytest.raises(DataError, match="1 separate place"):  # it is one place
        prepare_dataset("farm", config(tmp_path / "in"), tmp_path / "out", tmp_path, 1)


def test_too_few_years_are_refused_with_what_to_do(farm, tmp_path):
    with pytest.raises(DataError, match=r"1 separate group\(s\) of years \(2022\).*train, test") as error:
        prepare_dataset("farm", config(farm, split_by="year"), tmp_path, tmp_path, 1)
    assert "folder of its own" in error.value.remedy


def test_prepared_years_that_leak_are_found(farm, tmp_path):
    prepare_dataset("farm", config(farm), tmp_path, tmp_path, 1)  # by scene: both splits are of 2022
    path = tmp_path / "manifest.json"
    facts = json.loads(path.read_text())
    facts["config"]["split_by"] = "year"
    path.write_text(json.dumps(facts))
    (finding,) = check_data_set(tmp_path)
    assert "share the year 2022" in finding.problem


def test_a_manifest_that_points_elsewhere_or_does_not_fit_is_refused(farm, tmp_path):
    prepare_dataset("farm", config(farm), tmp_path, tmp_path)
    with pytest.raises(DataError, match="no 'val' chips"):
        read_store(tmp_path, "val")
    path = tmp_path / "manifest.json"
    facts = json.loads(path.read_text())
    facts["shards"][0]["path"] = "../elsewhere.parquet"
    path.write_text(json.dumps(facts))
    with pytest.raises(DataError, match="beside its manifest"):
        read_store(tmp_path, "train")
    facts["shards"][0] |= {"path": "train-00000.parquet", "bytes": 1}
    path.write_text(json.dumps(facts))
    with pytest.raises(DataError, match="missing or incomplete"):
        read_store(tmp_path, "train")
    path.unlink()
    with pytest.raises(DataError, match="no prepared data set"):
        read_store(tmp_path, "train")


def test_a_simulated_scene_goes_the_same_road(tmp_path):
    source = {"kind": "simulate", "scenes": 2, "size": 128, "dates": 3}
    settings = {"source": source, "tasks": ["field_at_point"], "chip": 64, "series": 0}
    manifest = prepare_dataset("sim", config("", **settings), tmp_path / "out", tmp_path / "scenes", 1)
    assert manifest.splits["train"].groups != manifest.splits["test"].groups
    (example, *_) = read_store(tmp_path / "out", "train")
    assert example.chip.source == "simulate"
    assert example.chip.pictures[0].acquired is None


FIELDS = {"field_at_point", "field_outline", "image_edges", "larger_field", "relative_position"}
CROPS = {"crop_at_place", "crop_at_point", "crop_in_box"}
ALL_LABELLED = {
    "count",
    "no_field_at_point",
    "field_boxes",
    "neighbours",
    "region_description",
    "scene_description",
}
SEASON = {"field_and_season", "growing_season", "green_up", "peak_of_season"}
DENSE = {"series": 12, "composite": "ndvi", "questions": 60}
# Kit -> everything that its labels allow to be asked, and how it is prepared.
KITS = {
    "us_naip_field_polygons": (FIELDS | ALL_LABELLED, {"chip": 512, "image_size": 128, "limit": 60}),
    "dk_s2_lpis2016": (
        FIELDS | CROPS | ALL_LABELLED
        | {"absent_crop", "crop_area", "crop_box", "crop_boxes", "crop_present", "direction", "field_area",
           "layout", "neighbour_crop", "place_of_crop"},
        {"split_by": "block", "buffer_m": 100, "chip": 64},
    ),
    "fr_s2_ts2018": (
        FIELDS | CROPS | SEASON | {"direction", "field_area", "greener_field"},
        {"split_by": "block", "chip": 64, "overlap": 0.5, "series": 6},
    ),
    "ch_wheat_s2_bbch2022": (
        CROPS | SEASON
        | {"field_area", "field_at_point", "field_outline", "green_cycles", "growth_stage", "image_edges"},
        {"chip": 64, "series": 8},
    ),
    "br_cbers4_ndvi_2018_19": (
        {"green_cycles", "growing_season", "green_up", "peak_of_season", "land_use_at_point"},
        {"split_by": "block", "limit": 8, **DENSE},
    ),
    "br_mt_modis_ts": (
        {"crop_rotation", "crops_in_season", "double_cropping", "same_crop"}, {"split": (1, 0, 0), **DENSE},
    ),
    "eurosat_rgb_subset": ({"scene"}, {"chip": 64, "limit": 60, "series": 0}),
}  # fmt: skip


@pytest.mark.parametrize("name", KITS)
def test_every_kit_yields_all_questions_that_its_labels_allow(name, tmp_path, kits):
    tasks, settings = KITS[name]
    source = kits.source(name)
    wanted = {"source": source, "tasks": sorted(TASKS), "limit": 40, "questions": 200, **settings}
    manifest = prepare_dataset(name, config("", **wanted), tmp_path, tmp_path, 1)
    asked = {task for counts in manifest.splits.values() for task in counts.tasks}
    assert asked == tasks
    assert all(origin.licence and origin.citation for origin in manifest.origins)
    partly = name in {"fr_s2_ts2018", "br_cbers4_ndvi_2018_19"}
    assert not (partly and asked & (ALL_LABELLED | {"crop_boxes", "absent_crop", "crop_present", "layout"}))
    assert os.listdir(tmp_path)


def test_a_recipe_that_trains_on_what_it_tests_is_refused(tmp_path):
    """Two data sets of the same land, divided by other seeds: each by itself is sound."""
    source = {"kind": "simulate", "scenes": 6, "size": 128, "dates": 2}
    common = {"source": source, "tasks": ["field_at_point"], "chip": 128, "split": [0.5, 0, 0.5]}
    stage = {"name": "one", "enable_lape": True, "learning_rates": {"llm": 1e-3}, "steps": 1}

    def recipe(**settings):
        return parse_recipe(
            {
                "name": "r", "output": str(tmp_path),
                "datasets": {"learnt": {**common, **settings}, "asked": common},
                "stages": [{**stage, "mixture": {"all": {"weight": 1, "datasets": ["learnt"]}}}],
                "evaluation": {"datasets": ["asked"]},
            }
        )  # fmt: skip

    prepare_run(recipe(chip=64), workers=1)
    with pytest.raises(DataError, match=r"learnt and the test split of data set asked share .*: chips "):
        prepare_run(recipe(seed=1), workers=1)
    with pytest.raises(DataError, match="here seed differs"):
        train_run(recipe(seed=1))


def test_counts_and_absences_need_somebody_to_say_that_all_is_labelled(farm, tmp_path):
    source, tasks = {"kind": "folder", "path": str(farm)}, ["field_at_point", "count"]
    with pytest.raises(RecipeError, match=r"asks count, which need.*25% lies in parcels") as told:
        prepare_dataset("farm", config(farm, source=source, tasks=tasks), tmp_path / "a", tmp_path)
    assert "datasets.farm.source.exhaustively_labelled" in told.value.remedy
    for stated in (True, False):
        said = config(farm, source={**source, "exhaustively_labelled": stated}, tasks=tasks)
        manifest = prepare_dataset("farm", said, tmp_path / str(stated), tmp_path)
        asked = {task for counts in manifest.splits.values() for task in counts.tasks}
        assert ("count" in asked) == stated

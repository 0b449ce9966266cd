"""Published releases become sample stores by recipe, in their publishers' own layout."""

import json
from datetime import date

import geopandas
import numpy as np
import pytest
import shapely
from PIL import Image

from agrilape.config.recipe import DatasetConfig
from agrilape.errors import DataError, RecipeError
from agrilape.geo.shapes import Box
from agrilape.samples import read_store
from agrilape.samples.prepare import prepare_dataset


def config(name, path, **settings):
    source = {"kind": "format", "name": name, "path": str(path), **settings.pop("source", {})}
    return DatasetConfig.model_validate({"source": source, "split": (0.5, 0, 0.5), **settings})


def paint(path, seed, side=64):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def talk(question, answer):
    return [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]


@pytest.fixture
def geochat(tmp_path):
    """Four pictures with two questions each, and one that is missing."""
    root = tmp_path / "geochat"
    rows = []
    for number in range(4):
        paint(root / "images" / f"p{number}.png", number)
        rows += [
            {"id": f"{number}", "image": f"p{number}.png",
             "conversations": talk("[refer] where is the farm?", "{<10><20><30><40>|<0>}")},
            {"id": f"{number}b", "image": f"p{number}.png", "conversations": talk("How many silos?", "3")},
        ]  # fmt: skip
    rows.append({"id": "x", "image": "gone.png", "conversations": talk("What?", "?")})
    (root / "GeoChat_Instruct.json").write_text(json.dumps(rows))
    return root


def chips(folder, *splits):
    return [example for split in splits for example in read_store(folder, split)]


def test_a_release_of_questions(geochat, tmp_path):
    manifest = prepare_dataset("g", config("geochat", geochat), tmp_path / "out", tmp_path)
    assert {split: counts.samples for split, counts in manifest.splits.items()} == {"train": 4, "test": 4}
    assert not set(manifest.splits["train"].groups) & set(manifest.splits["test"].groups)
    (origin,) = manifest.origins
    assert (origin.source, "GeoChat" in origin.citation) == ("geochat", True)
    assert [skip.reason for skip in manifest.skipped_scenes] == [
        "row 9: the picture is not in the data folder"
    ]
    for example in chips(tmp_path / "out", "train", "test"):
        answers = {one.task: one.answer for one in example.samples}
        assert answers["refer"] == (Box(0.1, 0.2, 0.3, 0.4),)


def test_tasks_questions_limits_and_sizes_are_kept(geochat, tmp_path):
    wanted = config("geochat", geochat, tasks=["refer"], limit=3, picture_side=32)
    prepare_dataset("g", wanted, tmp_path / "out", tmp_path)
    found = chips(tmp_path / "out", "train", "test")
    assert len(found) == 3
    assert {one.task for example in found for one in example.samples} == {"refer"}
    with Image.open(__import__("io").BytesIO(found[0].chip.pictures[0].data)) as picture:
        assert picture.size == (32, 32)
    one_each = prepare_dataset("g", config("geochat", geochat, questions=1), tmp_path / "one", tmp_path)
    assert sum(counts.samples for counts in one_each.splits.values()) == 4


def test_a_finished_release_is_left_and_a_killed_run_continues(geochat, tmp_path):
    wanted, out = config("geochat", geochat), tmp_path / "out"
    prepare_dataset("g", wanted, out, tmp_path)
    before = {file.name: file.read_bytes() for file in out.glob("*.parquet")}
    (out / "manifest.json").unlink()
    (out / "test-00000.parquet").unlink()
    kept = (out / "train-00000.parquet").stat().st_mtime_ns
    prepare_dataset("g", wanted, out, tmp_path)
    assert {file.name: file.read_bytes() for file in out.glob("*.parquet")} == before
    assert (out / "train-00000.parquet").stat().st_mtime_ns == kept


def test_pictures_may_lie_elsewhere(geochat, tmp_path):
    elsewhere = tmp_path / "pictures"
    (geochat / "images").rename(elsewhere)
    with pytest.raises(DataError, match="holds nothing"):
        prepare_dataset("g", config("geochat", geochat), tmp_path / "no", tmp_path)
    wanted = config("geochat", geochat, source={"images": str(elsewhere)})
    assert prepare_dataset("g", wanted, tmp_path / "out", tmp_path).splits["train"].chips == 2


def rsvqa(root, splits):
    """One question about each picture, in the split that its position says."""
    for split in set(splits):
        listed = [number for number, one in enumerate(splits) if one == split]
        content = {
            "images": [{"id": number, "active": True} for number in listed],
            "questions": [{"id": number, "img_id": number, "type": "presence", "question": "Is there a road?",
                           "answers_ids": [number], "active": True} for number in listed],
            "answers": [{"id": number, "answer": "yes", "active": True} for number in listed],
        }  # fmt: skip
        for name, entries in content.items():
            path = root / f"LR_split_{split}_{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({name: entries}))
    for number in range(len(splits)):
        paint(root / "Images_LR" / f"{number}.tif", number)


def test_the_release_s_own_split(tmp_path):
    rsvqa(tmp_path / "r", ["train", "train", "val", "test"])
    wanted = config("rsvqa", tmp_path / "r", split_by="published")
    manifest = prepare_dataset("r", wanted, tmp_path / "out", tmp_path)
    assert {split: counts.chips for split, counts in manifest.splits.items()} == {
        "train": 2,
        "val": 1,
        "test": 1,
    }


def test_a_release_that_leaks_is_refused(tmp_path):
    rsvqa(tmp_path / "r", ["train", "test"])
    for name in ("images", "questions", "answers"):
        path = tmp_path / "r" / f"LR_split_test_{name}.json"
        content = json.loads(path.read_text())
        content[name].append(
            json.loads((tmp_path / "r" / f"LR_split_train_{name}.json").read_text())[name][0]
        )
        path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="which is a leak"):
        prepare_dataset(
            "r", config("rsvqa", tmp_path / "r", split_by="published"), tmp_path / "out", tmp_path
        )


def pastis(root, patch, fold):
    """A patch of two parcels, on twelve dates."""
    days = {str(n): int(f"2019{n + 1:02d}15") for n in range(12)}
    values = np.random.default_rng(patch).integers(500, 1500, (12, 10, 128, 128)).astype(np.int16)
    target, numbers = np.zeros((3, 128, 128), np.uint8), np.zeros((128, 128), np.int32)
    for number, (code, rows) in enumerate(((3, slice(10, 60)), (2, slice(70, 120))), start=1):
        target[0, rows, 10:110], numbers[rows, 10:110] = code, number
    for folder, array in (("DATA_S2/S2", values), ("ANNOTATIONS/TARGET", target),
                          ("INSTANCE_ANNOTATIONS/INSTANCES", numbers)):  # fmt: skip
        path = root / f"{folder}_{patch}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)
    left = 500_000 + 5000 * patch
    place = shapely.box(left, 5_000_000, left + 1280, 5_001_280)
    return {
        "ID_PATCH": patch,
        "TILE": "t32tmk",
        "Fold": fold,
        "dates-S2": json.dumps(days),
        "geometry": place,
    }


def test_labelled_imagery_is_asked_about_by_our_own_tasks(tmp_path):
    root = tmp_path / "pastis"
    rows = [pastis(root, patch, fold) for patch, fold in ((1, 1), (2, 4), (3, 5))]
    geopandas.GeoDataFrame(rows, crs="EPSG:32632").to_file(root / "metadata.geojson", driver="GeoJSON")
    settings = {"tasks": ["crop_box", "crop_boxes", "field_outline"], "chip": 128, "split_by": "published"}
    manifest = prepare_dataset("p", config("pastis", root, **settings), tmp_path / "out", tmp_path)
    assert {split: counts.chips for split, counts in manifest.splits.items()} == {
        "train": 1,
        "val": 1,
        "test": 1,
    }
    (example,) = chips(tmp_path / "out", "test")
    assert {one.truth["crop"] for one in example.samples if one.task == "crop_box"} == {
        "maize",
        "winter wheat",
    }
    assert date.fromisoformat(example.chip.meta["acquired"]).year == 2019


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("geochatt", {}, "no format 'geochatt'"),
        ("cropharvest", {}, "points without images"),
        ("earthdial", {"source": {"images": "pictures"}}, "holds its images itself"),
        ("pastis", {}, "has no tasks"),
    ],
)
def test_what_cannot_be_made_is_said_at_once(name, settings, problem, tmp_path):
    with pytest.raises(RecipeError, match=problem):
        prepare_dataset("x", config(name, tmp_path, **settings), tmp_path / "out", tmp_path)


def coco(root, name, numbers):
    """A maize field on each of some pictures."""
    for number in numbers:
        paint(root / f"images/{number}.png", number)
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 64} for n in numbers],
        "categories": [{"id": 1, "name": "maize"}],
        "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [5, 5, 40, 40]} for n in numbers],
    }
    path = root / f"annotations/{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("settings", [{}, {"tasks": ["crop_box"], "chip": 64}], ids=["coco", "coco_fields"])
def test_files_of_a_release_state_its_splits(tmp_path, settings):
    coco(tmp_path / "c", "instances_train2017", [0, 1])
    coco(tmp_path / "c", "instances_val2017", [2])
    coco(tmp_path / "c", "more", [3, 4])
    name = "coco_fields" if settings else "coco"
    wanted = config(name, tmp_path / "c", split_by="published", **settings)
    manifest = prepare_dataset("c", wanted, tmp_path / "out", tmp_path)
    assert {split: counts.chips for split, counts in manifest.splits.items()} == {"train": 2, "val": 1}
    said = "".join(map(str, manifest.skipped_scenes))
    assert "3" in said
    assert "in no split" in said


@pytest.mark.parametrize("settings", [{}, {"tasks": ["crop_box"], "chip": 64}], ids=["coco", "coco_fields"])
def test_a_release_without_splits_never_falls_into_train(tmp_path, settings):
    coco(tmp_path / "c", "labels", [0, 1])
    name = "coco_fields" if settings else "coco"
    wanted = config(name, tmp_path / "c", split_by="published", **settings)
    with pytest.raises(DataError, match="data set c: the release does not say which split") as refused:
        prepare_dataset("c", wanted, tmp_path / "out", tmp_path)
    assert "split_by: scene" in refused.value.remedy


def test_a_release_of_training_data_alone_has_no_splits(geochat, tmp_path):
    with pytest.raises(DataError, match="does not say which split"):
        prepare_dataset("g", config("geochat", geochat, split_by="published"), tmp_path / "out", tmp_path)


def test_a_release_of_questions_is_not_split_by_year(tmp_path):
    rsvqa(tmp_path / "r", ["train", "test"])
    with pytest.raises(RecipeError, match="cannot be split by year"):
        prepare_dataset("r", config("rsvqa", tmp_path / "r", split_by="year"), tmp_path / "out", tmp_path)

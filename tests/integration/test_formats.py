"""Published releases become sample stores by recipe, in their publishers' own layout."""

import json
from datetime import date

import geopandas
import numpy as np
import pytest
import shapely
from PIL import Image

from agrilape.config import parse_recipe
from agrilape.config.recipe import DatasetConfig
from agrilape.dataset import read_store
from agrilape.dataset.recipe_leakage import check_recipe_leakage
from agrilape.errors import DataError, RecipeError
from agrilape.geo.shapes import Box
from agrilape.prepare.from_scenes import prepare_dataset


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
    wanted = config("geochat", geochat, tasks=["refer"], limit=3, image_size=32)
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


VOC = """<annotation><filename>{0}.png</filename><size><width>64</width><height>64</height></size>
<object><name>dam</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>20</xmax><ymax>20</ymax></bndbox>
<description>The small dam</description></object>
<object><name>dam</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>60</xmax><ymax>60</ymax></bndbox>
<description>The large dam</description></object></annotation>"""


@pytest.fixture
def rsvg(tmp_path):
    """Three pictures of two objects; of the second picture one is in train and one in test."""
    root = tmp_path / "rsvg"
    for number in range(3):
        paint(root / f"JPEGImages/{number}.png", number)
        (root / "Annotations").mkdir(exist_ok=True)
        (root / f"Annotations/{number}.xml").write_text(VOC.format(number))
    (root / "train.txt").write_text("0 1 2")
    (root / "test.txt").write_text("3 4 5")
    return root


def test_the_official_test_objects_of_a_release_that_leaks_can_be_scored_alone(rsvg, tmp_path):
    """As long as nothing is trained on the other splits of the same release."""
    data = tmp_path / "data"
    with pytest.raises(DataError, match="which is a leak") as refused:
        prepare_dataset("r", config("dior_rsvg", rsvg, split_by="published"), data / "r", tmp_path)
    assert "only_split: test" in refused.value.remedy
    for split, objects in (("train", {0, 1, 2}), ("test", {3, 4, 5})):
        wanted = config("dior_rsvg", rsvg, split_by="published", only_split=split)
        manifest = prepare_dataset(split, wanted, data / split, tmp_path)
        assert set(manifest.splits) == {split}
        found = chips(data / split, split)
        assert {one.provenance["object"] for example in found for one in example.samples} == objects
    stage = {"name": "one", "enable_lape": True, "learning_rates": {"llm": 1e-3}, "steps": 1}
    source = {"source": {"kind": "format", "name": "dior_rsvg", "path": str(rsvg)}}

    def recipe(trained):
        return parse_recipe(
            {
                "name": "r", "output": str(tmp_path),
                "datasets": dict.fromkeys(("train", "test", "elsewhere"), source),
                "stages": [{**stage, "mixture": {"all": {"weight": 1, "datasets": [trained]}}}],
                "evaluation": {"datasets": ["test"], "fitted_on": ["train"]},
            }
        )  # fmt: skip

    check_recipe_leakage(recipe("elsewhere"), data)
    with pytest.raises(
        DataError, match="split of data set train and the test split of data set test share"
    ) as no:
        check_recipe_leakage(recipe("train"), data)
    assert "the release's own splits share it" in no.value.remedy


def test_one_split_of_labelled_imagery(tmp_path):
    for name, numbers in (("train", [0, 1]), ("val", [2])):
        coco(tmp_path / "c", f"instances_{name}2017", numbers)

    def prepare(name, split, **settings):
        wanted = config(name, tmp_path / "c", split_by="published", only_split=split, **settings)
        return prepare_dataset("c", wanted, tmp_path / "out", tmp_path)

    manifest = prepare("coco_fields", "val", tasks=["crop_box"], chip=64)
    assert {split: counts.chips for split, counts in manifest.splits.items()} == {"val": 1}
    with pytest.raises(DataError, match="no scene in its test split"):
        prepare("coco_fields", "test", tasks=["crop_box"], chip=64)
    with pytest.raises(DataError, match="nothing that can be used in its test split"):
        prepare("coco", "test")


def test_one_split_is_taken_only_of_what_is_published_as_such(geochat, tmp_path):
    with pytest.raises(RecipeError, match="takes one split of a release, but is divided by scene"):
        prepare_dataset("g", config("geochat", geochat, only_split="test"), tmp_path / "out", tmp_path)


def test_a_release_of_questions_is_not_split_by_year(tmp_path):
    rsvqa(tmp_path / "r", ["train", "test"])
    with pytest.raises(RecipeError, match="cannot be split by year"):
        prepare_dataset("r", config("rsvqa", tmp_path / "r", split_by="year"), tmp_path / "out", tmp_path)

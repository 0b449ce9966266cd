"""A prepared data set as others read it: messages, card, Croissant."""

import io
import json
from datetime import date

import pytest
import yaml
from affine import Affine
from PIL import Image

from agrilape.config.recipe import DatasetConfig
from agrilape.dataset.manifest import Manifest, Origin, Shard, SplitCounts, hash_file
from agrilape.dataset.store import write_rows
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Box, Instant, Point, Polygon, Span
from agrilape.geo.timewindow import TimeWindow
from agrilape.prepare.publish import publish_data_set
from agrilape.prepare.publish.messages import row_of

YEAR = TimeWindow(date(2021, 1, 1), date(2021, 12, 31))
SHAPES = (Point(0.5, 0.25), " ", Box(0, 0.1, 0.5, 1), " ", Polygon((Point(0, 0), Point(1, 0), Point(1, 1))))


def png(shade):
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (shade, shade, shade)).save(buffer, "PNG")
    return buffer.getvalue()


def sample(chip, task, question, answer):
    return Sample(f"{chip}/{task}/0", chip, task, question, answer)


def example(name, easting=None, shade=0, days=()):
    ground = easting and Georeference("EPSG:32632", Affine(10, 0, easting, 0, -10, 5.3e6), 64, 64)
    pictures = tuple(Picture(png(shade + n), day) for n, day in enumerate(days or (None,)))
    meta = {"gsd_m": 10.0, "pixel_window": [0, 0, 64, 64]}
    chip = Chip(name, name, "farm", pictures, ground or None, YEAR if days else None, meta)
    asked = [
        sample(name, "crop_at_point", ("Which crop is at ", Point(0.5, 0.5), "?"), ("maize",)),
        sample(name, "field_boxes", ("Where are fields?",), SHAPES),
    ]
    if days:
        asked.append(sample(name, "growing_season", ("When?",), (Span(0, 1), " ", Instant(0.5))))
    return Example(chip, tuple(asked))


@pytest.fixture
def prepared(tmp_path):
    def prepare(train, test):
        folder = tmp_path / "farms"
        shards, splits = [], {}
        for split, examples in (("train", train), ("test", test)):
            path = folder / f"{split}-00000.parquet"
            folder.mkdir(exist_ok=True)
            write_rows(path, examples)
            facts = {"path": path.name, "split": split, "chips": len(examples)}
            shards.append(Shard(**facts, bytes=path.stat().st_size, sha256=hash_file(path)))
            tasks = [sample.task for one in examples for sample in one.samples]
            splits[split] = SplitCounts(
                chips=len(examples), pictures=sum(len(one.chip.pictures) for one in examples),
                samples=len(tasks), tasks={task: tasks.count(task) for task in tasks},
                groups=tuple(one.chip.scene for one in examples),
            )  # fmt: skip
        Manifest(
            name="farms", key="k", version="1", shards=tuple(shards), splits=splits, window=None,
            config=DatasetConfig(source={"kind": "folder", "path": "farms"}, tasks=("crop_at_point",)),
            origins=(Origin(source="farm", scenes=2, licence="CC BY 4.0", citation="Doe (2021)"),
                     Origin(source="wood", scenes=1)),
            skipped_scenes=(), skipped_chips={"cloud or no data": 3},
        ).write(folder)  # fmt: skip
        return folder

    return prepare


@pytest.fixture
def published(prepared, tmp_path):
    days = (date(2021, 4, 1), date(2021, 7, 1))
    train = [example("a", 500_000, 10, days), example("pixels", None, 50)]
    publish_data_set(prepared(train, [example("b", 600_000, 90)]), tmp_path / "out")
    return tmp_path / "out"


def test_messages_are_a_conversation_about_the_images():
    row = row_of(example("a", 500_000, 10, (date(2021, 4, 1), date(2021, 7, 1))))
    assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"] * 3
    said = [turn["content"] for turn in row["messages"]]
    assert said[0] == "The images are of 2021-04-01, 2021-07-01. Which crop is at [0.500, 0.500]?"
    assert said[3] == (
        "[0.500, 0.250] [0.000, 0.100, 0.500, 1.000] [[0.000, 0.000], [1.000, 0.000], [1.000, 1.000]]"
    )
    assert said[5] == "2021-01-01 to 2021-12-31 2021-07-02"
    assert row["conversations"][0]["value"] == f"<image><image>\n{said[0]}"
    assert "<image>" not in "".join(turn["value"] for turn in row["conversations"][1:])


def test_datasets_opens_the_files_with_their_images(published):
    datasets = pytest.importorskip("datasets", reason="the dev extra brings datasets")
    files, cache = str(published / "data/train.parquet"), str(published.parent / "cache")
    rows = datasets.load_dataset("parquet", data_files=files, cache_dir=cache)["train"]
    assert rows[0]["images"][0].size == (64, 64)
    assert rows[0]["messages"][0]["role"] == "user"
    assert (rows[1]["longitude"], rows[1]["crs"]) == (None, None)
    info = json.loads((published / "dataset_info.json").read_text())["farms_train"]
    assert set(info["columns"].values()) <= set(rows.column_names)
    assert set(rows[0]["conversations"][0]) == {"from", "value"}  # of the format sharegpt


def test_the_card_says_what_is_inside_and_on_which_terms(published):
    text = (published / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert [one["split"] for one in front["configs"][0]["data_files"]] == ["train", "test"]
    assert all((published / one["path"]).is_file() for one in front["configs"][0]["data_files"])
    assert "| farm | 2 | CC BY 4.0 | Doe (2021) |" in text
    assert "| wood | 1 | not recorded | not recorded |" in text
    assert "| train | 2 | 3 | 5 | 2 |" in text
    assert "| cloud or no data | 3 |" in text
    assert "Leak check" in text


def test_croissant_is_valid_and_its_records_are_the_chips(published):
    croissant = pytest.importorskip("mlcroissant", reason="the dev extra brings mlcroissant")
    found = croissant.Dataset(str(published / "croissant.json"))
    assert not found.metadata.ctx.issues.errors
    rows = list(found.records("train"))
    assert [row["train/id"].decode() for row in rows] == ["a", "pixels"]
    said = json.loads((published / "croissant.json").read_text())
    assert said["temporalCoverage"] == "2021-04-01/2021-07-01"
    south, west, north, east = map(float, said["spatialCoverage"]["geo"]["box"].split())
    assert 47 < south <= north < 48
    assert 9 < west < east < 10.5
    assert said["geocr:coordinateReferenceSystem"] == ["EPSG:32632"]


def test_a_leak_is_not_published(prepared, tmp_path):
    folder = prepared([example("a", 500_000, 10)], [example("b", 500_000, 10)])
    with pytest.raises(DataError, match="not fit to publish"):
        publish_data_set(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()

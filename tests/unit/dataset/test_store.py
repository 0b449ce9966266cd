import gc
import json
import pickle
import weakref
from dataclasses import replace
from datetime import date
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from affine import Affine

from agrilape.dataset.store import Store, read_shard_metadata, write_rows
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.errors import DataError, DiskError
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Box, Point, Span
from agrilape.geo.timewindow import TimeWindow
from agrilape.sources.tiling import encode_png


def example(number):
    name = f"c{number}"
    chip = Chip(
        name,
        "s",
        "fake",
        (Picture(b"one", date(2022, 5, 1)), Picture(bytes([number % 256]) * 1000, None)),
        Georeference("EPSG:32632", Affine(10, 0, 5e5, 0, -10, 5e6), 64, 64) if number % 2 else None,
        TimeWindow(date(2022, 1, 1), date(2022, 12, 31)) if number % 3 else None,
        {"gsd_m": 10.0, "where": ["Jütland"]},
    )
    asked = ("Which field is at ", Point(0.1, 0.2), "?")
    answers = ((Box(0.1, 0.2, 0.3, 0.4),), (Span(0.0, 1 / 3),))
    samples = tuple(
        Sample(f"{name}/t/{n}", name, f"task{n}", asked, answer, {"crop": None}, {"parcels": ["p"]})
        for n, answer in enumerate(answers)
    )
    return Example(chip, samples)


@pytest.fixture
def store(tmp_path):
    for shard in range(2):
        write_rows(
            tmp_path / f"{shard}.parquet",
            (example(70 * shard + i) for i in range(70)),
            partial(dict, shard=shard),
        )
    return Store([tmp_path / "0.parquet", tmp_path / "1.parquet"])


def test_rows_come_back_as_they_were(store):
    assert len(store) == 140
    assert list(store) == [example(i) for i in range(140)]
    assert [store[i] for i in (139, 0, 70, 31, 32)] == [example(i) for i in (139, 0, 70, 31, 32)]
    assert store[-1] == example(139)
    assert store[68:71] == [example(i) for i in (68, 69, 70)]
    with pytest.raises(IndexError, match="example 140 of 140"):
        store[140]


def test_tasks_are_known_without_the_images(store):
    assert store.tasks() == [frozenset({"task0", "task1"})] * 140


def test_little_is_kept_when_little_may_be(store, monkeypatch):
    monkeypatch.setattr("agrilape.dataset.store.CACHE_BYTES", 1)
    assert [store[i] for i in (0, 100, 1)] == [example(i) for i in (0, 100, 1)]
    assert len(store._cache) == 1


def test_chips_are_kept_encoded_and_not_without_end(store, monkeypatch):
    monkeypatch.setattr("agrilape.dataset.store.CACHE_CHIPS", 8)
    again = Store(store.files)
    seen = [weakref.ref(again[i]) for i in range(140)]
    gc.collect()
    kept = [one for ref in seen if (one := ref())]
    assert kept == [example(i) for i in range(132, 140)]
    assert all(type(picture.data) is bytes for one in kept for picture in one.chip.pictures)


def test_a_store_can_be_pickled(store):
    assert store[5] == pickle.loads(pickle.dumps(store))[5]


def test_facts_travel_with_the_file(store):
    assert read_shard_metadata(store.files[1]) == {"shard": 1}


def test_broken_and_missing_files_are_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    for name in ("a.parquet", "b.parquet"):
        with pytest.raises(DataError, match=name):
            Store([tmp_path / name])


def test_a_file_is_whole_or_absent(tmp_path):
    def failing():
        yield from (example(i) for i in range(40))
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskError, match="no room on the disk"):
        write_rows(tmp_path / "a.parquet", failing())
    assert list(tmp_path.iterdir()) == []


def test_hugging_face_datasets_opens_it_with_its_images(tmp_path):
    datasets = pytest.importorskip("datasets")
    chip = replace(example(1).chip, pictures=(Picture(encode_png(np.full((6, 8, 3), 77, np.uint8)), None),))
    write_rows(tmp_path / "0.parquet", [replace(example(1), chip=chip)])
    opened = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "0.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    (row,) = opened
    assert row["images"][0].size == (8, 6)
    assert row["images"][0].getpixel((3, 3)) == (77, 77, 77)
    assert row["samples"][1]["task"] == "task1"
    assert json.loads(row["samples"][0]["answer"]) == [{"box": [0.1, 0.2, 0.3, 0.4]}]


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/../../b", "", "a\0b", "C:\\x"])
def test_ids_that_lead_out_of_a_folder_are_found_in_a_shard(tmp_path, name):
    """A shard that others made: no picture is ever written or shown by such a name."""
    honest = example(1)
    write_rows(tmp_path / "a.parquet", [honest])
    table = pq.read_table(tmp_path / "a.parquet")
    ids = pa.array([name], table.schema.field("id").type)
    odd = table.set_column(table.schema.get_field_index("id"), table.schema.field("id"), ids)
    pq.write_table(odd, tmp_path / "a.parquet")
    (found,) = Store([tmp_path / "a.parquet"]).attempts()
    assert "the id of a chip" in found
    with pytest.raises(DataError, match="the id of a chip"):
        list(Store([tmp_path / "a.parquet"]))

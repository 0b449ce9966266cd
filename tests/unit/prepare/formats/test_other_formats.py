"""GeoChat-Bench, DIOR-RSVG, RSVQA, DOTA, COCO, EarthDial and AgroMind."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.errors import DataError
from agrilape.geo.shapes import Box, Instant, Point, Polygon
from agrilape.prepare.formats import EXAMPLE_FORMATS, FORMATS, WRITERS, SkippedRows
from agrilape.prepare.formats.box_text import EARTHDIAL
from agrilape.prepare.formats.coordinate_conventions import Size

PEERS = Path(os.environ.get("AGRILAPE_KITS", "../shared/kits")).parent / "peers"
needs_peers = pytest.mark.skipif(
    not PEERS.is_dir(), reason="no files of other systems beside the kits (AGRILAPE_KITS)"
)


def read(name, folder, omissions):
    return list(FORMATS[name](folder, omissions))


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_without_a_release_says_what_is_missing(name, tmp_path, omissions):
    with pytest.raises(DataError, match="holds no"):
        read(name, tmp_path, omissions)


def test_geochat_bench_of_every_task(tmp_path, paint, write_json, omissions):
    for name in ("P1_1.png", "church_183.jpg"):
        paint(f"images/{name}", 200, 100)
    corners = [[[20, 10], [60, 10], [60, 50], [20, 50]]]
    write_json(
        "referring.jsonl",
        [{"question_id": 1, "image_id": "P1_1", "question": "the ship", "type": "ref", "dataset": "SOTA",
          "ground_truth": corners, "obj_ids": [0], "size_group": "small"}],
    )  # fmt: skip
    write_json(
        "region_captioning.jsonl",
        [
            {
                "question_id": 2,
                "image_id": "P1_1",
                "question": "{<10><10><30><50>|<0>}",
                "ground_truth": "a ship",
            }
        ],
    )
    write_json(
        "aid.jsonl",
        [{"question_id": "c/1", "image": "church_183.jpg", "ground_truth": "Church",
          "text": "Classify the image within one of the classes: Church, Beach.\nAnswer with one word."}],
    )  # fmt: skip
    write_json(
        "lrben.jsonl", [{"question_id": 1, "image": "P1_1.png", "text": "Is it rural?", "category": "comp"}]
    )
    write_json("grounding_description.jsonl", [{"image_id": "P1_1", "description": "Two ships."}])
    samples = [s for e in read("geochat_bench", tmp_path, omissions) for s in e.samples]
    assert omissions.counts == {"the answer is not in this release": 1}
    by_task = {s.task: s for s in samples}
    outline = by_task["refer"].answer[0]
    assert outline.points == (Point(0.1, 0.1), Point(0.3, 0.1), Point(0.3, 0.5), Point(0.1, 0.5))
    assert by_task["refer"].truth["size_group"] == "small"
    assert by_task["identify"].question == ("What is at ", Box(0.1, 0.1, 0.3, 0.5), "?")
    assert by_task["classify"].answer == ("Church",)
    assert by_task["grounding"].answer == ("Two ships.",)


def test_geochat_bench_is_written_as_it_is_read(tmp_path, omissions):
    asked = [
        ("refer", ("Where is the ship?",), (Box(0.125, 0.25, 0.5, 0.75),)),
        ("refer", ("Where is the kite?",),
         (Polygon((Point(0.5, 0.25), Point(0.75, 0.5), Point(0.5, 0.75), Point(0.25, 0.5))),)),
        ("identify", ("What is at ", Box(0.25, 0.25, 0.5, 0.75), "?"), ("maize",)),
        ("crop_in_box", ("What grows in ", Box(0.25, 0.25, 0.5, 0.75), "?"), ("maize",)),
        ("vqa", ("Is it rural?",), ("yes",)),
        ("peak_of_season", ("When is it greenest?",), (Instant(0.5),)),
        ("field_outline", ("Where is it?",), (Polygon((Point(0, 0), Point(1, 0), Point(1, 1))),)),
        ("field_at_point", ("Which field is at ", Point(0.5, 0.5), "?"), (Box(0.25, 0.25, 0.5, 0.75),)),
    ]  # fmt: skip
    image = io.BytesIO()
    Image.new("RGB", (64, 32)).save(image, "PNG")
    samples = [Sample(f"c/{n}", "c", task, q, a, {"size": "small"}) for n, (task, q, a) in enumerate(asked)]
    chip = Chip("b/c c", "farm", "own", (Picture(image.getvalue()),), None)
    assert WRITERS["geochat_bench"]([Example(chip, tuple(samples))], tmp_path, omissions) == 1
    assert omissions.counts == {
        "a time without a calendar": 1,
        "the format has outlines of four corners alone": 1,
        "the format has no sign for a point": 1,
    }
    (again,) = read("geochat_bench", tmp_path, SkippedRows())
    assert again.chip.pictures == chip.pictures
    found = {sample.question: sample for sample in again.samples}
    assert len(found) == 5
    for sample in samples[:5]:
        if sample.question != ("Where is the ship?",):
            assert found[sample.question].answer == sample.answer
    ship = found["Where is the ship?",]
    assert ship.truth["size_group"] == "small"
    corners = [(0.125, 0.25), (0.5, 0.25), (0.5, 0.75), (0.125, 0.75)]
    assert ship.answer == (Polygon(tuple(Point(*corner) for corner in corners)),)


VOC = """<annotation><filename>{name}.jpg</filename><source><database>DIOR</database></source>
<size><width>200</width><height>100</height><depth>3</depth></size>{objects}</annotation>"""
THING = """<object><name>dam</name><pose>x</pose><bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax>
<ymax>{3}</ymax></bndbox><description>The {4} dam</description></object>"""


def dior_rsvg(folder, paint):
    """Three pictures with two objects each; object n lies at 10 n."""
    (folder / "Annotations").mkdir()
    for picture in range(3):
        name = f"{picture + 1:05d}"
        paint(f"JPEGImages/{name}.jpg", 200, 100)
        things = "".join(
            THING.format(10 * n, 20, 10 * n + 40, 60, f"no. {n}") for n in (2 * picture, 2 * picture + 1)
        )
        (folder / f"Annotations/{name}.xml").write_text(VOC.format(name=name, objects=things))


def test_dior_rsvg_splits_count_objects_through_sorted_files(tmp_path, paint, omissions):
    dior_rsvg(tmp_path, paint)
    (tmp_path / "train.txt").write_text("0\n3\n5\n")
    (tmp_path / "test.txt").write_text("1\n2\n4\n")
    examples = read("dior_rsvg", tmp_path, omissions)
    found = {
        s.provenance["object"]: (s.provenance["split"], s.question[0], s.answer[0], e.chip.scene)
        for e in examples
        for s in e.samples
    }
    assert {n: split for n, (split, *_) in found.items()} == {
        0: "train", 1: "test", 2: "test", 3: "train", 4: "test", 5: "train"
    }  # fmt: skip
    for number, (_, question, box, scene) in found.items():
        assert question == f"Where is this: The no. {number} dam"
        assert box == pytest.approx(Box(number / 20, 0.2, number / 20 + 0.2, 0.6))
        assert scene == f"{number // 2 + 1:05d}"
    assert len({e.chip.id for e in examples}) == len(examples) == 6
    assert all(s.id.startswith(e.chip.id) and s.chip == e.chip.id for e in examples for s in e.samples)


def test_dior_rsvg_boxes_fit_a_resized_copy_and_no_other_picture(tmp_path, paint, omissions):
    dior_rsvg(tmp_path, paint)
    paint("JPEGImages/00001.jpg", 50, 25)
    paint("JPEGImages/00002.jpg", 100, 100)
    first, last = read("dior_rsvg", tmp_path, omissions)
    assert first.samples[1].answer == (pytest.approx(Box(0.05, 0.2, 0.25, 0.6)),)
    assert last.chip.scene == "00003"
    assert omissions.counts == {"the picture has other proportions than its annotations state": 2}


@pytest.mark.parametrize(
    ("test", "problem"),
    [("1\n2\n6\n", "6 objects, but test.txt names no. 6"), ("1\n3\n", "no. 3 is in train and test")],
)
def test_dior_rsvg_refuses_splits_of_other_annotations(tmp_path, paint, omissions, test, problem):
    dior_rsvg(tmp_path, paint)
    (tmp_path / "train.txt").write_text("0\n3\n5\n")
    (tmp_path / "test.txt").write_text(test)
    with pytest.raises(DataError, match=problem):
        read("dior_rsvg", tmp_path, omissions)


def test_dior_rsvg_refuses_a_damaged_file_since_it_would_shift_all_numbers(tmp_path, paint, omissions):
    dior_rsvg(tmp_path, paint)
    (tmp_path / "Annotations/00002.xml").write_text("<annotation>")
    with pytest.raises(DataError, match="count through all files"):
        read("dior_rsvg", tmp_path, omissions)


def test_rsvqa_joins_three_files_and_passes_over_other_splits(tmp_path, paint, write_json, omissions):
    paint("Images_LR/0.tif")
    paint("Images_LR/1.tif")
    questions = [
        {"id": 0, "active": False},
        {"id": 1, "active": True, "img_id": 1, "type": "presence", "question": "Is a farm present?",
         "answers_ids": [1]},
        {"id": 2, "active": True, "img_id": 1, "type": "count", "question": "How many?", "answers_ids": [9]},
        {"id": 3, "active": True, "img_id": 7, "type": "count", "question": "How many?", "answers_ids": [1]},
        {"id": 4, "active": True, "img_id": 0, "question": "No type?", "answers_ids": [1]},
    ]  # fmt: skip
    write_json("LR_split_val_questions.json", {"questions": questions})
    write_json(
        "LR_split_val_answers.json",
        {
            "answers": [
                {"id": 1, "question_id": 1, "answer": "yes", "active": True},
                {"id": 9, "question_id": 2, "answer": "7", "active": False},
            ]
        },
    )
    write_json("LR_split_val_images.json", {"images": [{"id": 1, "active": True}]})
    write_json("all_questions.json", {"questions": "not read beside splits"})
    (example,) = read("rsvqa", tmp_path, omissions)
    (sample,) = example.samples
    assert (sample.question, sample.answer) == (("Is a farm present?",), ("yes",))
    assert sample.truth == {"type": "presence"}
    assert sample.provenance["split"] == "val"
    assert Image.open(io.BytesIO(example.chip.pictures[0].data)).format == "PNG", "TIFF is not kept"
    assert omissions.counts == {
        "the question has no answer": 1, "the picture is not in the data folder": 1, "'type' is missing": 1
    }  # fmt: skip


def test_dota_is_cut_into_tiles_and_asks_only_what_it_knows(tmp_path, paint, omissions):
    paint("images/P0001.png", 1500, 600)
    lines = [
        "imagesource:GoogleEarth", "gsd:0.25",
        "10 10 110 10 110 60 10 60 ship 0",
        "300 200 400 250 380 290 280 240 ship 0",
        "1300 300 1400 300 1400 400 1300 400 small-vehicle 0",
        "1350 500 1450 500 1450 590 1350 590 harbor 1",
        "1 2 3 broken",
    ]  # fmt: skip
    (tmp_path / "labelTxt").mkdir()
    (tmp_path / "labelTxt/P0001.txt").write_text("\n".join(lines), encoding="utf-8-sig")
    examples = read("dota", tmp_path, omissions)
    assert {e.chip.scene for e in examples} == {"P0001"}
    assert all(e.chip.meta == {"gsd_m": 0.25} for e in examples)
    asked = {(e.chip.id, s.task, s.truth["object"]): s for e in examples for s in e.samples}
    first = asked["dota/P0001/0_0", "locate", "ship"]
    width, height = Image.open(io.BytesIO(examples[0].chip.pictures[0].data)).size
    assert [c for p in first.answer[0].points for c in p] == pytest.approx(
        [10 / width, 10 / height, 110 / width, 10 / height, 110 / width, 60 / height, 10 / width, 60 / height]
    )
    assert asked["dota/P0001/0_0", "count", "ship"].answer == ("2",)
    assert "small vehicle" in {name for _, _, name in asked}
    assert "harbor" not in {name for _, _, name in asked}, "difficult ones are not asked about"
    assert sum(omissions.counts.values()) == 1


def test_dota_may_not_know_the_size_of_a_pixel(tmp_path, paint, omissions):
    paint("images/P3.png", 200, 100)
    (tmp_path / "labelTxt").mkdir()
    (tmp_path / "labelTxt/P3.txt").write_text("imagesource:GF\ngsd:null\n10 10 90 10 90 90 10 90 ship 0\n")
    (example,) = read("dota", tmp_path, omissions)
    assert "gsd_m" not in example.chip.meta


def test_dota_has_its_splits_in_folders(tmp_path, paint, omissions):
    for number, folder in enumerate(("train/labelTxt-v1.5", "val/labelTxt-v1.5", "labelTxt")):
        paint(f"images/P{number}.png", 200, 100)
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / f"P{number}.txt").write_text("10 10 90 10 90 90 10 90 ship 0\n")
    found = {
        e.chip.scene: {s.provenance.get("split") for s in e.samples}
        for e in read("dota", tmp_path, omissions)
    }
    assert found == {"P0": {"train"}, "P1": {"val"}, "P2": {None}}


def test_dota_says_nothing_of_a_kind_that_a_tile_cuts(tmp_path, paint, omissions):
    paint("images/P2.png", 1500, 600)
    (tmp_path / "labelTxt").mkdir()
    (tmp_path / "labelTxt/P2.txt").write_text(
        "10 10 90 10 90 90 10 90 ship 0\n400 10 1000 10 1000 90 400 90 ship 0\n"
    )
    for example in read("dota", tmp_path, omissions):
        left = int(example.chip.id.rsplit("/", 1)[1].split("_")[0])
        whole = left + 600 >= 1000 and left <= 10
        assert whole or not any(s.answer == ("2",) for s in example.samples)
        assert not any(
            s.truth["object"] == "ship" and s.answer == ("1",) for s in example.samples if left <= 10
        )


def test_geochat_bench_outlines_of_other_pixels_are_left_out(tmp_path, paint, write_json, omissions):
    """Of a picture of another size than the annotated one."""
    paint("P1.png", 200, 100)
    row = {"image_id": "P1", "question": "the ship", "type": "ref", "size_group": "small"}
    cut = [[[180, 10], [220, 10], [220, 50], [180, 50]]]
    beyond = [[[310, 10], [360, 10], [360, 50], [310, 50]]]
    write_json("referring.jsonl", [{**row, "ground_truth": cut}, {**row, "ground_truth": beyond}])
    (example,) = read("geochat_bench", tmp_path, omissions)
    assert len(example.samples) == 1, "cut at the edge of the image"
    (reason,) = omissions.counts
    assert "far outside" in reason


def coco(write_json, things, name="train"):
    write_json(
        f"annotations/{name}.json",
        {
            "images": [{"id": 5, "file_name": "a.png", "width": 200, "height": 100}],
            "categories": [{"id": 1, "name": "maize"}, {"id": 2, "name": "field"}],
            "annotations": [{"id": n, "image_id": 5, "iscrowd": 0} | thing for n, thing in enumerate(things)],
        },
    )


def test_coco_boxes(tmp_path, paint, write_json, omissions):
    paint("train/a.png")
    coco(
        write_json,
        [
            {"category_id": 1, "bbox": [20, 10, 40, 50]},
            {"category_id": 1, "bbox": [100, 0, 50, 5]},
            {"category_id": 2, "bbox": [0, 0, 10, 10], "iscrowd": 1},
            {"category_id": 9, "bbox": [0, 0, 10, 10]},
        ],
    )
    (example,) = read("coco", tmp_path, omissions)
    assert {s.task: s.answer for s in example.samples} == {
        "locate": (Box(0.5, 0.0, 0.75, 0.05), Box(0.1, 0.1, 0.3, 0.6)), "count": ("2",)
    }  # fmt: skip
    assert sum(omissions.counts.values()) == 1


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("instances_train2017", "train"), ("instances_val2014", "val"), ("boxes_test-dev2017", "test"),
        ("_annotations.valid", "valid"), ("DIOR_trainval", "trainval"), ("Training", "training"),
        ("instances_minival2014", None), ("restrained", None), ("contest", None), ("labels", None),
    ],
)  # fmt: skip
def test_coco_has_its_splits_in_the_names_of_its_files(tmp_path, paint, write_json, omissions, name, split):
    paint("pictures/a.png")
    coco(write_json, [{"category_id": 1, "bbox": [20, 10, 40, 50]}], name)
    (example,) = read("coco", tmp_path, omissions)
    assert {sample.provenance.get("split") for sample in example.samples} == {split}
    (scene,) = read("coco_fields", tmp_path, omissions)
    assert scene.meta["split"] == split


def test_very_many_objects_are_counted_and_not_listed(tmp_path, paint, write_json, omissions):
    paint("train/a.png")
    coco(write_json, [{"category_id": 1, "bbox": [5 * n, 10, 4, 50]} for n in range(21)])
    (example,) = read("coco", tmp_path, omissions)
    assert [(sample.task, sample.answer) for sample in example.samples] == [("count", ("21",))]


def test_coco_boxes_fit_a_resized_copy_and_no_other_picture(tmp_path, paint, write_json, omissions):
    coco(write_json, [{"category_id": 1, "bbox": [20, 10, 40, 50]}])
    paint("train/a.png", 50, 25)
    (example,) = read("coco", tmp_path, omissions)
    assert example.samples[0].answer == (Box(0.1, 0.1, 0.3, 0.6),)
    paint("train/a.png", 100, 150)
    assert read("coco", tmp_path, omissions) == []
    assert omissions.counts == {"the picture has other proportions than its annotations state": 1}
    paint("train/a.png", 100, 200)
    read("coco", tmp_path, omissions)
    assert any("EXIF orientation" in reason for reason in omissions.counts)


def test_coco_asks_nothing_of_a_kind_with_a_crowd(tmp_path, paint, write_json, omissions):
    paint("train/a.png")
    one = {"category_id": 1, "bbox": [20, 10, 40, 50]}
    coco(write_json, [one, {**one, "iscrowd": 1}, {"category_id": 2, "bbox": [0, 0, 10, 10]}])
    (example,) = read("coco", tmp_path, omissions)
    assert {sample.truth["object"] for sample in example.samples} == {"field"}


def encoded(width=100, height=100):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (9, 90, 9)).save(buffer, "JPEG")
    return buffer.getvalue()


def shard(path, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def test_earthdial_shards_of_detection_captions_and_conversations(tmp_path, omissions, talk):
    jpg = {"bytes": encoded(), "path": None}
    shard(
        tmp_path / "Detection/NWPU/data-00000-of-00001.arrow",
        {
            "jpg": [jpg, {"bytes": b"no picture", "path": None}],
            "question": ['"[refer] [hr_rgb_0.5] <image> \\n Give me the location of <ref>2 tanks</ref>"'] * 2,
            "groundtruth": ['"[[18, 21, 22, 25, 0]][[20, 18, 60, 22, 30]]"'] * 2,
            "ttype": ['"ref"'] * 2,
            "size_group": ["small"] * 2,
        },
    )
    shard(
        tmp_path / "Captions/data-00000-of-00001.arrow",
        {
            "jpg": [jpg],
            "question": ["[caption] <image>\nDescribe the image"],
            "groundtruth0": ["A farm."],
            "groundtruth1": ["Fields."],
        },
    )
    turns = talk("[grounding] [s2_10] <image>\nWhere is rice?", "rice [[1, 2, 30, 40, 0]]")
    shard(tmp_path / "Training/a.arrow", {"jpg": [jpg], "conversations": [json.dumps(turns)]})
    (tmp_path / "Training/bad.arrow").write_bytes(b"not arrow")
    samples = {e.chip.id.split("/")[1]: e.samples for e in read("earthdial", tmp_path, omissions)}
    (detection,) = samples["NWPU"]
    assert detection.task == "refer"
    assert detection.question == ("Give me the location of 2 tanks",)
    assert detection.answer[0] == Box(0.18, 0.21, 0.22, 0.25)
    assert isinstance(detection.answer[1], Polygon)
    assert detection.truth == {"ttype": "ref", "size_group": "small", "sensor": "hr_rgb_0.5"}
    assert [s.answer for s in samples["Captions"]] == [("A farm.",), ("Fields.",)]
    (training,) = samples["Training"]
    assert (training.task, training.question) == ("grounding", ("Where is rice?",))
    assert training.answer == ("rice ", Box(0.01, 0.02, 0.3, 0.4))
    assert training.truth["sensor"] == "s2_10"
    assert sum(omissions.counts.values()) == 2


def test_earthdial_rows_of_several_dates_and_of_bands(tmp_path, omissions):
    """Change detection has `jpg_A` to `jpg_D`; multispectral rows hold arrays in place of a picture."""
    before, after = ({"bytes": encoded(side, side), "path": None} for side in (80, 40))
    question = "[changedet] [hr_rgb_temp_0.5] <image> <image> \\n Which disaster?"
    asked = {"question": [question], "groundtruth": ["flood"]}
    shard(tmp_path / "xBD/a.arrow", {"jpg_B": [after], "jpg_A": [before], **asked})
    shard(tmp_path / "S2/b.arrow", {"tif_ms": [[[[1]]]], **asked})
    (example,) = read("earthdial", tmp_path, omissions)
    sizes = [Image.open(io.BytesIO(picture.data)).size for picture in example.chip.pictures]
    assert sizes == [(80, 80)] * 2
    assert example.chip.pictures[0].data == before["bytes"]
    (sample,) = example.samples
    assert (sample.task, sample.question, sample.answer) == ("changedet", ("Which disaster?",), ("flood",))
    assert omissions.counts == {"the row has no picture in colour (jpg)": 1}


@needs_peers
def test_earthdial_boxes_as_they_are_published():
    rows = [
        json.loads(line) for line in (PEERS / "earthdial/nwpu_vhr10_detection.jsonl").read_text().splitlines()
    ]
    read_again, unreadable = 0, 0
    for row in rows:
        try:
            parts = EARTHDIAL.parse(row["gt_bbox"], Size(100, 100))
        except ValueError:
            unreadable += 1
            continue
        assert EARTHDIAL.parse(EARTHDIAL.write(parts, Size(100, 100)), Size(100, 100)) == parts
        read_again += len(parts)
    assert read_again > 1600
    assert unreadable < 0.02 * len(rows)


def agromind(kind, **rest):
    return {
        "question": "Which?",
        "type_id": kind,
        "item_id": 1,
        "level1_id": 1,
        "image_path": "./Trees/a.png",
    } | rest


def test_agromind_of_every_kind(tmp_path, paint, write_json, omissions):
    for n, name in enumerate(("Trees/a.png", "Trees/b.png")):
        paint(name, 200, 100 + n)
    options = {"A": "20-30%", "B": "60-70%"}
    point = (
        "Knowing that the image has 512x256 pixels, what is the type of anomaly shown "
        "at coordinates (256,64)?"
    )
    rows = [
        agromind(1, options=options, answer="A"),
        agromind(3, answer="No"),
        agromind(4, options={"A": "./Trees/a.png", "B": "Trees/b.png"}, answer="B"),
        agromind(6, question=point, options=options, answer="B"),
        agromind(8, image1="Trees/a.png", image2="Trees/b.png", answer=3),
        agromind(9, options=options, answer=["A", "B"]),
        agromind(11, answer=[0.0, 0.0, 1.0, 0.446]),
        agromind(11, answer=[0.5, 0.0, 0.5, 0.446]),
        agromind(99, answer="x"),
    ]
    write_json("QA_Pairs/Scene/AS_1.json", rows)
    samples = [s for e in read("agromind", tmp_path, omissions) for s in e.samples]
    answers = {s.task: s.answer for s in samples}
    assert answers["box"] == (Box(0, 0, 1, 0.446),)
    assert answers["yes_no"] == ("No",)
    assert answers["choices"] == ("A, B",)
    assert answers["count"] == ("3",)
    pointed = next(s for s in samples if any(isinstance(p, Point) for p in s.question))
    assert pointed.question[:3] == (
        "What is the type of anomaly shown at ", Point(0.5, 0.25), "?"
    )  # fmt: skip
    pictured = next(e for e in read("agromind", tmp_path, SkippedRows()) if len(e.chip.pictures) == 2)
    assert {s.task for s in pictured.samples} == {"picture_choice", "count"}
    assert sum(omissions.counts.values()) == 2


@needs_peers
def test_agromind_as_it_is_published(tmp_path, paint, omissions):
    names = set()
    for path in (PEERS / "agromind").glob("*.json"):
        rows = json.loads(path.read_text(encoding="utf-8"))
        (tmp_path / path.name).write_text(json.dumps(rows), encoding="utf-8")
        names |= {row["image_path"] for row in rows[:5]}
    for name in names:
        paint(name, 8, 8)
    examples = read("agromind", tmp_path, omissions)
    assert {e.chip.id for e in examples} == {f"agromind/{Path(n).with_suffix('').as_posix()}" for n in names}
    assert set(omissions.counts) <= {"the picture is not in the data folder", "a box has no area"}
    assert {s.task for e in examples for s in e.samples} == {"choice", "yes_no", "phrase", "box"}


def test_every_reader_of_examples_is_a_format():
    assert set(EXAMPLE_FORMATS) < set(FORMATS)
    assert np.isin(["pastis", "eurocrops", "cropharvest", "fields_of_the_world"], list(FORMATS)).all()

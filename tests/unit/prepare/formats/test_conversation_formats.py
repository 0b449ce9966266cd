"""LLaVA, GeoChat, VRSBench and TEOChatlas: read, and written again."""

import io
import json
from dataclasses import replace
from datetime import date

import pytest
from PIL import Image

from agrilape.dataset.store import Store, write_rows
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.geo.shapes import Box, Instant, Point, Polygon
from agrilape.geo.timewindow import TimeWindow
from agrilape.prepare.formats import FORMATS, WRITERS, SkippedRows


def read(name, folder, omissions):
    return list(FORMATS[name](folder, omissions))


def test_llava_rows_become_examples(tmp_path, paint, write_json, talk, omissions):
    paint("coco/a.jpg")
    write_json(
        "train.json",
        [
            {"id": "1", "image": "coco/a.jpg", "conversations": talk(
                "<image>\nWhere is the maize?", "At [0.10, 0.20, 0.30, 0.40].",
                "Describe it.", "A field.")},
            {"id": "2", "image": "coco/a.jpg", "conversations": talk("What is it?\n<image>", "Maize.")},
        ],
    )  # fmt: skip
    (example,) = read("llava", tmp_path, omissions)
    assert not omissions.counts
    assert example.chip.id == "llava/coco/a"
    assert [s.task for s in example.samples] == ["conversation", "caption", "conversation"]
    assert example.samples[0].answer == ("At ", Box(0.1, 0.2, 0.3, 0.4))
    assert example.samples[0].question == ("Where is the maize?",)
    assert example.samples[2].provenance == {"file": "train.json", "row": 2, "id": "2", "turn": 0}
    assert len({s.id for s in example.samples}) == 3


def test_examples_fit_the_store(tmp_path, paint, write_json, talk, omissions):
    paint("a.png")
    write_json(
        "t.json", [{"id": 1, "image": "a.png", "conversations": talk("Where?", "[0.1, 0.2, 0.3, 0.4]")}]
    )
    examples = read("llava", tmp_path, omissions)
    write_rows(tmp_path / "rows.parquet", examples)
    assert list(Store([tmp_path / "rows.parquet"])) == examples


BAD = {
    "human and gpt": [{"from": "gpt", "value": "hi"}, {"from": "human", "value": "ho"}],
    "questions with answers": "not a list",
    "a turn is empty": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": " "}],
    "consist of questions": [{"from": "human", "value": "hi"}],
    "outside 0 to 100": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "{<7><981><8><10>|<2>}"}],
    "no area": [{"from": "human", "value": "[refer] x"}, {"from": "gpt", "value": "{<35><32><35><36>|<67>}"}],
    "cannot be read": [{"from": "human", "value": "what is {<1><2><3>|<4>}"}, {"from": "gpt", "value": "x"}],
    "no text": [{"from": "human", "value": 3}, {"from": "gpt", "value": "x"}],
}  # fmt: skip


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_row_is_counted_and_sinks_no_other(reason, tmp_path, paint, write_json, talk, omissions):
    paint("a.png")
    good = talk("<image>\nHow many?", "3")
    write_json(
        "GeoChat_Instruct.json",
        [{"id": n, "image": "a.png", "conversations": c} for n, c in enumerate((BAD[reason], good))],
    )
    (example,) = read("geochat", tmp_path, omissions)
    assert [s.answer for s in example.samples] == [("3",)]
    (said,) = omissions.counts
    assert reason in said
    assert omissions.problems[0].path.name == "GeoChat_Instruct.json"
    assert "row 1" in omissions.problems[0].reason


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/hosts", "images/../../secret.png", "C:/secret.png", "link.png"]
)
def test_pictures_outside_the_folder_are_refused(name, tmp_path, paint, write_json, talk, omissions):
    paint("secret.png")
    data = tmp_path / "data"
    data.mkdir()
    (data / "link.png").symlink_to(tmp_path / "secret.png")
    write_json("data/GeoChat_Instruct.json", [{"id": 1, "image": name, "conversations": talk("a?", "b")}])
    assert read("geochat", data, omissions) == []
    assert sum(omissions.counts.values()) == 1
    assert "out of the data folder" in next(iter(omissions.counts)) or "not in the data" in next(
        iter(omissions.counts)
    )


def test_missing_damaged_and_ambiguous_pictures_are_left_out(tmp_path, paint, write_json, talk, omissions):
    paint("x/a.png")
    paint("y/a.png")
    (tmp_path / "broken.png").write_bytes(paint("whole.png").read_bytes()[:500])
    names = ["gone.png", "broken.png", "z/a.png", "x/a.png", None]
    rows = [{"id": 1, "image": name, "conversations": talk("a?", "b")} for name in names]
    write_json("GeoChat_Instruct.json", [*rows, "no row"])
    examples = read("geochat", tmp_path, omissions)
    assert [e.chip.id for e in examples] == ["geochat/x/a"]
    assert sum(omissions.counts.values()) == 5
    assert "several pictures have this name" in omissions.counts


def test_geochat_tags_angles_and_packed_paths(tmp_path, paint, write_json, talk, omissions):
    paint("images/share/final_images_llava/p.png", 100, 100)
    write_json(
        "GeoChat_Instruct.json",
        [
            {"id": "p", "image": "final_images_llava/p.png", "conversations": talk(
                "<image>\n[refer] where is <p>silver airplane at the left</p> ?", "{<16><55><24><63>|<0>}",
                "[identify] what is {<35><32><57><46>|<30>}", "<p>1 dump-truck</p>",
                "How many?\nAnswer the question using a single word or phrase.", "2")},
        ],
    )  # fmt: skip
    (example,) = read("geochat", tmp_path, omissions)
    refer, identify, vqa = example.samples
    assert [s.task for s in example.samples] == ["refer", "identify", "vqa"]
    assert refer.question == ("where is silver airplane at the left ?",)
    assert refer.answer == (Box(0.16, 0.55, 0.24, 0.63),)
    assert refer.truth["oriented"], "turned, the airplane would not be at the left"
    assert "oriented" not in vqa.truth
    assert isinstance(identify.question[1], Polygon)
    assert identify.answer == ("1 dump-truck",)


def made(name="farm/chip 1", series=False):
    """An example as the project's own tasks make it."""
    images = []
    for shade in (40, 90):
        buffer = io.BytesIO()
        Image.new("RGB", (64, 64), (shade, 120, 60)).save(buffer, "PNG")
        images.append(buffer.getvalue())
    days = (date(2022, 4, 1), date(2022, 7, 1))
    pictures = tuple(Picture(data, day) for data, day in zip(images, days, strict=True))
    chip = Chip(
        name, "farm", "own", pictures if series else (Picture(images[0]),), None,
        TimeWindow(date(2022, 1, 1), date(2022, 12, 31)) if series else None,
    )  # fmt: skip
    asked = [
        ("crop_boxes", ("Where is maize?",), (Box(0.1, 0.2, 0.3, 0.4), Box(0.5, 0.6, 0.7, 0.8))),
        ("crop_in_box", ("What grows in ", Box(0.25, 0.25, 0.5, 0.75), "?"), ("maize",)),
        ("scene", ("What is this?",), ("farmland",)),
    ]
    samples = [Sample(f"{name}/{t}/0", name, t, q, a) for t, q, a in asked]
    return Example(chip, tuple(samples))


@pytest.mark.parametrize("name", ["geochat", "llava", "vrsbench"])
def test_what_is_written_reads_back_the_same(name, tmp_path, omissions):
    examples = [made(), made("farm/Chip_1"), made("farm/ä b.1")]
    assert WRITERS[name](examples, tmp_path, omissions) == 3
    again = read(name, tmp_path, omissions)
    assert not omissions.counts
    assert len(again) == 3
    for one, other in zip(again, examples, strict=True):
        assert [s.question for s in one.samples] == [s.question for s in other.samples]
        assert [s.answer for s in one.samples] == [s.answer for s in other.samples]
        assert one.chip.pictures == other.chip.pictures
    assert not [p for p in tmp_path.parent.iterdir() if p.name.startswith("etc")]
    assert not list(tmp_path.glob(".*")), "no half-written file stays"


@pytest.mark.parametrize(
    ("name", "file", "tags", "box"),
    [
        ("geochat", "GeoChat_Instruct.json", ("[refer] ", "[identify] ", ""), "{<25><25><50><75>|<0>}"),
        ("vrsbench", "VRSBench_train.json", ("[refer] ", "[vqa] ", "[vqa] "), "{<25><25><50><75>}"),
        ("llava", "llava.json", ("", "", ""), "[0.2500, 0.2500, 0.5000, 0.7500]"),
    ],
)
def test_what_is_written_looks_as_it_is_published(name, file, tags, box, tmp_path, omissions):
    WRITERS[name]([made()], tmp_path, omissions)
    (row,) = json.loads((tmp_path / file).read_text(encoding="utf-8"))
    assert list(row) == ["id", "image", "conversations"]
    assert len(list(tmp_path.rglob(row["image"]))) == 1
    assert [turn["from"] for turn in row["conversations"]] == ["human", "gpt"] * 3
    asked = [turn["value"] for turn in row["conversations"][::2]]
    assert asked == [
        f"<image>\n{tags[0]}Where is maize?", f"{tags[1]}What grows in {box}?", f"{tags[2]}What is this?"
    ]  # fmt: skip
    assert row["conversations"][3]["value"] == "maize"


def test_a_box_among_words_is_grounding_for_geochat(tmp_path, omissions):
    spoken = Sample("g", "farm/chip 1", "region", ("What is here?",), ("Maize at ", Box(0.1, 0.2, 0.3, 0.4)))
    WRITERS["geochat"]([replace(made(), samples=(spoken,))], tmp_path, omissions)
    (row,) = json.loads((tmp_path / "GeoChat_Instruct.json").read_text())
    assert row["conversations"][0]["value"] == "<image>\n[grounding] What is here?"
    assert row["conversations"][1]["value"] == "Maize at {<10><20><30><40>|<0>}"


def test_a_series_is_written_for_llava_with_its_dates(tmp_path, omissions):
    example = made(series=True)
    moment = Sample("m", example.chip.id, "peak_of_season", ("When is it greenest?",), (Instant(0.5),))
    example = replace(example, samples=(*example.samples, moment))
    WRITERS["llava"]([example], tmp_path, omissions)
    (row,) = json.loads((tmp_path / "llava.json").read_text())
    assert row["conversations"][0]["value"].startswith("<image><image>\n"), "a mark for each picture"
    assert (len(row["image"]), row["dates"]) == (2, ["2022-04-01", "2022-07-01"])
    (again,) = read("llava", tmp_path, omissions)
    assert [p.acquired for p in again.chip.pictures] == [date(2022, 4, 1), date(2022, 7, 1)]
    assert [p.data for p in again.chip.pictures] == [p.data for p in example.chip.pictures]
    assert again.samples[-1].answer == ("2022-07-02",)


def test_what_a_format_cannot_say_is_counted(tmp_path, omissions):
    point = Sample("p", "farm/chip 1", "at", ("What is at ", Point(0.5, 0.5), "?"), ("maize",))
    example = replace(made(), samples=(*made().samples, point))
    assert WRITERS["geochat"]([example, made("s", series=True)], tmp_path, omissions) == 1
    assert omissions.counts["at: the format has no sign for a point"] == 1
    assert sum(n for why, n in omissions.counts.items() if "one picture to a question" in why) == len(
        made("s", series=True).samples
    )
    (again,) = read("geochat", tmp_path, SkippedRows())
    assert len(again.samples) == 3


def test_vrsbench_reads_training_evaluation_and_annotations(tmp_path, paint, write_json, talk, omissions):
    paint("Images_train/P0003_0002.png")
    paint("Images_val/P0003_0004.png")
    write_json(
        "VRSBench_train.json",
        [
            {"id": 1, "image": "P0003_0002.png", "conversations": talk(
                "<image>\n[refer] Where is <p>the harbor</p>?", "{<10><20><30><40>}")},
            {"id": 2, "image": "P0003_0002.png", "conversations": talk(
                "<image>\n[caption] Say it.", "A harbor.")},
        ],
    )  # fmt: skip
    common = {"image_id": "P0003_0004.png", "dataset": "dota", "question_id": 7}
    write_json(
        "VRSBench_EVAL_referring.json",
        [common | {"question": "The ship", "ground_truth": "{<1><2><33><44>}", "type": "ref"}],
    )
    write_json(
        "VRSBench_EVAL_vqa.json",
        [common | {"question": "How many?", "ground_truth": "2", "type": "object quantity"}],
    )
    write_json(
        "VRSBench_EVAL_Cap.json",
        [common | {"question": "Describe.", "ground_truth": "A ship.", "type": "caption"}],
    )
    write_json("Annotations_train/P0003_0002.json", {"caption": "The same harbor, once more."})
    val, train = read("vrsbench", tmp_path, omissions)
    assert not omissions.counts
    assert {train.chip.scene, val.chip.scene} == {"P0003"}, "tiles of one image are one scene"
    assert [s.task for s in train.samples] == ["refer", "caption"]
    assert {s.task: s.answer for s in val.samples} == {
        "refer": (Box(0.01, 0.02, 0.33, 0.44),), "vqa": ("2",), "caption": ("A ship.",)
    }  # fmt: skip
    assert {s.provenance["split"] for s in val.samples} == {"val"}


def test_vrsbench_annotations_alone(tmp_path, paint, write_json, omissions):
    paint("Images_train/00002_0000.png")
    write_json(
        "Annotations_train/00002_0000.json",
        {
            "caption": "A dam.",
            "objects": [{"obj_id": 0, "obj_cls": "dam", "is_unique": True, "referring_sentence": "The dam",
                         "obj_coord": [0.25, 0.5, 0.75, 1.0]}],
            "qa_pairs": [{"ques_id": 1, "question": "Is there a dam?", "type": "existence", "answer": "Yes"}],
        },
    )  # fmt: skip
    (tmp_path / "Annotations_train/bad.json").write_text("{")
    paint("Images_val/00002_0001.png")
    write_json("Annotations_val/00002_0001.json", {"caption": "A lake."})
    example, val = read("vrsbench", tmp_path, omissions)
    assert {sample.provenance["split"] for sample in example.samples} == {"train"}
    assert val.samples[0].provenance["split"] == "val"
    assert [s.answer for s in example.samples] == [("A dam.",), (Box(0.25, 0.5, 0.75, 1.0),), ("Yes",)]
    assert sum(omissions.counts.values()) == 1


def test_teochatlas_series_stand_in_order_of_date(tmp_path, paint, write_json, talk, omissions):
    late, early = paint("QFabric/b.png", seed=1), paint("QFabric/a.png", seed=2)
    paint("QFabric/small.png", 50, 25)
    asked = talk(
        "These are images: <video>\nIdentify changed buildings.", "[12, 3, 34, 50], [60, 60, 90, 95]."
    )
    write_json(
        "train/instruct.json",
        [
            {"id": "q", "video": ["QFabric/b.png", "QFabric/a.png"], "task": "change", "dataset": "QFabric",
             "metadata": [{"timestamp": "2019-07-02"}, {"timestamp": "2018-03-04"}], "conversations": asked},
            {"id": "r", "video": ["QFabric/b.png", "QFabric/small.png"], "task": "change",
             "conversations": asked},
        ],
    )  # fmt: skip
    dated, undated = read("teochatlas", tmp_path, omissions)
    assert not omissions.counts
    assert [p.data for p in dated.chip.pictures] == [early.read_bytes(), late.read_bytes()]
    assert dated.chip.window == TimeWindow(date(2018, 3, 4), date(2019, 7, 2))
    assert dated.samples[0].answer == (Box(0.12, 0.03, 0.34, 0.5), Box(0.6, 0.6, 0.9, 0.95))
    assert dated.samples[0].task == "change"
    assert undated.chip.window is None
    assert {Image.open(io.BytesIO(p.data)).size for p in undated.chip.pictures} == {(200, 100)}


def test_teochatlas_is_learnt_from_and_tested_on_in_files_of_their_own(
    tmp_path, paint, write_json, talk, omissions
):
    for number, name in enumerate(("train/instruct.json", "eval/QFabric_RQA2.json")):
        paint(f"{number}.png", seed=number)
        write_json(name, [{"video": [f"{number}.png"], "conversations": talk("<video>\nWhat?", "Rice.")}])
    found = {
        e.chip.id: [s.provenance["split"] for s in e.samples] for e in read("teochatlas", tmp_path, omissions)
    }
    assert found == {"teochatlas/0": ["train"], "teochatlas/1": ["test"]}


@pytest.mark.parametrize(
    "facts", [[{"timestamp": "2019-07-02"}], [{"timestamp": "2019-07-02"}, {"gsd": 1}], "2019", [None, None]]
)
def test_teochatlas_series_whose_dates_are_not_all_known_have_none(
    facts, tmp_path, paint, write_json, talk, omissions
):
    later, earlier = paint("b.png", seed=1), paint("a.png", seed=2)
    row = {"video": ["b.png", "a.png"], "metadata": facts, "conversations": talk("<video>\nWhat?", "Rice.")}
    write_json("instruct.json", [row])
    (example,) = read("teochatlas", tmp_path, omissions)
    assert [picture.data for picture in example.chip.pictures] == [later.read_bytes(), earlier.read_bytes()]
    assert example.chip.window is None


def test_dates_that_fit_no_picture_are_passed_over(tmp_path, paint, write_json, talk, omissions):
    paint("a.png")
    paint("b.png", seed=1)
    row = {"image": ["a.png", "b.png"], "dates": ["2021-05-03"], "conversations": talk("What?", "Rice.")}
    write_json("train.json", [row])
    (example,) = read("llava", tmp_path, omissions)
    assert [picture.acquired for picture in example.chip.pictures] == [None, None]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16"])
def test_pictures_of_other_modes_become_rgb(mode, tmp_path, write_json, talk, omissions):
    Image.new(mode, (20, 10)).save(tmp_path / "a.png")
    write_json("train.json", [{"image": "a.png", "conversations": talk("What?", "Rice.")}])
    (example,) = read("llava", tmp_path, omissions)
    with Image.open(io.BytesIO(example.chip.pictures[0].data)) as picture:
        assert (picture.mode, picture.size) == ("RGB", (20, 10))


def test_one_picture_is_one_chip_and_like_names_stay_apart(tmp_path, paint, write_json, talk, omissions):
    paint("a.png")
    paint("a.jpg")
    names = ["a.png", "./a.png", "some/where/a.png", "a.jpg"]
    write_json("t.json", [{"id": 1, "image": name, "conversations": talk("a?", "b")} for name in names])
    examples = read("llava", tmp_path, omissions)
    assert {e.chip.id: len(e.samples) for e in examples} == {"llava/a": 3, "llava/a~2": 1}
    assert {e.chip.scene for e in examples} == {"a"}

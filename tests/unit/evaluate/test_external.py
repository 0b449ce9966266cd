"""Prediction files of other systems."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from shapely.affinity import rotate
from shapely.geometry import box
from typer.testing import CliRunner

from agrilape.cli.app import app
from agrilape.errors import DataError, RecipeError
from agrilape.evaluate.external import score_file
from agrilape.evaluate.external.agromind import read_option, read_region
from agrilape.evaluate.external.grounding import EARTHDIAL, GEOCHAT, LLAVA_ST
from agrilape.geo.shapes import Box

PEERS = Path(os.environ.get("AGRILAPE_KITS", "../shared/kits")).parent / "peers"
needs_peers = pytest.mark.skipif(not PEERS.is_dir(), reason="the peers' files are not here")


@pytest.fixture
def write(tmp_path):
    def write(rows, name="rows.jsonl"):
        path = tmp_path / name
        path.write_text("\n".join(json.dumps(row) for row in rows))
        return path

    return write


def test_earthdial_by_hand(write):
    """Two matched, one missed, one answer cut off after a box, one without any."""
    path = write([
        {"answer": "[[10, 10, 30, 30, 90]][[10, 10, 30, 30, 0]]", "gt_bbox": "[[10, 10, 30, 30, 0]]"},
        {"answer": "[[50, 50, 70, 70, 0]][[10, 1", "gt_bbox": "[[50, 50, 70, 70, 0]][[0, 0, 10, 10, 0]]"},
        {"answer": "[[50, 50, 7", "gt_bbox": "[[50, 50, 70, 70, 0]]"},
    ])  # fmt: skip
    found = score_file("earthdial", path)
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == 0.5
    assert found["f1"] == pytest.approx(4 / 7)
    assert found["acc_50"] == 0.5
    assert (found["n"], found["unparsable"]) == (3, 1)


def test_the_first_of_several_guesses_at_one_box_is_judged(write):
    wanted = "[[50, 50, 70, 70, 0]]"
    found = score_file("earthdial", write([{"answer": f"[[0, 0, 9, 9, 0]]{wanted}", "gt_bbox": wanted}]))
    assert (found["acc_50"], found["miou"]) == (0, 0)
    assert (found["precision"], found["recall"]) == (0.5, 1)


def test_earthdial_turns_boxes(write):
    """A box of 40 x 10 turned by 90 degrees is one of 10 x 40."""
    path = write([{"answer": "[[30, 45, 70, 55, 90]]", "gt_bbox": "[[45, 30, 55, 70, 0]]"}])
    assert score_file("earthdial", path)["acc_50"] == 1


def test_geochat_and_vrsbench(write):
    rows = [
        {"answer": "It is {<10><20><30><40>|<90>}", "ground_truth": "{<10><20><30><40>}"},
        {"answer": "{<10><20><30>", "ground_truth": "{<10><20><30><40>|<0>}"},
    ]
    for style in ("geochat", "vrsbench"):
        found = score_file(style, write(rows))
        assert (found["acc_50"], found["unparsable"]) == (0.5, 1)


def test_llava_st(write):
    tokens = "<WIDTH-010><HEIGHT-020><WIDTH-060><HEIGHT-080>"
    boxes = write([{"outputs": f"at [{tokens}]", "gt_bbox": [10 / 99, 20 / 99, 60 / 99, 80 / 99]}])
    assert score_file("llava_st", boxes)["miou"] == pytest.approx(1, abs=1e-3)
    spans = write(
        [{"outputs": "{<TEMP-010><TEMP-060>}", "gt": [10 / 99, 60 / 99]}, {"outputs": "?", "gt": [0, 1]}]
    )
    found = score_file("llava_st", spans)
    assert (found["tiou"], found["recall_70"], found["unparsable"]) == (pytest.approx(0.5, abs=1e-3), 0.5, 1)


@pytest.mark.parametrize(
    ("boxes", "likely"), [("[[0, 0.1, 0.3, 0.4, 0]]", "1"), ("[[100, 200, 900, 950, 0]]", "1000")]
)
def test_another_scale_is_refused_with_the_likely_one(write, boxes, likely):
    with pytest.raises(DataError, match=f"more likely {likely}:"):
        score_file("earthdial", write([{"answer": boxes, "gt_bbox": boxes}]))


@pytest.mark.parametrize(
    ("style", "content", "problem"),
    [
        ("earthdial", '{"answer": "[[1,2,3,4,5]]"}', "not of the format"),
        ("earthdial", '{"answer": "x", "gt_bbox": "y"}', "no readable true box"),
        ("earthdial", '{"answer": "[[1,2', "damaged"),
        ("earthdial", "", "empty"),
        ("geochat", "[1, 2]", "not a list of objects"),
        ("coco", "[]", "--truth"),
    ],
)
def test_wrong_files_are_refused(tmp_path, style, content, problem):
    path = tmp_path / "rows"
    path.write_text(content)
    with pytest.raises(DataError, match=problem):
        score_file(style, path)


def test_unknown_format(tmp_path):
    with pytest.raises(RecipeError, match="earthdial"):
        score_file("nobody", tmp_path)


@settings(max_examples=40)  # 100,000 more strings are read in test_hostile_files
@given(st.text() | st.from_regex(r"(\[\[[0-9, .-]{0,30}\]?\]?|\{(<[0-9]{1,3}>){0,5}\|?)+"))
def test_any_answer_can_be_read(text):
    for notation in (EARTHDIAL, GEOCHAT, LLAVA_ST):
        boxes = notation.read(text)
        assert boxes.shape[1] == 5
        assert np.isfinite(boxes).all()


OPTIONS = {"A": "20-30%", "B": "60-70%", "C": "a wheat field"}


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("B", "B"),
        ("(b)", None),
        ("B. 60-70%", "B"),
        ("The answer is (A).", "A"),
        ("Answer: C", "C"),
        ("about 60-70% of it", "B"),
        ("It shows a wheat field", "C"),
        ("A field of trees", None),
        ("A or B", None),
        ("I think B", "B"),
        ("", None),
    ],
)
def test_options_are_read_by_rule_or_left_unread(text, option):
    assert {read_option(text, OPTIONS) for _ in range(20)} == {option}


def test_regions():
    assert read_region("Upper right region,1") == ("upper right", 1)
    assert read_region("Central region, 3") == ("middle center", 3)
    assert read_region("the upper central part, two tassels") == ("upper center", 2)
    assert read_region("left") == (None, None)


def item(number, answer, **fields):
    ids = {"level1_id": 1, "level2_id": 2, "level3_id": 3, "type_id": 1, "item_id": number}
    return {**ids, "answer": answer, **fields}


def test_agromind_with_a_missing_answer(write):
    questions = [item(1, "A", options=OPTIONS), item(2, "B", options=OPTIONS), item(3, "C", options=OPTIONS)]
    truth = write(questions, "truth.jsonl")
    found = score_file(
        "agromind", write([{**questions[0], "prediction": "A"}, {**questions[1], "prediction": "?"}]), truth
    )
    assert found["tasks"]["1_2_3"] == {"accuracy": pytest.approx(1 / 3), "n": 3, "unparsable": 2}
    assert (found["missing"], found["n"], found["unparsable"]) == (1, 3, 2)
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["acc_50"] is None


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [item(1, [0, 0, 1, 0.5], prediction="[0, 0, 1, 0.4]"), item(2, [0, 0, 1, 1], prediction="?")],
            {"acc_50": 0.5},
        ),
        ([item(1, "Yes", prediction="Yes, it does."), item(2, "No", prediction="yes")], {"accuracy": 0.5}),
        (
            [item(1, "Upper left region,2", prediction="upper left, 3")],
            {"accuracy": 0, "accuracy_region": 1, "accuracy_count": 0},
        ),
    ],
)
def test_agromind_kinds(write, rows, expected):
    found = score_file("agromind", write(rows))["tasks"]["1_2_3"]
    assert {key: found[key] for key in expected} == expected


def test_agromind_counts_every_question_alike_whatever_its_task(write):
    """Three right of one task, one wrong of another: three of four, not the mean over tasks."""
    right = [item(number, "A", options=OPTIONS, prediction="A") for number in range(3)]
    found = score_file("agromind", write([*right, {**right[0], "level1_id": 2, "prediction": "B"}]))
    assert {task: one["n"] for task, one in found["tasks"].items()} == {"1_2_3": 3, "2_2_3": 1}
    assert found["accuracy"] == 0.75


def test_agromind_refuses_repeats(write):
    with pytest.raises(DataError, match="twice"):
        score_file("agromind", write([item(1, "A", options=OPTIONS)] * 2))


def test_coco(write):
    truth = {
        "images": [{"id": 1}, {"id": 2}],
        "categories": [{"id": 7}],
        "annotations": [
            {"image_id": 1, "category_id": 7, "bbox": [0, 0, 10, 10]},
            {"image_id": 2, "category_id": 7, "bbox": [20, 20, 10, 10]},
            {"image_id": 2, "category_id": 7, "bbox": [0, 0, 90, 90], "iscrowd": 1},
        ],
    }
    results = [
        {"image_id": 1, "category_id": 7, "bbox": [0, 0, 10, 10], "score": 0.9},
        {"image_id": 1, "category_id": 7, "bbox": [0, 0, 10, 9], "score": 0.8},
    ]
    found = score_file("coco", write(results), write([truth], "truth.json"))
    assert found["ap"] == pytest.approx(51 / 101)
    assert (found["precision"], found["recall"]) == (0.5, 0.5)


def test_agrilape_rows(write, make_row):
    found = score_file("agrilape", write([make_row("count", ["3"], ["3"]).to_json()]))
    assert found["tasks"]["count"]["exact"]["value"] == 1


def test_agrilape_rows_by_the_rules_of_the_other_formats(write, make_row):
    box, other = Box(0.1, 0.1, 0.3, 0.3), Box(0.5, 0.5, 0.9, 0.9)
    rows = [
        make_row("crop_box", [box], [other, box], id="1"),
        make_row("crop_boxes", [box, other], [box], id="2"),
        make_row("count", ["3"], ["4"], id="3"),
    ]
    found = score_file("agrilape", write([row.to_json() for row in rows]))
    assert (found["precision"], found["recall"]) == pytest.approx((2 / 3, 2 / 3))
    assert (found["acc_50"], found["n"], found["unparsable"]) == (0, 3, 0)


@needs_peers
def test_real_predictions_of_earthdial():
    found = score_file("earthdial", PEERS / "earthdial" / "nwpu_vhr10_detection.jsonl")
    assert (found["n"], found["n_one_box"], found["unparsable"]) == (1601, 997, 0)
    assert found["boxes"] == {"predicted": 2544, "true": 2911, "matched": 391}
    rounded = {key: round(found[key], 3) for key in ("precision", "recall", "f1", "acc_50")}
    assert rounded == {"precision": 0.154, "recall": 0.134, "f1": 0.143, "acc_50": 0.254}


def scanned(text):
    """Well-formed boxes found by hand: innermost brackets with five numbers."""
    boxes = [part.split(",") for part in text.replace("[", "]").split("]")]
    return [[float(number) for number in box] for box in boxes if len(box) == 5]


@needs_peers
def test_earthdial_against_a_second_implementation():
    """One row at a time, with shapely's own rotation and the Hungarian method on counts alone."""
    rows = [json.loads(line) for line in (PEERS / "earthdial" / "nwpu_vhr10_detection.jsonl").open()]
    hits = 0
    first = []
    for row in rows[::4]:
        given, wanted = (
            [rotate(box(*edges), angle, "center") for *edges, angle in scanned(row[key])]
            for key in ("answer", "gt_bbox")
        )
        iou = [
            [a.intersection(b).area / a.union(b).area if a.union(b).area else 0 for b in wanted]
            for a in given
        ]
        near = np.array(iou).reshape(len(given), len(wanted)) >= 0.5
        hits += near[linear_sum_assignment(near, maximize=True)].sum()
        first += [near[0, 0]] if len(wanted) == 1 else []
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.write("\n".join(map(json.dumps, rows[::4])))
        file.flush()
        found = score_file("earthdial", Path(file.name))
    assert found["boxes"]["matched"] == hits
    assert found["acc_50"] == pytest.approx(np.mean(first))


@needs_peers
@pytest.mark.parametrize("name", ["AS_3_3_1", "BD_1_3_1", "OC_2_1_6", "SL_1_1_4"])
def test_real_questions_of_agromind_answered_rightly(name, write):
    """The published answers, given as answers, are all right: every kind can be read."""
    questions = json.loads((PEERS / "agromind" / f"{name}.json").read_text())
    rows = [{**question, "prediction": str(question["answer"])} for question in questions]
    (found,) = score_file("agromind", write(rows), PEERS / "agromind" / f"{name}.json")["tasks"].values()
    assert found.get("accuracy", found.get("acc_50")) == pytest.approx(1)
    assert (found["n"], found["unparsable"]) == (len(questions), 0)


def test_coco_detections_of_categories_without_truth_cost_precision(write):
    truth = {
        "images": [{"id": 1}],
        "annotations": [{"image_id": 1, "category_id": 7, "bbox": [0, 0, 10, 10]}],
    }
    results = [{"image_id": 1, "category_id": c, "bbox": [0, 0, 10, 10], "score": 0.9} for c in (7, 8)]
    found = score_file("coco", write(results), write([truth], "truth.json"))
    assert (found["ap_50"], found["precision"]) == (pytest.approx(1), 0.5)


def test_reversed_boxes_are_wrong_answers_not_missing_ones(write):
    path = write([{"answer": "[[70, 50, 50, 70, 0]]", "gt_bbox": "[[50, 50, 70, 70, 0]]"}])
    found = score_file("earthdial", path)
    assert (found["acc_50"], found["boxes"]["predicted"]) == (0, 1)


def test_truths_in_another_file_are_joined_by_id(write):
    truth = write([{"id": n, "gt_bbox": "[[50, 50, 70, 70, 0]]"} for n in (1, 2)], "truth.jsonl")
    found = score_file("earthdial", write([{"id": 2, "answer": "[[50, 50, 70, 70, 0]]"}]), truth)
    assert (found["acc_50"], found["n"], found["unparsable"]) == (0.5, 2, 1)


@pytest.mark.parametrize(
    ("ids", "true_ids", "problem"),
    [
        ([1, 1], [1, 2], "two predictions"),
        ([1, None], [1, 2], "have no id"),
        ([3], [1, 2], "have no truth"),
        ([None], [None, None], "without ids"),
    ],
)
def test_doubtful_ids_are_refused(write, ids, true_ids, problem):
    box = "[[50, 50, 70, 70, 0]]"
    with pytest.raises(DataError, match=problem):
        score_file(
            "earthdial",
            write([{"id": name, "answer": box} for name in ids]),
            write([{"id": name, "gt_bbox": box} for name in true_ids], "truth.jsonl"),
        )


def test_agrilape_rows_against_those_of_another_run(write, make_row):
    truth = write([make_row("count", ["3"], ["4"]).to_json()], "truth.jsonl")
    found = score_file("agrilape", write([{"id": "1", "prediction": ["3"]}]), truth)
    assert found["tasks"]["count"]["exact"]["value"] == 1
    assert "IoU >= 0.5" in found["protocol"]


def test_the_command_prints_json(write):
    path = write([{"answer": "[[50, 50, 70, 70, 0]]", "gt_bbox": "[[50, 50, 70, 70, 0]]"}])
    done = CliRunner().invoke(app, ["score", "--format", "earthdial", str(path), "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["f1"] == 1

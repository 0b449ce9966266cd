"""Damaged and odd files: scored, or refused with a problem and a remedy; never a crash or a silent NaN."""

import json
import random
import string

import numpy as np
import pytest

from agrilape.errors import AgrilapeError, DataError
from agrilape.evaluate.external import FORMATS, score_file
from agrilape.evaluate.external.agromind import read_option, read_region
from agrilape.evaluate.external.grounding import EARTHDIAL, GEOCHAT, LLAVA_ST, VRSBENCH
from agrilape.evaluate.metrics.captions import find_name, find_number
from agrilape.evaluate.prediction_files import export_run
from agrilape.geo.shapes import Box, Instant, Span

NASTY = [
    None, True, -1, 0, 1e400, float("nan"), "", "NaN", "[[", "[[70, 50, 50, 70, 0]]", "\x00", [], {}, [[]],
    [float("nan")] * 4, [3, 2, 1, 0], [None] * 4, ["a"] * 4, {"box": [0.5, 0.5, 0.1, 0.1]},
    [{"box": [float("nan"), 0, 1, 1]}], [{"span": [1, 0]}], [{"instant": 1e9}], "__import__('os')",
]  # fmt: skip
IDS = {"level1_id": 1, "level2_id": 2, "level3_id": 3, "type_id": 1}


def whole_files(make_row):
    """Well-formed content of each format, and of its truth."""
    box = "[[10, 10, 30, 30, 0]]"
    ids = [{"image_id": n, "category_id": 1, "bbox": [0, 0, 9, 9]} for n in (1, 2)]
    answers = {
        "crop_box": Box(0, 0, 0.5, 0.5),
        "count": "3",
        "peak_of_season": Instant(0.5),
        "growing_season": Span(0, 1),
    }
    return {
        "agrilape": (
            [make_row(task, [one], [one], id=task).to_json() for task, one in answers.items()],
            None,
        ),
        "earthdial": ([{"id": n, "answer": box, "gt_bbox": box} for n in range(3)], None),
        "geochat": ([{"answer": "{<1><2><30><40>|<5>}", "ground_truth": "{<1><2><30><40>}"}] * 2, None),
        "vrsbench": ([{"answer": "{<1><2><30><40>}", "ground_truth": "{<1><2><30><40>}"}] * 2, None),
        "llava_st": ([{"outputs": "[0.1,0.2,0.3,0.4]", "gt_bbox": [0.1, 0.2, 0.3, 0.4]}] * 2, None),
        "agromind": (
            [
                {**IDS, "item_id": n, "answer": "A", "options": {"A": "x", "B": "y"}, "prediction": "B"}
                for n in range(2)
            ],
            None,
        ),
        "coco": (
            [{**one, "score": 0.5} for one in ids],
            [{"images": [{"id": 1}, {"id": 2}], "annotations": ids, "categories": [{"id": 1}]}],
        ),
    }  # fmt: skip


def spoilt(rows, rng):
    """Rows with one value replaced, one key or row gone, or a row twice."""
    rows = json.loads(json.dumps(rows))
    row = rng.choice(rows)
    key = rng.choice(list(row))
    match rng.randrange(5):
        case 0 | 1:
            row[key] = rng.choice(NASTY)
        case 2:
            del row[key]
        case 3:
            rows.append(row)
        case 4:
            rows.remove(row)
    return rows


def is_finite(value):
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    return not isinstance(value, float) or np.isfinite(value)


@pytest.mark.parametrize("style", FORMATS)
def test_spoilt_files_are_scored_or_refused(style, make_row, tmp_path):
    rng = random.Random(style)
    rows, true = whole_files(make_row)[style]
    predictions, truth = tmp_path / "rows.jsonl", tmp_path / "truth.jsonl" if true else None
    outcomes = {True: 0, False: 0}
    for number in range(150):
        text = "\n".join(map(json.dumps, spoilt(rows, rng) if not true or number % 2 else rows))
        predictions.write_text(text[: rng.randrange(len(text) + 1)] if number % 5 == 0 else text)
        if truth:
            truth.write_text("\n".join(map(json.dumps, true if number % 2 else spoilt(true, rng))))
        try:
            scores = score_file(style, predictions, truth)
        except AgrilapeError:
            outcomes[False] += 1
        else:
            assert is_finite(scores), scores
            json.dumps(scores, allow_nan=False)
            outcomes[True] += 1
    assert min(outcomes.values()) > 10


def test_hundred_thousand_strings_are_read_without_harm():
    rng = random.Random(0)
    pieces = [
        *"[]{}<>|,.- \n\\'\"()0123456789ABe",
        "[[1, 2, 3, 4, 5]]",
        "{<1><2>",
        "__import__('os')",
        "é",
        "∞",
    ]
    notations = (EARTHDIAL, GEOCHAT, VRSBENCH, LLAVA_ST)
    options, names = {"A": "maize", "B": "(.*)+"}, ["maize", "a+", "winter wheat"]
    for number in range(100_000):
        text = "".join(rng.choices(pieces, k=rng.randrange(24)))
        assert np.isfinite(notations[number % 4].read(text)).all()
        match number % 4:
            case 0:
                assert read_option(text, options) in {None, "A", "B"}
            case 1:
                assert find_name(text, names) in {None, *names}
            case 2:
                read_region(text)
            case 3:
                find_number(text)


@pytest.mark.parametrize("unit", ["[", "[[1,", "{<1>", "1", " ", "-", "[1,2,3,4", string.printable])
def test_long_answers_are_read_in_linear_time(unit):
    text = unit * (200_000 // len(unit))
    for notation in (EARTHDIAL, GEOCHAT, LLAVA_ST):
        notation.read(text)
    find_number(text), read_region(text)


@pytest.mark.parametrize(
    ("rows", "likely"),
    [
        ([("crop_box", Box(0.1, 0.1, 0.5, 0.5), Box(10, 10, 50, 50))], "100"),
        ([("crop_box", Box(0.1, 0.1, 0.5, 0.5), Box(100, 100, 500, 500))], "1000"),
        ([("crop_box", Box(100, 100, 5000, 500), Box(0.1, 0.1, 0.5, 0.5))], "pixels"),
    ],
)
def test_rows_on_another_scale_are_refused(rows, likely, make_row, tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [make_row(task, [answer], [given]).to_json() for task, answer, given in rows]
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match=f"more likely {likely}:"):
        score_file("agrilape", path)


REVERSED = "1 of 1 true boxes are reversed"


@pytest.mark.parametrize(
    ("style", "row"),
    [
        ("earthdial", {"answer": "[[1, 2, 30, 40, 0]]", "gt_bbox": "[[30, 2, 1, 40, 0]]"}),
        ("geochat", {"answer": "{<1><2><30><40>}", "ground_truth": "{<1><40><30><2>}"}),
        ("llava_st", {"outputs": "[0.1,0.2,0.3,0.4]", "gt_bbox": [0.3, 0.2, 0.1, 0.4]}),
        (
            "agromind",
            {**IDS, "item_id": 1, "answer": [0.3, 0.2, 0.1, 0.4], "prediction": "[0.1,0.2,0.3,0.4]"},
        ),
    ],
)
def test_true_boxes_that_are_reversed_are_refused_and_given_ones_are_wrong(style, row, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(DataError, match=REVERSED):
        score_file(style, path)
    given, wanted = {"agromind": ("prediction", "answer"), "llava_st": ("outputs", "gt_bbox")}.get(
        style, ("answer", "gt_bbox" if style == "earthdial" else "ground_truth")
    )
    turned = {**row, given: str(row[wanted]), wanted: row[given]}
    if isinstance(row[wanted], list):
        turned[wanted] = json.loads(row[given])
    path.write_text(json.dumps(turned))
    scores = score_file(style, path)
    assert (scores["acc_50"], scores["n"]) == (0, 1)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"outputs": "{0.1,0.5}", "gt": [0.5, 0.1]}, "1 of 1 true spans are reversed"),
        ({"outputs": "{0.1,0.5}", "gt": [12.0, 47.5]}, "true spans reach 47.5.*\n.*seconds"),
        ({"outputs": "{12.5,1047.5}", "gt": [0.1, 0.5]}, "predicted spans reach 1047.5.*\n.*seconds"),
    ],
)
def test_spans_that_are_reversed_or_in_seconds_are_refused(row, said, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(DataError, match=said):
        score_file("llava_st", path)


@pytest.mark.parametrize(
    ("style", "row"),
    [
        ("earthdial", {"answer": "[[0, 0, 0, 0, 0]]", "gt_bbox": "[[1, 2, 30, 40, 0]]"}),
        ("llava_st", {"outputs": "[0, 0, 0.01, 0.01]", "gt_bbox": [0.3, 0.2, 0.4, 0.4]}),
    ],
)
def test_a_model_that_always_answers_the_corner_is_wrong_and_not_of_another_scale(style, row, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    assert score_file(style, path)["acc_50"] == 0


def test_true_boxes_of_agrilape_and_coco_that_are_reversed_are_refused(make_row, tmp_path):
    path, truth = tmp_path / "rows.jsonl", tmp_path / "truth.json"
    path.write_text(json.dumps(make_row("crop_box", [Box(0.5, 0, 0.1, 1)], []).to_json()))
    with pytest.raises(DataError, match=REVERSED):
        score_file("agrilape", path)
    box = {"image_id": 1, "category_id": 1}
    truth.write_text(json.dumps({"images": [{"id": 1}], "annotations": [{**box, "bbox": [10, 20, -3, 40]}]}))
    path.write_text(json.dumps([{**box, "bbox": [10, 20, 3, 40]}]))
    with pytest.raises(DataError, match=REVERSED):
        score_file("coco", path, truth)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\0" * 9, b"[1]", b"null"])
def test_rows_that_are_no_text_are_refused(content, tmp_path):
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "predictions.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=r"predictions\.jsonl"):
        export_run(tmp_path, "csv")


def test_coco_fractions_are_refused(tmp_path):
    truth, results = tmp_path / "truth.json", tmp_path / "results.json"
    box = {"image_id": 1, "category_id": 1}
    truth.write_text(json.dumps({"images": [{"id": 1}], "annotations": [{**box, "bbox": [10, 20, 30, 40]}]}))
    results.write_text(json.dumps([{**box, "bbox": [0.1, 0.2, 0.3, 0.4]}]))
    with pytest.raises(DataError, match="more likely 0 to 1"):
        score_file("coco", results, truth)


def test_truths_that_are_not_numbers_are_refused(make_row, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(make_row("crop_box", [Box(0, 0, float("nan"), 1)], []).to_json()))
    with pytest.raises(DataError, match="NaN is no JSON number"):
        score_file("agrilape", path)

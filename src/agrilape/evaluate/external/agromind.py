"""AgroMind: multiple choice, yes or no, boxes, and regions with counts, per task id.

Answers are read by fixed rules, never by chance; one that cannot be read, or is missing, counts as wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from agrilape.errors import DataError
from agrilape.evaluate.external.json_rows import read_table
from agrilape.evaluate.external.scale import check_order, check_scale
from agrilape.evaluate.metrics.arrays import floats
from agrilape.evaluate.metrics.boxes import box_iou
from agrilape.evaluate.metrics.captions import find_name, find_number
from agrilape.io.numbers import NUMBER, to_float, without_wrappers

Row: TypeAlias = Mapping[str, Any]
_KEY = ("level1_id", "level2_id", "level3_id", "type_id", "item_id")
_GIVEN = ("prediction", "response", "output")
_BOX = re.compile(rf"(?<![\w.])({NUMBER})" + rf"\s*,\s*({NUMBER})" * 3 + r"(?![\w.])")
PROTOCOL = (
    "options by letter or by their own text, read by fixed rules; boxes 0 to 1, right at IoU >= 0.5; "
    "regions and counts judged apart and together; unparsable and missing answers are wrong; accuracy: "
    "over all questions answered in words; acc_50: over all answered by a box"
)
_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "center", "right")
_REGIONS = {
    **{f"{row} {column}": f"{row} {column}" for row in _ROWS for column in _COLUMNS},
    "central": "middle center",
    "upper central": "upper center",
    "lower central": "lower center",
}
"""Names that answers use, and what they mean."""


def score(predictions: Path, truth: Path | None = None) -> dict[str, Any]:
    """Score answers to AgroMind's questions.

    Args:
        predictions: Rows with the question's ids and `prediction` (or `response`, `output`); without a truth
            file, also the question's own fields.
        truth: A file of questions as published; a question without prediction counts as unparsable.

    Raises:
        DataError: A prediction occurs twice, or belongs to no question.
    """
    given = _index(read_table(predictions), predictions)
    questions = _index(read_table(truth), truth) if truth else given
    if unknown := set(given) - set(questions):
        raise DataError(
            f"{len(unknown)} predictions belong to no question of {truth}",
            "give the truth of the same tasks",
        )
    if not questions:
        raise DataError(f"{truth or predictions} is empty", "give a file with at least one question")
    tasks: dict[str, list[tuple[Row, str]]] = {}
    for key, question in questions.items():
        text = _text(given[key]) if key in given else ""
        tasks.setdefault("_".join(str(number) for number in key[:3]), []).append((question, text))
    scores = {task: _score_task(rows) for task, rows in sorted(tasks.items())}
    return {
        "tasks": scores,
        **{key: _over_tasks(scores, key) for key in ("accuracy", "acc_50")},
        "n": len(questions),
        "unparsable": sum(one["unparsable"] for one in scores.values()),
        "missing": len(questions) - len(given),
        "protocol": PROTOCOL,
    }


def read_option(text: str, options: Mapping[str, str]) -> str | None:
    """The option that an answer chooses; None if that is not clear.

    In this order: the answer is a letter; it says "answer: B" or the like; it begins with a letter and
    a mark; it mentions the text of one option; it holds one capital of an option, not being the article A.
    """
    if not options:
        return None
    letters = "".join(re.escape(letter) for letter in options)
    for pattern in (
        rf"^\W*([{letters}])\W*$",
        rf"(?i:answer|option|choice)(?:\s+is)?\s*[:=]?\s*\W?([{letters}])\b",
        rf"^\W*([{letters}])\s*[.:)\]]",
    ):
        if found := set(re.findall(pattern, text)):
            return found.pop() if len(found) == 1 else None
    by_text = {value: letter for letter, value in options.items()}
    if len(by_text) == len(options) and (name := find_name(text, list(by_text))):
        return by_text[name]
    capitals = set(re.findall(rf"\b([{letters}])\b(?!\s+(?!or\b|and\b)[a-z])", text))
    return capitals.pop() if len(capitals) == 1 else None


def read_region(text: str) -> tuple[str | None, float | None]:
    """The part of the image and the number in an answer such as `Upper right region,1`."""
    name = find_name(text, list(_REGIONS))
    return _REGIONS[name] if name else None, find_number(text)


def _score_task(rows: list[tuple[Row, str]]) -> dict[str, Any]:
    wanted = rows[0][0]
    if isinstance(wanted["answer"], list):
        return _score_boxes(rows)
    if "options" not in wanted and re.fullmatch(r"[A-Za-z ]+region,\s*\d+", str(wanted["answer"])):
        return _score_regions(rows)
    return _score_choices(rows)


def _over_tasks(scores: Mapping[str, Mapping[str, Any]], key: str) -> float | None:
    """A share over all questions of those tasks that have it; None if none has."""
    having = [one for one in scores.values() if key in one]
    return sum(one[key] * one["n"] for one in having) / sum(one["n"] for one in having) if having else None


def _score_choices(rows: list[tuple[Row, str]]) -> dict[str, Any]:
    given = [
        read_option(text, row["options"]) if "options" in row else find_name(text, ["yes", "no"])
        for row, text in rows
    ]
    right = [
        answer is not None and answer.lower() == str(row["answer"]).strip().lower()
        for answer, (row, _) in zip(given, rows, strict=True)
    ]
    return {"accuracy": sum(right) / len(rows), "n": len(rows), "unparsable": given.count(None)}


def _score_boxes(rows: list[tuple[Row, str]]) -> dict[str, Any]:
    found = [_BOX.search(without_wrappers(text)) for _, text in rows]
    boxes = [[to_float(n) for n in match.groups()] if match else [float("nan")] * 4 for match in found]
    wanted = floats([row["answer"] for row, _ in rows]).reshape(-1, 4)
    if not np.isfinite(wanted).all():
        raise DataError("a true box is not made of numbers", "give the questions as published")
    check_scale("agromind", 1, wanted, "true boxes")
    check_order("agromind", wanted)
    check_scale("agromind", 1, floats(boxes), "predicted boxes")
    iou = box_iou(boxes, wanted)
    return {
        "acc_50": float((iou >= 0.5).mean()),
        "miou": float(iou.mean()),
        "n": len(rows),
        "unparsable": found.count(None),
    }


def _score_regions(rows: list[tuple[Row, str]]) -> dict[str, Any]:
    given = [read_region(text) for _, text in rows]
    wanted = [read_region(str(row["answer"])) for row, _ in rows]
    pairs = list(zip(given, wanted, strict=True))
    share = 1 / len(rows)
    return {
        "accuracy": share * sum(a == b for a, b in pairs),
        "accuracy_region": share * sum(a[0] == b[0] for a, b in pairs),
        "accuracy_count": share * sum(a[1] == b[1] for a, b in pairs),
        "n": len(rows),
        "unparsable": sum(None in answer for answer in given),
    }


def _index(rows: list[dict[str, Any]], path: Path) -> dict[tuple[int, ...], Row]:
    index: dict[tuple[int, ...], Row] = {}
    for row in rows:
        key = tuple(int(row[name]) for name in _KEY)
        if key in index:
            raise DataError(f"{path} holds item {key} twice", "keep one row per question")
        index[key] = row
    return index


def _text(row: Row) -> str:
    return str(next((row[name] for name in _GIVEN if name in row), ""))

"""Boxes in the notations of EarthDial, GeoChat, VRSBench and LLaVA-ST.

The rules are the same for all: every well-formed box of an answer counts, also of an answer that was cut off;
an answer without any is unparsable and wrong. Boxes are matched one to one at IoU >= 0.5, over all samples
together. Where one box is wanted, `acc_50` judges the first one given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agrilape.errors import DataError
from agrilape.evaluate.external.json_rows import read_joined
from agrilape.evaluate.external.scale import check_order, check_scale
from agrilape.evaluate.metrics.arrays import Floats, floats
from agrilape.evaluate.metrics.matching import Matches, count_matches, f1_score, precision, recall
from agrilape.evaluate.metrics.polygons import polygon_iou_matrices, rotated_boxes
from agrilape.evaluate.metrics.time import recall_at_1, temporal_iou
from agrilape.io.numbers import NUMBER, to_float, without_wrappers

_NUMBER = rf"\s*({NUMBER})\s*"
_LIST_OF_5 = re.compile(rf"\[{','.join([_NUMBER] * 5)}\]")
_LIST_OF_4 = re.compile(rf"\[{','.join([_NUMBER] * 4)},?\]")
_BRACED = re.compile(rf"\{{{''.join([f'<{_NUMBER}>'] * 4)}(?:\|\s*<?{_NUMBER}>?)?\s*\}}?")
_PAIR = re.compile(rf"\{{{_NUMBER},{_NUMBER},?\}}")
_TOKEN = re.compile(r"<(?:WIDTH|HEIGHT|TEMP)-(\d{1,3})>")


@dataclass(frozen=True)
class Notation:
    """How a system writes boxes.

    Attributes:
        name: Of the system.
        pattern: Finds one box: left, top, right, bottom and, perhaps, degrees.
        scale: The largest coordinate.
    """

    name: str
    pattern: re.Pattern[str]
    scale: float

    def read(self, text: Any) -> Floats:
        """Boxes `[N, 5]` in a text, or in a list of numbers: edges, and degrees about the centre."""
        if isinstance(text, list) and len(text) in (4, 5) and all(isinstance(n, int | float) for n in text):
            box = floats([[*text, 0.0][:5]])
            return box if np.isfinite(box).all() else box[:0]
        found = [
            [to_float(number or "0") for number in match.groups()]
            for match in self.pattern.finditer(without_wrappers(str(text)))
        ]
        return floats([box if len(box) == 5 else [*box, 0.0] for box in found]).reshape(-1, 5)


EARTHDIAL = Notation("earthdial", _LIST_OF_5, 100)
GEOCHAT = Notation("geochat", _BRACED, 100)
VRSBENCH = Notation("vrsbench", _BRACED, 100)
LLAVA_ST = Notation("llava_st", _LIST_OF_4, 1)


def earthdial(predictions: Path, truth: Path | None = None) -> dict[str, Any]:
    """Rows with `answer` and `gt_bbox`, both `[[l, t, r, b, degrees]]` repeated, 0 to 100."""
    rows = read_joined(predictions, truth)
    return _score(
        EARTHDIAL, [(EARTHDIAL.read(row["answer"]), EARTHDIAL.read(row["gt_bbox"])) for row in rows]
    )


def geochat(predictions: Path, truth: Path | None = None) -> dict[str, Any]:
    """Rows with `answer` and `ground_truth`, both `{<l><t><r><b>|<degrees>}`, 0 to 100."""
    return _score(GEOCHAT, _with_ground_truth(GEOCHAT, read_joined(predictions, truth)))


def vrsbench(predictions: Path, truth: Path | None = None) -> dict[str, Any]:
    """Rows with `answer` and `ground_truth`, both `{<l><t><r><b>}`, 0 to 100; without a "+1 pixel"."""
    return _score(VRSBENCH, _with_ground_truth(VRSBENCH, read_joined(predictions, truth)))


def llava_st(predictions: Path, truth: Path | None = None) -> dict[str, Any]:
    """Rows with `outputs` and `gt_bbox` (0 to 1), or `gt`, a span (0 to 1).

    Position tokens are read as index / 99, `[l, t, r, b]` a box and `{start, end}` a span.
    """
    rows = read_joined(predictions, truth, "outputs")
    answers = [_TOKEN.sub(lambda token: f"{int(token[1]) / 99:.5f},", str(row["outputs"])) for row in rows]
    if "gt_bbox" in rows[0]:
        pairs = [
            (LLAVA_ST.read(text), LLAVA_ST.read(row["gt_bbox"]))
            for text, row in zip(answers, rows, strict=True)
        ]
        return _score(LLAVA_ST, pairs)
    return _score_spans(answers, [row["gt"] for row in rows])


def _with_ground_truth(notation: Notation, rows: Iterable[dict[str, Any]]) -> list[tuple[Floats, Floats]]:
    return [(notation.read(row["answer"]), notation.read(row["ground_truth"])) for row in rows]


def _score(notation: Notation, pairs: list[tuple[Floats, Floats]]) -> dict[str, Any]:
    if empty := sum(len(true) == 0 for _, true in pairs):
        raise DataError(
            f"{empty} of {len(pairs)} rows have no readable true box",
            f"check that the file is of {notation.name}",
        )
    wanted = np.concatenate([true for _, true in pairs])[:, :4]
    check_scale(notation.name, notation.scale, wanted, "true boxes")
    check_order(notation.name, wanted)
    check_scale(
        notation.name, notation.scale, np.concatenate([found for found, _ in pairs])[:, :4], "predicted boxes"
    )
    matrices = polygon_iou_matrices([(list(rotated_boxes(a)), list(rotated_boxes(b))) for a, b in pairs])
    total = Matches(*np.sum([count_matches(iou) for iou in matrices], axis=0))
    first = [iou[0, 0] if len(iou) else 0.0 for iou in matrices if iou.shape[1] == 1]
    return {
        "precision": float(precision(total.true_positives, total.predictions)),
        "recall": float(recall(total.true_positives, total.truths)),
        "f1": float(f1_score(total.true_positives, total.predictions, total.truths)),
        "acc_50": recall_at_1(first, 0.5) if first else None,
        "miou": float(np.mean(first)) if first else None,
        "n": len(pairs),
        "n_one_box": len(first),
        "boxes": {
            "predicted": int(total.predictions),
            "true": int(total.truths),
            "matched": int(total.true_positives),
        },
        "unparsable": sum(len(found) == 0 for found, _ in pairs),
        "protocol": f"coordinates 0 to {notation.scale:g}; rotated IoU; one-to-one matching at IoU >= 0.5 of "
        "all boxes; acc_50, miou: first box of the rows with one true box; unparsable rows count as wrong",
    }


def _score_spans(answers: Iterable[str], truths: Iterable[list[float]]) -> dict[str, Any]:
    wanted = floats(list(truths)).reshape(-1, 2)
    if not np.isfinite(wanted).all():
        raise DataError("a true span is not made of numbers", "correct the file")
    found = [_PAIR.search(without_wrappers(text)) for text in answers]
    spans = floats([[to_float(n) for n in match.groups()] if match else [np.nan] * 2 for match in found])
    spans = spans.reshape(-1, 2)
    check_scale(LLAVA_ST.name, LLAVA_ST.scale, wanted, "true spans")
    check_order(LLAVA_ST.name, wanted, "spans")
    check_scale(LLAVA_ST.name, LLAVA_ST.scale, spans, "predicted spans")
    iou = temporal_iou(spans, wanted)
    return {
        "tiou": float(iou.mean()),
        **{f"recall_{round(100 * level)}": recall_at_1(iou, level) for level in (0.3, 0.5, 0.7)},
        "n": len(found),
        "unparsable": sum(match is None for match in found),
        "protocol": "fractions of the video; first span of an answer; unparsable rows count as wrong",
    }

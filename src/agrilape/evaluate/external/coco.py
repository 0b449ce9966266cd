"""Detections as COCO results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from agrilape.errors import DataError
from agrilape.evaluate.external.json_rows import read_json, read_table
from agrilape.evaluate.external.scale import check_order
from agrilape.evaluate.metrics.arrays import Floats, floats
from agrilape.evaluate.metrics.boxes import box_iou_matrix
from agrilape.evaluate.metrics.matching import (
    COCO_THRESHOLDS,
    Detections,
    average_precision,
    count_matches,
    f1_score,
    precision,
    recall,
)

Boxes: TypeAlias = defaultdict[tuple[Any, Any], list[list[float]]]
MOST_PER_IMAGE = 100


def score(predictions: Path, truth: Path | None) -> dict[str, Any]:
    """AP of detections, mean over categories, with precision, recall and F1 of all of them at IoU 0.5.

    Args:
        predictions: COCO results: `image_id`, `category_id`, `bbox` (x, y, width, height in pixels), `score`.
        truth: COCO annotations (`images`, `annotations`, `categories`); crowds are skipped.

    Raises:
        DataError: There is no truth, or a detection is of an image that it does not list.
    """
    if truth is None:
        raise DataError("COCO results hold no truth", "give the annotations with --truth")
    annotations = read_json(truth)
    images = [image["id"] for image in annotations["images"]]
    wanted = _boxes(one for one in annotations["annotations"] if not one.get("iscrowd"))
    listed = {one["id"] for one in annotations.get("categories") or ()} | {one for _, one in wanted}
    known = {
        key: {str(one): one for one in ids} for key, ids in (("image_id", images), ("category_id", listed))
    }
    given = _boxes(_same_ids(row, known) for row in read_table(predictions))
    if not wanted:
        raise DataError(f"{truth} holds no objects", "give the annotations of the split that was predicted")
    _check_units(given, wanted)
    check_order("coco", np.concatenate([_table(found)[:, :4] for found in wanted.values()]))
    if unknown := {image for image, _ in given} - set(images):
        raise DataError(
            f"{len(unknown)} images of {predictions} are not in {truth}", "give the truth of the same split"
        )
    if given and not {category for _, category in given} & listed:
        raise DataError(
            f"no category of {predictions} ({_named(category for _, category in given)}) is in {truth} "
            f"({_named(listed)})",
            "write the category ids of the truth; some tools count from 0 where it counts from 1",
        )
    categories = sorted({category for _, category in wanted})
    unwanted = {category for _, category in given} - set(categories)
    detections = {
        category: [_match(given[image, category], wanted[image, category]) for image in images]
        for category in (*categories, *unwanted)
    }
    per_threshold = {
        threshold: float(
            np.mean([average_precision(detections[category], threshold) for category in categories])
        )
        for threshold in COCO_THRESHOLDS
    }
    counts = [count_matches(one.iou) for found in detections.values() for one in found]
    hits, answers, truths, _ = np.sum(counts, axis=0)
    return {
        "ap": float(np.mean(list(per_threshold.values()))),
        "ap_50": per_threshold[0.5],
        "ap_75": per_threshold[0.75],
        "precision": float(precision(hits, answers)),
        "recall": float(recall(hits, truths)),
        "f1": float(f1_score(hits, answers, truths)),
        "n": len(images),
        "unparsable": 0,
        "protocol": f"COCO: {MOST_PER_IMAGE} best detections per image and category, 101 recalls, no crowds; "
        "precision, recall and F1: one-to-one matching at IoU >= 0.5, all detections",
    }


def _boxes(rows: Iterable[dict[str, Any]]) -> Boxes:
    """Left, top, right, bottom and score of the boxes per image and category, best first."""
    boxes: Boxes = defaultdict(list)
    for row in rows:
        x, y, width, height, sure = (float(value) for value in (*row["bbox"], row.get("score", 1.0)))
        if not np.isfinite([x, y, width, height, sure]).all():
            raise DataError(f"a box of image {row['image_id']} is not made of numbers", "correct the file")
        boxes[row["image_id"], row["category_id"]].append([x, y, x + width, y + height, sure])
    for found in boxes.values():
        found.sort(key=lambda box: -box[4])
    return boxes


def _same_ids(row: dict[str, Any], known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A detection with its ids as the truth has them, found by how they are written: `"1"` and 1.0 are 1."""
    found = dict(row)
    for key, ids in known.items():
        said = row[key]
        text = str(int(said)) if isinstance(said, float) and said.is_integer() else str(said)
        found[key] = ids.get(text, said)
    return found


def _named(ids: Iterable[Any], most: int = 5) -> str:
    names = sorted({repr(one) for one in ids})
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _check_units(given: Boxes, wanted: Boxes) -> None:
    """Refuse fractions of the image where the truth is in pixels."""
    largest = [
        max((max(box[:4]) for found in side.values() for box in found), default=0) for side in (given, wanted)
    ]
    if 0 < largest[0] <= 1 < largest[1] / 10:
        raise DataError(
            f"predicted boxes reach {largest[0]:g}, true ones {largest[1]:g}",
            "the scale is more likely 0 to 1: multiply by the image's width and height",
        )


def _match(given: list[list[float]], wanted: list[list[float]]) -> Detections:
    found, true = _table(given)[:MOST_PER_IMAGE], _table(wanted)
    return Detections(found[:, 4], box_iou_matrix(found[:, :4], true[:, :4]))


def _table(boxes: list[list[float]]) -> Floats:
    return floats(boxes).reshape(-1, 5)

"""Whole maps to look at: each with its true and its given outlines."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from shapely import Geometry

from agrilape.errors import DataError
from agrilape.evaluate.map_metrics import MAP_METRICS, map_objects
from agrilape.evaluate.predictions import Prediction
from agrilape.files import path_inside
from agrilape.report.drawing import SIDE, Mark
from agrilape.report.run_folder import Json, Run
from agrilape.report.score_tables import describe, show

SHOWN = ("box_f1", "box_precision", "box_recall", "outline_f1")
"""Scores below each picture."""
MOST = 2000
"""Outlines of a kind that are drawn on one map, the largest: more cannot be told apart."""
DETAIL = 0.001
"""Share of a map's side that an outline may be moved by when it is drawn."""


@dataclass(frozen=True)
class MapPicture:
    """A map, ready to draw.

    Attributes:
        name: Its name.
        image: Data URI of its picture; None if that is not in the run folder.
        height: Height of the drawing; its width is `SIDE`.
        true, ignored, predicted: Outlines of parcels, of those that decide nothing, and of answers.
        caption: What was found, in words.
    """

    name: str
    image: str | None
    height: float
    true: tuple[Mark, ...]
    ignored: tuple[Mark, ...]
    predicted: tuple[Mark, ...]
    caption: str


def map_pictures(run: Run) -> list[MapPicture]:
    """Every map that was asked for all its fields; rows that cannot be read are passed over."""
    found = []
    for row in run.maps:
        if row.get("task") == "map_fields" and (read := _read(row)) is not None:
            found.append(_picture(run.folder / "evaluation" / "images", read))
    return found


def _read(row: Json) -> Prediction | None:
    try:
        return Prediction.from_json(row)
    except DataError:
        return None


def _picture(folder: Path, row: Prediction) -> MapPicture:
    objects = map_objects(row)
    width, height = row.meta.get("size") or (1, 1)
    size = np.array([SIDE, SIDE * height / width])
    given, wanted, ignored = (_marks(list(side), size) for side in objects)
    scores = {
        metric.name: metric.point([row]) for metric in MAP_METRICS["map_fields"] if metric.name in SHOWN
    }
    said = ", ".join(
        f"{describe(name).label} {show(value, name)}".replace(" ", "\N{NO-BREAK SPACE}")
        for name, value in scores.items()
    )
    counts = f"{len(objects.given):,} answers, {len(objects.wanted):,} parcels"
    return MapPicture(
        row.chip, _image(folder, row.chip), float(size[1]), wanted, ignored, given, f"{counts}; {said}"
    )


def _marks(outlines: Sequence[Geometry], size: np.ndarray) -> tuple[Mark, ...]:
    """Rings of outlines in units of the drawing, of many outlines those of the largest."""
    largest = sorted(outlines, key=lambda one: -one.area)[:MOST]
    parts = shapely.get_parts(shapely.simplify(largest, DETAIL)) if largest else []
    rings = shapely.get_rings(parts)
    return tuple(Mark(_points(shapely.get_coordinates(ring)[:-1] * size)) for ring in rings)


def _points(corners: np.ndarray) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in corners.tolist())


def _image(folder: Path, name: str) -> str | None:
    try:
        path = path_inside(folder, f"{name}.jpg")
    except DataError:
        return None
    if not path.is_file():
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"

"""From the answers of tiles to features of the map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, NamedTuple

import shapely
from shapely import Geometry

from agrilape.evaluate.calibrator import UNCALIBRATED, Calibrator
from agrilape.evaluate.predictions import Prediction
from agrilape.geo.shapes import Box, Instant, Polygon, Span
from agrilape.geo.timewindow import TimeWindow
from agrilape.serve.geofile import Feature
from agrilape.serve.suppression import suppress
from agrilape.serve.tile_merge import MergedObject, TileObject, merge
from agrilape.serve.tiles import Tiles
from agrilape.sources.scene import PixelWindow

SMALLEST = 4.0
"""Area in pixels below which an outline is a slip of the pen."""


class Found(NamedTuple):
    """The features of an answer.

    Attributes:
        features: Those that are sure enough, with `confidence`, and `area_ha` or `answer`.
        unsure: Number of those that are not.
        ground_ha: Area of all of them together, on which ground counts once; None without a place on the map.
        ground_px: The same in pixels.
    """

    features: list[Feature]
    unsure: int
    ground_ha: float | None
    ground_px: float = 0.0

    @property
    def ground(self) -> str:
        """Area of all of them together, in words."""
        return f"{self.ground_px:,.0f} px" if self.ground_ha is None else f"{self.ground_ha:.2f} ha"


def features_of(
    rows: Sequence[Prediction],
    tiles: Tiles,
    facts: dict[str, Any],
    calibrator: Calibrator = UNCALIBRATED,
    least: float = 0.0,
) -> Found:
    """Features of the answers: objects joined over the tiles, or else the tiles with what was said of them.

    Args:
        rows: One answer per tile.
        tiles: The tiles.
        facts: Properties of every feature.
        calibrator: What confidences mean, for the model that answered.
        least: Least confidence of a feature.
    """
    rows = calibrated(rows, calibrator)
    objects, unsure = objects_of(rows, tiles, least)
    if not objects and not unsure:
        said = [row for row in rows if answer_in_words(row)]
        sure = [row for row in said if certainty_of(row) >= least]
        return Found([_tile(row, tiles, facts) for row in sure], len(said) - len(sure), 0.0)
    features = [
        _object(f"{tiles.scene.id}-{number:04d}", one, tiles, facts) for number, one in enumerate(objects, 1)
    ]
    ground = shapely.union_all([one.outline for one in objects])
    return Found(features, unsure, _hectares(ground, tiles), float(ground.area))


def calibrated(rows: Sequence[Prediction], calibrator: Calibrator) -> list[Prediction]:
    """Answers with what their confidences mean."""
    return [replace(row, confidence=tuple(calibrator(row.task, row.confidence))) for row in rows]


def objects_of(
    rows: Sequence[Prediction], tiles: Tiles, least: float = 0.0
) -> tuple[list[MergedObject], int]:
    """The objects of the whole scene, in its pixels, that the answers of its tiles make.

    Args:
        rows: One answer per tile, calibrated.
        tiles: The tiles.
        least: Least confidence of an object.

    Returns:
        Those that are sure enough, and the number of those that are not.
    """
    pieces = [piece for row in rows for piece in pieces_of(row, tiles.windows[int(row.chip)])]
    wholes = merge(pieces, asked=tiles.windows) if pieces else []
    sure = [whole for whole in wholes if whole.confidence >= least]
    kept = suppress(sure, tiles.scene.width * tiles.scene.height) if sure else []
    return kept, len(wholes) - len(sure)


def determination(day: date | None, details: str) -> dict[str, str]:
    """Where outlines come from, in the words of fiboa 0.3.

    Args:
        day: When the ground was last seen.
        details: What found them.
    """
    seen = {"determination:datetime": f"{day.isoformat()}T00:00:00Z"} if day else {}
    return {"determination:method": "auto-imagery", **seen, "determination:details": details}


def pieces_of(row: Prediction, window: PixelWindow) -> Iterator[TileObject]:
    """The outlines of an answer in pixels of the scene, cut at the tile's edges."""
    left, top, width, height = window
    view = shapely.box(left, top, left + width, top + height)
    shapes = [part for part in row.prediction if not isinstance(part, str)]
    for part, confidence in zip(shapes, row.confidence or (1.0,) * len(shapes), strict=False):
        if isinstance(part, Box):
            outline: Geometry = shapely.box(*part)
        elif isinstance(part, Polygon):
            outline = shapely.make_valid(shapely.Polygon(part.points))
        else:
            continue
        outline = shapely.transform(outline, lambda xy: xy * (width, height) + (left, top))
        outline = shapely.intersection(outline, view)
        if outline.area >= SMALLEST:
            yield TileObject(outline, window, confidence)


def _object(name: str, whole: MergedObject, tiles: Tiles, facts: dict[str, Any]) -> Feature:
    outline, hectares = tiles.on_map(whole.outline), _hectares(whole.outline, tiles)
    crop = {"crop:name": tiles.question.crop} if tiles.question.crop else {}
    area = {"area_px": round(float(whole.outline.area), 1)}
    if hectares is not None:
        area = {"metrics:area": round(hectares * 10_000, 1), "area_ha": round(hectares, 4)}
    sure = {"confidence": round(whole.confidence, 3)}
    return Feature(name, outline, {**facts, **crop, **area, **sure, "tiles": whole.tiles})


def _tile(row: Prediction, tiles: Tiles, facts: dict[str, Any]) -> Feature:
    """A tile's ground with what was said of it."""
    left, top, width, height = tiles.windows[int(row.chip)]
    outline = tiles.on_map(shapely.box(left, top, left + width, top + height))
    name = f"{tiles.scene.id}-tile-{int(row.chip) + 1:04d}"
    sure = {"confidence": round(certainty_of(row), 3)}
    return Feature(name, outline, {**facts, "answer": answer_in_words(row), **sure})


def _hectares(outline: Geometry, tiles: Tiles) -> float | None:
    """Area on the ground of an outline in pixels; None without a place on the map."""
    grid = tiles.scene.georeference
    if grid is None or outline.is_empty:
        return None if grid is None else 0.0
    return grid.area_ha(grid.from_pixels(outline))


def certainty_of(row: Prediction) -> float:
    """Confidence of an answer as a whole: of several dates, that of the least sure."""
    return min(row.confidence, default=1.0)


def answer_in_words(row: Prediction) -> str:
    """The answer without places, dates as such."""
    said = []
    for part in row.prediction:
        if isinstance(part, str):
            said.append(part.strip())
        elif isinstance(part, Instant | Span) and row.window:
            said.append(_dates(part, row.window))
    return " ".join(filter(None, said))


def _dates(part: Instant | Span, window: TimeWindow) -> str:
    """A date or an interval in ISO 8601."""
    return "/".join(window.date_at(t).isoformat() for t in part)

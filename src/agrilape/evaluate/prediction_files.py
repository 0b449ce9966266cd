"""Predictions in the formats of other tools: COCO results, GeoJSON and GeoParquet with fiboa names, CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import geopandas
import shapely
from shapely.geometry import shape

from agrilape import __version__
from agrilape.errors import DataError, RecipeError, did_you_mean
from agrilape.evaluate.answer_arrays import Rows, is_readable
from agrilape.evaluate.predictions import Prediction, read_rows, shapes, words
from agrilape.evaluate.scores import answer_quality
from agrilape.files import whole_file, write_text
from agrilape.geo.georeference import SQUARE_METRES_PER_HECTARE, Georeference
from agrilape.geo.shapes import Box, Part, Polygon
from agrilape.io.fiboa import collection_metadata, write_geoparquet

Json: TypeAlias = dict[str, Any]
NOMINAL_SIDE = 1000
"""Width and height that COCO is told of an image without georeference, whose size in pixels is not kept."""


def export_run(run: Path, style: str, output: Path | None = None) -> list[Path]:
    """Write the predictions of a run for another tool.

    Args:
        run: Run folder, or a `predictions.jsonl`.
        style: One of `FORMATS`.
        output: The file; by default beside the predictions.

    Returns:
        The files written; COCO's are two, results and the truth to score them with.

    Raises:
        RecipeError: The format is unknown.
        DataError: The predictions are missing or damaged, or hold nothing for the format.
    """
    if style not in FORMATS:
        hint = did_you_mean(style, (*FORMATS, "lmms"), f"use one of {', '.join(FORMATS)}, lmms")
        raise RecipeError(f"there is no export format '{style}'", hint)
    source = run / "evaluation" / "predictions.jsonl" if run.is_dir() else run
    suffix, write = FORMATS[style]
    path = output or source.with_suffix(suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(read_rows(source), path)


def coco(rows: Rows) -> tuple[list[Json], Json]:
    """COCO results and annotations of the answers with boxes.

    What is true depends on the question, so every sample is an image of its own (`file_name` is its chip and
    `sample` its id), and every task a category. Boxes are in pixels of the chip; answers have no confidence,
    so every score is 1 and AP is that of unranked detections.
    """
    asked = [row for row in rows if shapes(row.answer, Box)]
    categories = {task: number for number, task in enumerate(sorted({row.task for row in asked}), start=1)}
    images: list[Json] = []
    annotations: list[Json] = []
    results: list[Json] = []
    for number, row in enumerate(asked, start=1):
        width, height = _size(row)
        images.append(
            {"id": number, "file_name": row.chip, "sample": row.id, "width": width, "height": height}
        )
        place = {"image_id": number, "category_id": categories[row.task]}
        for box in _coco_boxes(row.answer, width, height):
            area = box[2] * box[3]
            annotations.append({"id": len(annotations) + 1, **place, "bbox": box, "area": area, "iscrowd": 0})
        results += [
            {**place, "bbox": box, "score": 1.0} for box in _coco_boxes(row.prediction, width, height)
        ]
    names = [{"id": number, "name": task} for task, number in categories.items()]
    return results, {"images": images, "annotations": annotations, "categories": names}


def features(rows: Rows) -> Iterator[Json]:
    """Predicted boxes and outlines as GeoJSON features (WGS 84), with fiboa 0.3 property names.

    `crop:name` is the crop that the question names, if it does; `metrics:area` is in square metres on the
    ellipsoid; `answer_quality` says how well the answer met the truth.
    """
    for row in rows:
        if row.georeference is None:
            continue
        crop = str(row.truth.get("crop"))
        for number, outline in enumerate(_outlines(row.prediction, row.georeference)):
            hectares = row.georeference.area_ha(outline)
            yield {
                "type": "Feature",
                "id": f"{row.id}/{number}",
                "geometry": row.georeference.to_geojson(outline),
                "properties": {
                    "collection": row.source,
                    "determination:method": "auto-imagery",
                    "determination:details": f"agrilape {__version__}, task {row.task}",
                    "metrics:area": round(hectares * SQUARE_METRES_PER_HECTARE, 1),
                    "crop:name": crop if crop in words(row.question) else None,
                    "task": row.task,
                    "sample": row.id,
                    "question": words(row.question),
                    "agreement": round(answer_quality(row), 4),
                },
            }


def table(rows: Rows) -> Iterator[Json]:
    """One flat record per sample, with the place of its chip in degrees."""
    for row in rows:
        longitude, latitude = row.georeference.centre_wgs84() if row.georeference else (None, None)
        yield {
            "id": row.id,
            "source": row.source,
            "scene": row.scene,
            "chip": row.chip,
            "task": row.task,
            "question": words(row.question),
            "answer": words(row.answer),
            "prediction": words(row.prediction),
            "prediction_text": row.prediction_text,
            "readable": is_readable(row),
            "agreement": round(answer_quality(row), 4),
            "crop": row.truth.get("crop"),
            "size": row.truth.get("size"),
            "longitude": longitude,
            "latitude": latitude,
        }


def _write_coco(rows: Rows, path: Path) -> list[Path]:
    results, truth = coco(rows)
    if not truth["images"]:
        raise DataError("no answer is a box", "export these predictions as csv")
    beside = path.with_name(f"{path.stem}-truth.json")
    write_text(path, json.dumps(results))
    write_text(beside, json.dumps(truth))
    return [path, beside]


def _write_geojson(rows: Rows, path: Path) -> list[Path]:
    found = _some(features(rows))
    schemas = collection_metadata(feature["properties"]["collection"] for feature in found)
    write_text(
        path, json.dumps({"type": "FeatureCollection", **schemas, "features": found}, ensure_ascii=False)
    )
    return [path]


def _write_geoparquet(rows: Rows, path: Path) -> list[Path]:
    found = _some(features(rows))
    columns = [{"id": feature["id"], **feature["properties"]} for feature in found]
    geometry = [shape(feature["geometry"]) for feature in found]
    with whole_file(path) as draft:
        write_geoparquet(geopandas.GeoDataFrame(columns, geometry=geometry, crs="OGC:CRS84"), draft)
    return [path]


def _write_csv(rows: Rows, path: Path) -> list[Path]:
    records = list(table(rows))
    if not records:
        raise DataError("there are no predictions", "run `agrilape evaluate` first")
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _plain_cell(value) for key, value in record.items()} for record in records)
    write_text(path, stream.getvalue())
    return [path]


def _plain_cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: a text that begins like one gets an apostrophe."""
    return (
        f"'{value}"
        if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
        else value
    )


FORMATS: Mapping[str, tuple[str, Callable[[Sequence[Prediction], Path], list[Path]]]] = {
    "coco": (".coco.json", _write_coco),
    "geojson": (".geojson", _write_geojson),
    "geoparquet": (".parquet", _write_geoparquet),
    "csv": (".csv", _write_csv),
}
"""Suffix and writer of each format."""


def _size(row: Prediction) -> tuple[int, int]:
    ground = row.georeference
    return (ground.width, ground.height) if ground else (NOMINAL_SIDE, NOMINAL_SIDE)


def _coco_boxes(parts: Iterable[Part], width: int, height: int) -> list[list[float]]:
    """Left, top, width and height in pixels; a reversed or empty box is none."""
    return [
        [box.left * width, box.top * height, (box.right - box.left) * width, (box.bottom - box.top) * height]
        for box in shapes(parts, Box)
        if _has_area(box)
    ]


def _has_area(box: Box) -> bool:
    """Is a box neither reversed nor empty?"""
    return box.right > box.left and box.bottom > box.top


def _outlines(parts: Iterable[Part], ground: Georeference) -> Iterator[shapely.Geometry]:
    """The places of an answer on the map; what has no area is skipped."""
    for part in parts:
        if isinstance(part, Box) and not _has_area(part):
            continue
        if isinstance(part, Box):
            outline = ground.box_to_map(part)
        elif isinstance(part, Polygon):
            outline = shapely.make_valid(ground.outline_to_map(part))
        else:
            continue
        if outline.area > 0:
            yield outline


def _some(found: Iterable[Json]) -> list[Json]:
    """All features.

    Raises:
        DataError: There is none.
    """
    listed = list(found)
    if not listed:
        raise DataError(
            "no prediction is a place on the map",
            "evaluate a task with boxes or outlines on georeferenced images, or export as csv",
        )
    return listed

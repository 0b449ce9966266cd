"""Answers as clients get them."""

from __future__ import annotations

from typing import Any

from agrilape.evaluate.predictions import Prediction
from agrilape.serve.asking import AskedImage
from agrilape.serve.geofile import geojson


def answer_json(asked: AskedImage, rows: list[Prediction]) -> dict[str, Any]:
    """Answers of tiles as GeoJSON, with what was asked, the answer in a sentence, and what was decided."""
    found = asked.found(rows)
    return {
        **geojson(found.features, asked.tiles.georeference),
        "question": asked.tiles.question.text(asked.tiles.taught.language),
        "summary": asked.summary(found, rows),
        "notes": list(asked.notes),
        "doubts": list(asked.doubts),
    }

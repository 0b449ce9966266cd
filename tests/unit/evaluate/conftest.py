"""Rows and chips made on the spot."""

import io
from datetime import date

import numpy as np
import pytest
from affine import Affine
from PIL import Image

from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.evaluate.predictions import Prediction
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Box, Instant, Point, Span
from agrilape.geo.timewindow import TimeWindow

SEASON = TimeWindow(date(2021, 1, 1), date(2021, 12, 31))
GROUND = Georeference("EPSG:32632", Affine(10, 0, 500_000, 0, -10, 5_500_000), 100, 50)


def row(task, answer, prediction, *, id="1", scene="a", **facts):
    return Prediction(
        id=id, chip=f"{scene}/chip", scene=scene, source=facts.pop("source", "simulate"), task=task,
        question=facts.pop("question", ("?",)), answer=tuple(answer), prediction=tuple(prediction),
        prediction_text=facts.pop("text", ""), truth=facts.pop("truth", {}), **facts,
    )  # fmt: skip


@pytest.fixture
def make_row():
    return row


def picture(seed=0, side=32):
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return Picture(stream.getvalue())


def example(number, scene="a"):
    """A chip with a question of each kind."""
    x = 0.1 + 0.05 * number
    chip = Chip(f"c{number}", scene, "simulate", (picture(number),), GROUND, SEASON)
    answers = {
        "field_at_point": (("Which field is at ", Point(x + 0.1, 0.5), "?"), (Box(x, 0.4, x + 0.2, 0.6),)),
        "crop_in_box": (("What grows in ", Box(x, 0.4, x + 0.2, 0.6), "?"), (("maize", "oats")[number % 2],)),
        "peak_of_season": (("When is it greenest?",), (Instant(0.4 + 0.01 * number),)),
        "growing_season": (("When is it green?",), (Span(0.3, 0.5 + 0.01 * number),)),
    }
    samples = [
        Sample(f"{chip.id}/{task}/0", chip.id, task, *texts, {"crop": "maize", "size": "small"})
        for task, texts in answers.items()
    ]
    return Example(chip, tuple(samples))


@pytest.fixture
def examples():
    return [example(number, scene="ab"[number % 2]) for number in range(6)]

import json

import numpy as np
import pytest
from affine import Affine

from agrilape.errors import DataError
from agrilape.evaluate.predictions import Prediction, read_rows, words
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Box, Instant, Point, Polygon, Span

from .conftest import GROUND, SEASON


@pytest.fixture
def full_row(make_row):
    answer = ("at ", Box(0.1, 0.2, 0.3, 0.4), Span(0.1, 0.2))
    outline = Polygon((Point(0, 0), Point(1, 0), Point(1, 1)))
    return make_row(
        "crop_box", answer, (outline, Instant(0.5), "maize"), text="[...", problems=("cut",),
        truth={"crop": "maize"}, georeference=GROUND, window=SEASON,
    )  # fmt: skip


def test_rows_survive_the_file(full_row, tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text(json.dumps(full_row.to_json()) + "\n")
    assert read_rows(path) == [full_row]


def test_rows_say_what_readers_need(full_row):
    found = full_row.to_json()
    assert found["gsd_m"] == pytest.approx(10, rel=1e-3)
    assert found["ground_m"] == pytest.approx((1000, 500), rel=1e-3)
    assert found["answer_text"] == "at [0.100, 0.200, 0.300, 0.400][0.100, 0.200]"


def test_ground_size_of_geographic_pixels():
    """At 60 degrees north a degree of longitude is half as long as one of latitude."""
    width, height = Georeference("EPSG:4326", Affine(1e-4, 0, 10, 0, -1e-4, 60), 100, 100).ground_m
    assert width / height == pytest.approx(0.5, abs=0.01)
    assert np.hypot(width, height) > 1000


def test_words_of_shapes():
    assert words((Point(0.5, 0.25), " and ", Instant(1))) == "[0.500, 0.250] and [1.000]"


def test_damaged_files_are_refused_with_the_line(full_row, tmp_path):
    path = tmp_path / "predictions.jsonl"
    good = json.dumps(full_row.to_json())
    for bad, problem in [(good[:50], "line 2"), ('{"id": "x"}', "line 2"), (good, "two predictions")]:
        path.write_text(f"{good}\n{bad}\n")
        with pytest.raises(DataError, match=problem):
            read_rows(path)
    with pytest.raises(DataError, match="not there"):
        read_rows(tmp_path / "nothing.jsonl")


def test_a_prediction_of_a_sample(examples):
    example = examples[0]
    made = Prediction.of(example.chip, example.samples[0], (Box(0, 0, 1, 1),))
    assert (made.id, made.scene, made.prediction_text) == (
        "c0/field_at_point/0",
        "a",
        "[0.000, 0.000, 1.000, 1.000]",
    )

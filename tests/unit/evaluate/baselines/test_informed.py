"""Fields whose colours say their crop and season, on a few dates each."""

import io
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from PIL import Image

from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.evaluate.baselines.informed import BASELINES, fit, guess, rehearse
from agrilape.evaluate.summary import choose_baselines
from agrilape.geo.shapes import Box, Instant, Point, Span
from agrilape.geo.timewindow import TimeWindow

YEAR = TimeWindow(date(2021, 1, 1), date(2021, 12, 31))
SEASONS = {"wheat": (0.25, 0.45), "maize": (0.45, 0.7)}


def shown(day, start, end, rng):
    """A field that is green between two times, seen on a day."""
    t = YEAR.position(day)
    rise, fall = (1 / (1 + np.exp(-(t - edge) / 0.03)) for edge in (start, end))
    colour = np.array([130, 110, 90]) + (rise - fall) * np.array([-80, 30, -40])
    pixels = np.full((16, 16, 3), (60, 60, 60.0))
    pixels[2:14, 2:14] = colour
    stream = io.BytesIO()
    Image.fromarray((pixels + rng.normal(0, 1, pixels.shape)).clip(0, 255).astype(np.uint8)).save(
        stream, "PNG"
    )
    return Picture(stream.getvalue(), day)


def example(number):
    rng = np.random.default_rng(number)
    crop = ("wheat", "maize")[number % 2]
    start, end = (edge + 0.04 * rng.uniform(-1, 1) for edge in SEASONS[crop])
    days = [YEAR.start + timedelta(int(day)) for day in np.linspace(40, 320, 6) + rng.integers(-15, 15, 6)]
    pictures = tuple(shown(day, start, end, rng) for day in days)
    chip = Chip(f"c{number}", f"scene_{number // 10}", "own", pictures, window=YEAR)
    point = Point(0.5, 0.5)
    answers = {
        "peak_of_season": (Instant((start + end) / 2),),
        "growing_season": (Span(start, end),),
        "field_and_season": (Box(0.125, 0.125, 0.875, 0.875), Span(start, end)),
        "crop_at_point": (crop,),
        "count": ("1",),
    }
    samples = [
        Sample(f"{chip.id}/{task}/0", chip.id, task, ("At ", point, "?"), answer, {"crop": crop})
        for task, answer in answers.items()
    ]
    return Example(chip, tuple(samples))


@pytest.fixture(scope="module")
def train():
    return fit(example(number) for number in range(60))


TEST = [example(number) for number in range(100, 120)]


@pytest.fixture(scope="module")
def rows(train):
    return guess(train, TEST)


def errors(rows, name):
    found = [row for row in rows[name] if row and row.task == "peak_of_season"]
    assert len(found) == len(TEST)
    return float(np.mean([abs(row.prediction[0].t - row.answer[0].t) for row in found])) * YEAR.days


def test_every_baseline_finds_the_peak_by_what_it_sees(rows):
    mean_date = np.std([0.35, 0.575]) * YEAR.days  # what a guess that sees nothing is off
    assert errors(rows, "trees") < 10
    assert errors(rows, "double_logistic") < 12
    assert errors(rows, "crop_calendar") < 10
    assert errors(rows, "parabola") < errors(rows, "greenest_image") < mean_date


def test_answers_have_the_form_of_the_task(rows):
    found = {row.task: row.prediction for row in rows["trees"] if row}
    assert set(found) == {"peak_of_season", "growing_season", "field_and_season", "crop_at_point"}
    box, span = found["field_and_season"]
    assert box == pytest.approx(Box(0.125, 0.125, 0.875, 0.875))
    assert isinstance(span, Span)
    names = [row for row in rows["trees"] if row and row.task == "crop_at_point"]
    assert all(row.prediction == row.answer for row in names)
    assert all(row is None or row.task != "crop_at_point" for row in rows["parabola"])


def test_rows_stand_in_the_order_of_the_samples(rows):
    order = [sample.id for one in TEST for sample in one.samples]
    assert set(rows) == set(BASELINES)
    for given in rows.values():
        assert [row.id if row else name for row, name in zip(given, order, strict=True)] == order


def test_no_informed_baseline_looks_at_the_answer(train, rows):
    other = [
        Example(one.chip, tuple(replace(s, answer=(Instant(0.0),)) for s in one.samples[:1])) for one in TEST
    ]
    for name, given in guess(train, other).items():
        before = [row.prediction for row in rows[name] if row and row.task == "peak_of_season"]
        assert [row.prediction for row in given if row] == before


def test_the_one_to_compare_with_is_told_nothing_and_answers_for_other_scenes(train):
    tried = rehearse(train)
    assert "crop_calendar" not in tried
    assert choose_baselines(tried)["peak_of_season"] in {"trees", "double_logistic"}
    fitted = guess(train, [example(number) for number in range(60)])
    assert errors_of(tried["trees"]) > errors_of(fitted["trees"])


def errors_of(rows):
    found = [row for row in rows if row and row.task == "peak_of_season"]
    return float(np.mean([abs(row.prediction[0].t - row.answer[0].t) for row in found]))


def test_a_crop_that_was_not_trained_on_has_the_date_of_all(train):
    one = example(3)
    strange = Example(one.chip, tuple(replace(sample, truth={"crop": "hemp"}) for sample in one.samples))
    (found,) = [
        row for row in guess(train, [strange])["crop_calendar"] if row and row.task == "peak_of_season"
    ]
    assert found.prediction[0].t == pytest.approx(np.median([s.answer[0].t for s in peaks()]))


def peaks():
    return [s for number in range(60) for s in example(number).samples if s.task == "peak_of_season"]


def test_one_scene_or_one_name_leaves_trees_silent():
    alone = fit([example(number) for number in (0, 2, 4)])
    assert all(row is None for row in rehearse(alone)["trees"])
    names = [row for row in guess(alone, TEST)["trees"] if row and row.task == "crop_at_point"]
    assert names == []


def test_a_series_that_does_not_show_the_season_gets_the_mean(train):
    one = example(5)
    short = Example(Chip(one.chip.id, "s", "own", one.chip.pictures[:1], window=YEAR), one.samples)
    (found,) = [
        row for row in guess(train, [short])["double_logistic"] if row and row.task == "peak_of_season"
    ]
    assert found.prediction[0].t == pytest.approx(np.mean([s.answer[0].t for s in peaks()]))

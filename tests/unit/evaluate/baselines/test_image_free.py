import dataclasses
from datetime import date

import pytest

from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.evaluate.baselines.image_free import BASELINES, fit, guess
from agrilape.geo.shapes import Box, Instant, Point, Polygon, Span


@pytest.fixture
def known(examples):
    return fit(examples)


def answer(known, name, example, task):
    sample = next(sample for sample in example.samples if sample.task == task)
    made = guess(known, name, example.chip, sample)
    return made and made.prediction


def test_boxes(known, examples):
    assert answer(known, "centre_box", examples[0], "field_at_point") == (Box(0.25, 0.25, 0.75, 0.75),)
    mean = answer(known, "mean_box", examples[0], "field_at_point")[0]
    assert mean == pytest.approx((0.225, 0.4, 0.425, 0.6))
    at_point = answer(known, "mean_box_at_point", examples[0], "field_at_point")[0]
    assert at_point == pytest.approx((0.1, 0.4, 0.3, 0.6))


def test_the_whole_chip_is_among_the_guesses(known, examples):
    """Answers that cover everything score on large fields; the model is compared with just that."""
    assert answer(known, "whole_chip", examples[0], "field_at_point") == (Box(0, 0, 1, 1),)
    assert answer(known, "whole_chip", examples[0], "peak_of_season") is None


def asked(known_answer):
    """What each baseline answers to a question of which one true answer is known."""
    sample = Sample("c/own/0", "c", "own", ("?",), known_answer)
    chip = Chip("c", "a", "simulate", ())
    known = fit([Example(chip, (sample,))])
    rows = {name: guess(known, name, chip, sample) for name in BASELINES}
    return {name: row.prediction for name, row in rows.items() if row}


def test_guesses_have_the_form_of_the_answers():
    triangle = Polygon((Point(0.2, 0.3), Point(0.6, 0.3), Point(0.2, 0.7)))
    found = asked((triangle,))
    assert found["mean_box"][0].points == ((0.2, 0.3), (0.6, 0.3), (0.6, 0.7), (0.2, 0.7))
    tube = asked((Box(0.2, 0.3, 0.6, 0.7), Span(0.1, 0.5)))
    assert tube["whole_chip"] == (Box(0, 0, 1, 1), Span(0.1, 0.5))
    assert "mean_date" not in tube
    assert asked(("3.5 hectares",))["median_number"] == ("3.5",)
    assert "median_number" not in asked(("maize",))


def test_words_and_times(known, examples):
    assert answer(known, "majority", examples[1], "crop_in_box") == (
        "maize",
    )  # a tie: the first in the alphabet
    assert answer(known, "mean_date", examples[0], "peak_of_season")[0].t == pytest.approx(0.425)
    assert answer(known, "mean_date", examples[0], "growing_season")[0] == pytest.approx(Span(0.3, 0.525))


def test_nearest_date_is_an_acquisition(known, examples):
    dated = [Picture(b"", date(2021, month, 1)) for month in (2, 6, 9)]
    chip = dataclasses.replace(examples[0].chip, pictures=tuple(dated))
    example = dataclasses.replace(examples[0], chip=chip)
    assert answer(known, "nearest_date", example, "peak_of_season") == (Instant(151 / 364),)
    assert answer(known, "nearest_date", examples[0], "peak_of_season") is None


def test_random_is_repeatable_and_drawn_from_training(known, examples):
    drawn = {answer(known, "random", example, "crop_in_box") for example in examples}
    assert drawn <= {("maize",), ("oats",)}
    assert answer(known, "random", examples[2], "crop_in_box") == answer(
        known, "random", examples[2], "crop_in_box"
    )


def test_no_baseline_looks_at_the_answer_or_the_image(known, examples):
    """The same guess, whatever the truth and the pixels are."""
    for name in BASELINES:
        for sample in examples[0].samples:
            blind = dataclasses.replace(examples[0].chip, pictures=(Picture(b"not an image"),))
            other = dataclasses.replace(sample, answer=("nothing",), truth={})
            made, again = guess(known, name, examples[0].chip, sample), guess(known, name, blind, other)
            assert (made and made.prediction) == (again and again.prediction)


def test_what_does_not_fit_is_left_out(known, examples):
    assert answer(known, "centre_box", examples[0], "crop_in_box") is None
    assert answer(known, "mean_box_at_point", examples[0], "peak_of_season") is None
    assert answer({}, "random", examples[0], "peak_of_season") is None

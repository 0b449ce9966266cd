from datetime import date
from io import BytesIO

import pytest
from PIL import Image

from agrilape.dataset.training_data import TaughtWith
from agrilape.dataset.types import Chip, Picture
from agrilape.errors import DataError
from agrilape.geo.shapes import Box, Instant, Point, Span
from agrilape.geo.timewindow import TimeWindow
from agrilape.serve.question import understand, verbatim
from agrilape.serve.training_questions import Training

HERE = "9.26536, 56.33507"


def chip(window=None):
    stream = BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG")
    return Chip("0", "scene", "test", (Picture(stream.getvalue()),), window=window)


def taught(crops=(), **tasks):
    return Training((TaughtWith(name="stills", tasks=tasks, chip=128, crops=dict.fromkeys(crops, 1)),))


@pytest.mark.parametrize(
    "text", ["where are the maize fields?", "Where are the maize fields", " WHERE ARE the maize fields ?"]
)
def test_a_trained_wording_is_recognised_whatever_its_case_and_punctuation(text):
    asked = understand(text)
    assert (asked.text(), asked.task, asked.crop) == ("Where are the maize fields?", "crop_boxes", "maize")


def test_the_model_is_asked_in_the_words_and_the_language_of_its_training():
    asked = understand("Zeig mir die Maisfelder")
    assert asked.parts("en", [], chip()) == ("Where are the maize fields?",)
    assert asked.parts("de", [], chip()) == ("Wo sind die Felder mit Mais?",)
    assert understand("Locate all corn fields.").parts("en", [], chip()) == ("Locate all maize fields.",)


def test_a_place_becomes_a_point_of_the_tile():
    asked = understand("which field is at 12.345, -55.5?")
    assert [(place.first, place.second) for place in asked.places] == [(12.345, -55.5)]
    assert asked.parts("en", [Point(0.5, 0.25)], chip()) == ("Which field is at ", Point(0.5, 0.25), "?")


def test_two_places_are_compared_or_span_a_box():
    points = [Point(0.5, 0.25), Point(0.25, 0.75)]
    compared = understand("which is larger, the field at 9.1, 56.3 or the one at 9.2, 56.4?")
    assert [part for part in compared.parts("en", points, chip()) if part in points] == points
    within = understand("What grows in the region 9.1, 56.3; 9.2, 56.4?")
    assert within.parts("en", points, chip())[1] == Box(0.25, 0.25, 0.5, 0.75)


def test_parts_of_the_image_and_directions_are_put_in_the_language_of_the_training():
    assert understand("what grows in the upper left corner?").parts("de", [], chip()) == (
        "Was wächst hier: links oben?",
    )
    question = understand(f"What grows on the next field north-east of the field at {HERE}?")
    assert "north east" in question.parts("en", [Point(0.5, 0.5)], chip())[0]


def test_dates_of_a_question_are_fractions_of_the_calendar():
    window = TimeWindow(date(2022, 1, 1), date(2022, 12, 31))
    asked = understand(f"What is the BBCH growth stage at {HERE} on 2 July 2022?")
    assert Instant(0.5) == asked.parts("en", [Point(0.5, 0.5)], chip(window))[3]
    asked = understand(f"Do two crops follow each other at {HERE}?")
    assert Span(0.0, 1.0) in asked.parts("en", [Point(0.5, 0.5)], chip(window))
    asked = understand(f"What is the BBCH growth stage at {HERE} on 2021-07-02?")
    with pytest.raises(DataError, match="2022-01-01 to 2022-12-31"):
        asked.parts("en", [Point(0.5, 0.5)], chip(window))


@pytest.mark.parametrize(
    ("text", "expected"),
    [(f"When is the field at {HERE} greenest?", True), ("Where are the fields?", False)],
)
def test_questions_about_time_ask_for_the_series(text, expected):
    assert understand(text).about_time is expected


def test_a_day_says_which_image_is_meant():
    assert understand("Where are the fields on 27.6.2018?").day == date(2018, 6, 27)
    assert understand("Where are the fields?").day is None


@pytest.mark.parametrize(
    ("text", "total", "form"),
    [
        ("how many fields are there?", "count", "field_boxes"),
        ("how many corn fields?", "count", "crop_boxes"),
        ("how many hectares of maize are there?", "hectares", "crop_boxes"),
        ("Wie viele Hektar haben alle Felder?", "hectares", "field_boxes"),
    ],
)
def test_totals_are_of_what_is_found_on_the_whole_map(text, total, form):
    asked = understand(text).for_model(taught(crop_boxes=1, field_boxes=1, count=1, crop_area=1))
    assert (asked.total, asked.form) == (total, form)


def test_a_model_that_only_counts_is_asked_to_count():
    asked = understand("how many fields are there?").for_model(taught(count=1))
    assert (asked.total, asked.form) == ("count", "count.fields")


def test_the_hectares_of_one_field_are_no_total():
    asked = understand(f"how many hectares has the field at {HERE}?").for_model(taught(field_area=1))
    assert (asked.total, asked.form) == (None, "field_area")


def test_a_model_is_asked_what_it_was_taught():
    training = taught(["winter wheat", "corn"], crop_boxes=1)
    assert understand("Where is the wheat field?").for_model(training).text() == (
        "Where are the winter wheat fields?"
    )
    assert understand("Is there any silage maize?").for_model(training).text() == "Where are the corn fields?"
    with pytest.raises(DataError, match=r"never learnt banana\n.*corn, winter wheat"):
        understand("where are the banana fields?").for_model(training)


def test_a_question_may_be_asked_word_for_word():
    asked = verbatim("  Is there any maize near the river? ")
    assert asked.parts("en", [], chip()) == ("Is there any maize near the river?",)
    assert (asked.task, asked.crop, asked.places) == (None, None, ())


def test_braces_in_a_question_are_only_braces():
    assert verbatim("Where are the {crop} fields?").text() == "Where are the {crop} fields?"

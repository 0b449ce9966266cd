import pytest

from agrilape.dataset.tasks import TASKS
from agrilape.geo.shapes import Point
from agrilape.serve.question import known_questions, understand


@pytest.mark.parametrize(
    "text", ["where are the maize fields?", "Where are the maize fields", " WHERE ARE the maize fields ?"]
)
def test_a_trained_wording_is_recognised_whatever_its_case_and_punctuation(text):
    asked = understand(text)
    assert (asked.text, asked.task, asked.crop) == ("Where are the maize fields?", "crop_boxes", "maize")


def test_crops_of_several_words_are_recognised():
    assert understand("count the winter wheat fields").crop == "winter wheat"


def test_a_fixed_wording_wins_over_one_with_a_blank_to_fill():
    assert understand("how many fields are there?").task == "count"
    assert understand("where are the fields?").task == "field_boxes"


def test_own_words_are_passed_on_as_they_are():
    asked = understand("  Is there any maize near the river? ")
    assert asked.text == "Is there any maize near the river?"
    assert (asked.task, asked.crop) == (None, None)


def test_a_place_becomes_a_point_of_the_tile():
    asked = understand("which field is at 12.345, -55.5?")
    assert asked.place == (12.345, -55.5)
    assert asked.parts(Point(0.5, 0.25)) == ("Which field is at ", Point(0.5, 0.25), "?")


def test_braces_in_a_question_are_only_braces():
    assert understand("Where are the {crop} fields?").text == "Where are the {crop} fields?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("When is the field at 1.5, 2.5 greenest?", True), ("Where are the fields?", False)],
)
def test_questions_about_time_ask_for_the_series(text, expected):
    assert understand(text).about_time is expected


def test_every_trained_wording_is_listed_and_recognised_as_itself():
    for wording in known_questions():
        asked = understand(wording)
        assert asked.text == wording
        assert asked.task in TASKS

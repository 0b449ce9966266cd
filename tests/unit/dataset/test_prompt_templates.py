"""Every language says all that English says, with the same placeholders."""

import dataclasses
import re
import string

import pytest
import shapely

from agrilape.dataset.prompt_templates import languages, load_prompt_templates
from agrilape.dataset.tasks import TASKS
from agrilape.dataset.types import Chip
from agrilape.errors import RecipeError
from agrilape.geo.shapes import Box
from agrilape.prepare.annotations import ChipAnnotations, LabelledPoint, VisibleField

ENGLISH = load_prompt_templates("en")


def placeholders(template):
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_there_is_more_than_one_language():
    assert {"de", "en"} <= set(languages())


@pytest.mark.parametrize("language", languages())
def test_every_form_has_several_wordings_with_the_placeholders_of_english(language):
    forms = load_prompt_templates(language).questions
    assert set(forms) == set(ENGLISH.questions)
    assert {form.split(".")[0] for form in forms} == set(TASKS)
    for form, templates in forms.items():
        assert len(set(templates)) >= 2, form
        wanted = placeholders(ENGLISH.questions[form][0])
        assert all(placeholders(text) == wanted for text in templates), form


@pytest.mark.parametrize("language", languages())
def test_every_word_is_there(language):
    words = load_prompt_templates(language)
    for field in dataclasses.fields(words):
        mine, english = getattr(words, field.name), getattr(ENGLISH, field.name)
        if field.name in {"questions", "crops"}:
            continue
        assert type(mine) is type(english), field.name
        assert len(mine) == len(english) or isinstance(mine, str), field.name
    assert len(set(words.sides)) == len(set(words.compass)) == 8
    assert words.then.strip() != words.then
    assert placeholders(words.absent) == {"crop"}
    assert set(words.metadata) == set(ENGLISH.metadata)
    assert all(placeholders(text) == {"value"} for text in words.metadata.values())


@pytest.mark.parametrize("language", languages())
def test_no_wording_names_a_part_of_the_image_by_itself(language):
    """Turning an image renames the part that a question names, the first time that it stands there."""
    words = load_prompt_templates(language)
    for name in (name for row in words.places for name in row):
        for form, templates in words.questions.items():
            assert not any(re.search(rf"\b{name}\b", text) for text in templates), (name, form)


@pytest.mark.parametrize("language", languages())
def test_a_crop_that_is_not_there_is_asked_for_like_one_that_is(language):
    questions = load_prompt_templates(language).questions
    assert set(questions["absent_crop"]) == set(questions["crop_boxes"])


def test_answers_are_in_the_language_too():
    from tests.unit.prepare.tasks.conftest import questions

    box = Box(0.0, 0.0, 0.5, 0.3)
    view = ChipAnnotations(
        Chip("c", "s", "fake", ()),
        (VisibleField("m", "winter wheat", shapely.box(*box), box, True),),
        (LabelledPoint(box[:2], "land_use", "pasture"),),
        scene_crops=("maize", "winter wheat"),
    )
    tasks = ("crop_in_box", "image_edges", "absent_crop", "land_use_at_point", "crop_present")
    said = {one.task: one.answer for one in questions(view, *tasks, language="de")}
    assert said["crop_in_box"] == ("Winterweizen",)
    assert said["image_edges"] == ("links, oben",)
    assert said["land_use_at_point"] == ("Weide",)
    assert said["absent_crop"][0].startswith("Hier gibt es kein Feld mit ")
    assert load_prompt_templates("de").crop("soybean, then maize") == "Sojabohnen, dann Mais"


def test_a_missing_language_names_those_that_are_there():
    with pytest.raises(RecipeError, match="de, en"):
        load_prompt_templates("xx")

"""Questions in people's own words; `paraphrases/last_look.csv` was written after the matcher was done."""

import csv
import re
from pathlib import Path

import pytest

from agrilape.dataset.prompt_templates import languages, load_prompt_templates
from agrilape.dataset.tasks import TASKS
from agrilape.errors import DataError
from agrilape.serve.question import known_questions, understand

PARAPHRASES = Path(__file__).with_name("paraphrases")
FILLED = {
    "crop": "maize", "point": "9.5012, 55.9134", "other": "9.5075, 55.9101", "instant": "2022-06-17",
    "box": "9.5012, 55.9134; 9.5075, 55.9101", "span": "2022", "first": "2021", "second": "2022",
}  # fmt: skip


def shares_right(name):
    """Share of questions of each language whose form and crop are found."""
    rows = list(csv.DictReader((PARAPHRASES / name).open(encoding="utf-8")))
    return {
        language: sum(map(is_right, of)) / len(of)
        for language in ("en", "de")
        if (of := [row for row in rows if row["language"] == language])
    }


def is_right(row):
    text = re.sub(r"\bP\b", "9.26536, 56.33507", row["question"])
    try:
        asked = understand(re.sub(r"\bQ\b", "9.27, 56.34", text))
    except DataError:
        return row["form"] == "refused"
    wanted = row["form"]
    task = asked.form if "." in wanted else asked.form.split(".")[0]
    return (task, asked.crop or "") == (wanted, row["crop"])


@pytest.mark.parametrize(("name", "least"), [("development.csv", 0.99), ("last_look.csv", 0.85)])
def test_questions_in_own_words_reach_their_task(name, least):
    assert min(shares_right(name).values()) >= least


@pytest.mark.parametrize("language", languages())
def test_every_trained_wording_is_understood_as_itself(language):
    phrasings = load_prompt_templates(language)
    places = {"place": phrasings.places[0][0], "direction": phrasings.compass[1]}
    for form, templates in phrasings.questions.items():
        sided = {"direction": phrasings.places[0][1]} if form.endswith(".image") else {}
        for template in templates:
            asked = understand(template.format(**{**FILLED, **places, **sided}))
            assert template in phrasings.questions[asked.form], template
            assert asked.form == form or TASKS[form].answer == "refusal", template


def test_a_question_that_is_not_understood_is_answered_with_three_that_would_be():
    with pytest.raises(DataError, match="'hello' is not understood") as refused:
        understand("hello")
    proposed = re.findall(r'"([^"]+)"', refused.value.remedy)
    assert len(proposed) == 3
    for question in proposed:
        assert understand(question).form


def test_the_nearest_questions_are_in_the_language_of_the_question_and_about_its_crop():
    with pytest.raises(DataError, match="Mais"):
        understand("Was kostet der Mais?")


def test_several_crops_at_once_are_refused_by_name():
    with pytest.raises(DataError, match="maize, wheat"):
        understand("Where are the corn and wheat fields?")


@pytest.mark.parametrize("text", ["where is Berlin?", "Wo ist Berlin?", "", "?", "12"])
def test_what_names_nothing_of_farmland_is_refused(text):
    with pytest.raises(DataError, match="not understood"):
        understand(text)


def test_a_word_where_a_crop_should_stand_is_taken_for_one():
    assert understand("Where are the xyzzy fields?").crop == "xyzzy"


def test_known_questions_are_listed_by_language():
    assert "Where are the fields?" in known_questions()
    assert "Wo sind die Felder?" in known_questions("de")

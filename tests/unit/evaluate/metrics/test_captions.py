import pytest
import sacrebleu
from hypothesis import example, given
from hypothesis import strategies as st

from agrilape.evaluate.metrics.captions import (
    bleu,
    exact_match,
    find_name,
    find_number,
    normalised,
    rouge_l,
    word_f1,
)

CROPS = ["wheat", "winter wheat", "maize", "oats"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Maize.", "maize"),
        ("Three fields!", "3 fields"),
        ("  -3.5  hectares", "-3.5 hectares"),
        ("Blé d'hiver", "ble d hiver"),
        ("", ""),
    ],
)
def test_normalised(text, expected):
    assert normalised(text) == expected


def test_empty_answers_match_nothing():
    assert not exact_match("", "")
    assert exact_match("A maize field", "maize field.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is winter wheat.", "winter wheat"),
        ("Wheat", "wheat"),
        ("maize or oats", None),
        ("wheat and winter wheat", None),
        ("rye", None),
        ("buckwheat", None),
    ],
)
def test_name_is_read_or_left_unread(text, expected):
    assert find_name(text, CROPS) == expected


def test_nothing_is_settled_by_chance():
    """The published fault: an unreadable choice was answered by `random.choice`."""
    assert {find_name("maybe maize, maybe oats", CROPS) for _ in range(100)} == {None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There are 3.", 3),
        ("three, so 3", 3),
        ("2 or 3", None),
        ("none", None),
        ("0", 0),
        ("about 4.5 ha", 4.5),
    ],
)
def test_number_is_read_or_left_unread(text, expected):
    assert find_number(text) == expected


@given(st.text())
@example("𝕬")
@example("İ")
def test_any_text_can_be_read(text):
    find_number(text)
    assert find_name(text, CROPS) in {*CROPS, None}
    assert normalised(normalised(text)) == normalised(text)


def test_words_in_common():
    assert word_f1("The maize field.", "a maize field by the road") == pytest.approx(2 * 2 / (2 + 4))
    assert word_f1("", "maize") == word_f1("oats", "maize") == 0


def test_captions():
    references = [
        ["the green maize field lies north of the long road", "a maize field"],
        ["two small fields of oats"],
    ]
    perfect = [refs[0] for refs in references]
    assert bleu(perfect, references) == pytest.approx(1)
    assert rouge_l(perfect, references) == pytest.approx(1)
    mixed = ["the maize field lies north of the road", "two fields of oats or rye"]
    columns = [[references[0][0], references[1][0]], [references[0][1], None]]
    assert 100 * bleu(mixed, references) == pytest.approx(sacrebleu.corpus_bleu(mixed, columns).score)
    assert bleu(["a dog", "a cat"], references) < 0.1
    assert rouge_l(["maize field", "oats"], references) < 1

import pytest

from agrilape.errors import DataError
from agrilape.serve.crop_lexicon import crop_lexicon
from agrilape.serve.vocabulary import tokens

NANO = ["winter wheat", "winter barley", "rapeseed", "maize", "sugar beet"]


@pytest.mark.parametrize(
    ("text", "crop"),
    [
        ("corn", "maize"), ("Mais", "maize"), ("Maisfelder", "maize"), ("cornfields", "maize"),
        ("maze", "maize"),
        ("silage maize", "silage maize"), ("Körnermais", "grain maize"), ("Koernermais", "grain maize"),
        ("canola", "rapeseed"), ("rape", "rapeseed"), ("oilseed rape", "rapeseed"),
        ("Rapsschläge", "rapeseed"),
        ("Zuckerrübenfelder", "sugar beet"), ("sugar beets", "sugar beet"), ("Kartoffeläcker", "potato"),
        ("green_silo_maize", "silage maize"), ("winter_common_soft_wheat", "winter wheat"),
        ("soy", "soybean"), ("Sonnenblumen", "sunflower"), ("barly", "barley"), ("bananas", "banana"),
    ],
)  # fmt: skip
def test_crops_go_by_many_names(text, crop):
    assert crop_lexicon().find(tokens(text))[1] == (crop,)


@pytest.mark.parametrize("text", ["the fields", "heat", "trees", "misst", "point", "what is there"])
def test_other_words_are_no_crops(text):
    assert crop_lexicon().find(tokens(text))[1] == ()


@pytest.mark.parametrize(
    ("crop", "known", "learnt"),
    [
        ("maize", ["corn", "rye"], "corn"), ("silage maize", NANO, "maize"), ("wheat", NANO, "winter wheat"),
        ("maize", ["Mais"], "Mais"), ("Sitkagran", ["Sitkagran"], "Sitkagran"),
    ],
)  # fmt: skip
def test_a_crop_is_asked_about_by_the_name_that_the_model_knows(crop, known, learnt):
    assert crop_lexicon(tuple(known)).learnt(crop, known) == learnt


def test_a_crop_that_was_never_learnt_is_refused_with_those_that_were():
    with pytest.raises(DataError, match=r"never learnt banana\n.*maize, rapeseed, sugar beet, winter barley"):
        crop_lexicon().learnt("banana", NANO)


def test_of_several_narrower_crops_one_must_be_named():
    with pytest.raises(DataError, match="spring wheat, winter wheat"):
        crop_lexicon().learnt("wheat", ["winter wheat", "spring wheat"])

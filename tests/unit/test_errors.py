"""Errors carry over whole, and say what was being done."""

import pickle

import pytest

from agrilape.errors import AgrilapeError, DataError, WorkerError, activities, doing, portable, text_of


class Odd(DataError):
    def __init__(self, file, line):
        super().__init__(f"{file}:{line} is odd", "mend it")
        self.line = line


@pytest.mark.parametrize("error", [AgrilapeError("a [b]", "c"), Odd("x.json", 3)])
def test_an_error_is_the_same_after_pickling(error):
    error.add_note("while reading")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_what_was_being_done_is_noted_from_the_inside_out():
    with pytest.raises(ValueError) as caught, doing("preparing", "fields"), doing("cutting"):  # noqa: PT011
        with doing("preparing", "fields"):
            raise ValueError("x")
    assert activities(caught.value) == ["preparing fields", "cutting"]


def test_what_was_done_is_found_behind_another_error():
    with pytest.raises(RuntimeError) as caught:
        try:
            with doing("reading", "a.tif"):
                raise KeyError("x")
        except KeyError as error:
            raise RuntimeError from error
    assert activities(caught.value) == ["reading a.tif"]


def test_text_of_errors_without_words_and_of_broken_ones():
    class Broken(Exception):
        def __str__(self):
            raise TypeError

    assert text_of(ValueError("a\nb")) == "ValueError: a\nb"
    assert text_of(AssertionError()) == "AssertionError"
    assert text_of(Broken()) == "Broken"


def test_what_cannot_be_carried_leaves_its_text():
    class Local(Exception):
        pass

    known, local = KeyError("x"), portable(Local("y"))
    assert portable(known) is known
    assert (type(local), str(local)) == (WorkerError, "Local: y")
    assert str(pickle.loads(pickle.dumps(local))) == "Local: y"

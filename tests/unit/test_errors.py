"""Errors carry over whole, and say what was being done."""

import pickle

import pytest

from agrilape.errors import AgrilapeError, DataError, WorkerError, activities, doing, portable, text_of


class OddError(DataError):
    def __init__(self, file, line):
        super().__init__(f"{file}:{line} is odd", "mend it")
        self.line = line


@pytest.mark.parametrize("error", [AgrilapeError("a [b]", "c"), OddError("x.json", 3)])
def test_an_error_is_the_same_after_pickling(error):
    error.add_note("while reading")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_what_was_being_done_is_noted_from_the_inside_out():
    outer, inner = doing("preparing", "fields"), doing("cutting")
    with pytest.raises(KeyError) as caught, outer, inner, doing("preparing", "fields"):
        raise KeyError("x")
    assert activities(caught.value) == ["preparing fields", "cutting"]


def test_what_was_done_is_found_behind_another_error():
    def read():
        try:
            with doing("reading", "a.tif"):
                raise KeyError("x")
        except KeyError as error:
            raise RuntimeError from error

    with pytest.raises(RuntimeError) as caught:
        read()
    assert activities(caught.value) == ["reading a.tif"]


def test_text_of_errors_without_words_and_of_broken_ones():
    class BrokenError(Exception):
        def __str__(self):
            raise TypeError

    assert text_of(ValueError("a\nb")) == "ValueError: a\nb"
    assert text_of(AssertionError()) == "AssertionError"
    assert text_of(BrokenError()) == "BrokenError"


def test_what_cannot_be_carried_leaves_its_text():
    class LocalError(Exception):
        pass

    known, local = KeyError("x"), portable(LocalError("y"))
    assert portable(known) is known
    assert (type(local), str(local)) == (WorkerError, "LocalError: y")
    assert str(pickle.loads(pickle.dumps(local))) == "LocalError: y"

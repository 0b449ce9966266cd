"""Numbers as anybody prints them."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.io.numbers import find_numbers, to_float, without_thousands

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(FLOATS)
def test_numbers_of_python_numpy_and_javascript(number) -> None:
    for text in (repr(number), str(np.float64(number)), json.dumps(number), f"{number:.17e}", f"{number:+}"):
        assert to_float(text) == number
        assert find_numbers(f"about {text} m") == [number]
    assert find_numbers(repr([np.float64(number)] * 2)) == [number] * 2


NONE = ["", "nan", "inf", "1e999", "0x10", "1_000", "1,5", "--1", "9" * 500, ".", "e5"]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_finite_number(text) -> None:
    with pytest.raises(ValueError, match=r"no number|not finite"):
        to_float(text)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("[.1, 12., 5e-05, −3]", [0.1, 12, 5e-05, -3]),
        ("B12 and CO2", []),
        ("10-12", [10, -12]),
        ("5ha", [5]),
        ("There are 3.", [3]),
        ("1e-05", [1e-05]),
    ],
)
def test_numbers_in_sentences(text, numbers) -> None:
    assert [abs(n) for n in find_numbers(text)] == [abs(n) for n in numbers]


def test_thousands() -> None:
    assert without_thousands("12,500 of 1,234,567.5 or 1,2 or 12,50") == "12500 of 1234567.5 or 1,2 or 12,50"


@given(st.text(max_size=60))
def test_any_text_has_finite_numbers(text) -> None:
    assert all(map(math.isfinite, find_numbers(text)))

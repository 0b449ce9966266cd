"""Numbers as Python, JavaScript, other programs and people print them."""

from __future__ import annotations

import math
import re
from contextlib import suppress

NUMBER = r"[-+\u2212]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
"""A number in a text: `0.3333333333333333`, `5e-05`, `12.`, `.1`, `+1`, `-0`. No group of its own."""
_IN_TEXT = re.compile(rf"(?<![\w.]){NUMBER}")
_NUMPY = re.compile(rf"\b(?:np|numpy)\.(?:float|int)(?:16|32|64)\(({NUMBER})\)")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])")
MOST_CHARACTERS = 400


def to_float(text: str) -> float:
    """The number that a text spells.

    Raises:
        ValueError: It spells none, or one that is not finite.
    """
    written = text.strip().replace("\u2212", "-")
    if len(written) > MOST_CHARACTERS or not re.fullmatch(NUMBER, written):
        raise ValueError(f"{text[:40]!r} is no number")
    number = float(written)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]!r} is not finite")
    return number


def find_numbers(text: str) -> list[float]:
    """All finite numbers in a text, in order; `np.float64(0.5)` is one."""
    found = []
    for written in _IN_TEXT.findall(without_wrappers(text)):
        with suppress(ValueError):
            found.append(to_float(written))
    return found


def without_wrappers(text: str) -> str:
    """A text in which numbers stand bare: `np.float64(0.5)`, as NumPy 2 prints lists, becomes `0.5`."""
    return _NUMPY.sub(r"\1", text)


def without_thousands(text: str) -> str:
    """A text whose numbers have no commas between thousands: `12,500` becomes `12500`."""
    return _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)

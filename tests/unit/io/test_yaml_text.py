"""YAML as people write it, and as attackers do."""

import time
from contextlib import suppress

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agrilape.errors import RecipeError
from agrilape.io.yaml_text import parse_yaml, read_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


def test_words_stay_words() -> None:
    assert parse_yaml("ntp: off\nfull: no\nsure: true") == {"ntp": "off", "full": "no", "sure": True}
    assert parse_yaml("") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "aliases"),
        ("a: &a [*a]", "contains itself"),
        ("[" * 3000 + "]" * 3000, "nested|recursion"),
        ("a: !!int abc", "cannot be read"),
        ("a: 2020-99-99", "cannot be read"),
        ("a: !!int ", "cannot be read"),
        ("? !!float ", "cannot be read"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: [", "expected the node content"),
        ("a: \x01", "special characters"),
        ("{[1]: 2}", "unhashable|cannot be read"),
    ],
    ids=lambda text: text[:20],
)
def test_what_cannot_be_meant_is_refused_at_once(text, reason) -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match=reason):
        parse_yaml(text)
    assert time.monotonic() - began < 10


def test_aliases_within_bounds_are_read() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a") == {"a": [1, 2], "b": [1, 2]}


def test_a_file_is_named(tmp_path) -> None:
    (tmp_path / "r.yaml").write_text("a: [")
    with pytest.raises(RecipeError, match=r"r\.yaml is not readable YAML"):
        read_yaml(tmp_path / "r.yaml")


@given(st.text(max_size=60) | st.text(st.sampled_from("-:[]{}&*!|>'\"#%@` \nab01"), max_size=60))
def test_any_text_is_read_or_refused(text) -> None:
    with suppress(ValueError):
        parse_yaml(text)


@given(st.dictionaries(st.text("abc", min_size=1), st.lists(st.integers() | st.text("xyz"))))
def test_what_is_written_is_read(value) -> None:
    assert parse_yaml(yaml.safe_dump(value)) == value

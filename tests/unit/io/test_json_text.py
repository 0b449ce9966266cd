"""JSON as other programs write it, and as attackers do."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.errors import DataError
from agrilape.io.json_text import InvalidLine, json_lines, parse_json, read_json, read_json_object, to_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)  # fmt: skip


@given(st.lists(VALUES))
def test_what_is_written_is_read(values) -> None:
    text = "".join(to_json(value) + "\n" for value in values)
    assert [line.value for line in json_lines(text)] == values
    assert len(text.splitlines()) == len(values)  # other readers cut at U+2028


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "NaN is no JSON number"),
        ("[-Infinity]", "-Infinity is no JSON number"),
        ("1e999", "1e999 is too large"),
        ("9" * 5000, "5000 digits"),
        ("[" * 5000 + "]" * 5000, "nested more than"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "nested more than"),
        ('"\\ud800"', "half a character"),
        ('{"\\udc00": 1}', "half a character"),
        ("{'a': 1}", "line 1, column 2"),
        ('{"a": 1,}', "column"),
        ("", "column 1"),
    ],
    ids=str,
)
def test_what_is_no_json_is_refused(text, reason) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


def test_brackets_in_texts_are_not_deep() -> None:
    text = json.dumps({"a": "[" * 1000, "b": '\\"[' * 300})
    assert parse_json(text) == json.loads(text)


def test_logs_of_numbers_may_hold_nan() -> None:
    assert str(parse_json('{"loss": NaN}', infinite=True)) == "{'loss': nan}"


def test_a_damaged_line_sinks_no_other() -> None:
    found = list(json_lines('{"a": 1}\n\n{"a": \n{"a": 2}'))
    assert [line.number for line in found] == [1, 3, 4]
    assert [isinstance(line, InvalidLine) for line in found] == [False, True, False]


def test_files_are_named(tmp_path) -> None:
    file = tmp_path / "x.json"
    for content, reason in ((b"", "is empty"), (b"[1", "is not readable JSON"), (b"[1]", "holds a list")):
        file.write_bytes(content)
        with pytest.raises(DataError, match=rf"x\.json {reason}"):
            read_json_object(file)
    file.write_bytes(b"\xef\xbb\xbf[1]\r\n")
    assert read_json(file) == [1]


@given(st.text(max_size=80) | st.text(st.sampled_from('[]{}",:0e1-+.\\utrfn '), max_size=80))
def test_any_text_is_read_or_refused(text) -> None:
    with suppress(ValueError):
        parse_json(text)

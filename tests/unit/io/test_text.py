"""Text of any encoding and any line ends."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.errors import AgrilapeError, DataError, RecipeError
from agrilape.io.text import decode, decode_table, lines, read_text

BREAKS = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_is_named(encoding) -> None:
    name = "UTF-32" if "32" in encoding else "UTF-16"
    with pytest.raises(DataError, match=f"a.json is encoded as {name}"):
        decode('[{"a": 1}]'.encode(encoding), "a.json")


def test_a_byte_order_mark_is_no_text() -> None:
    assert decode(b"\xef\xbb\xbf{}", "a") == "{}"


def test_a_wrong_byte_is_named_by_its_line(tmp_path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_bytes("a: 1\nb: körner".encode("cp1252"))
    with pytest.raises(RecipeError, match=r"line 2 is not UTF-8 \(byte 0xf6"):
        read_text(file, RecipeError)


@pytest.mark.parametrize("name", ["absent.txt", ".", "a\0b"])
def test_what_cannot_be_opened_is_named(tmp_path, name) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_text(tmp_path / name)


def test_a_table_of_windows_is_read_and_said() -> None:
    assert decode_table("körner".encode("cp1252"), "crops.csv")[0] == "körner"
    assert "crops.csv is not UTF-8" in (decode_table("körner".encode("cp1252"), "crops.csv")[1] or "")
    assert decode_table("körner".encode(), "crops.csv") == ("körner", None)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n") | st.sampled_from(BREAKS))))
def test_only_line_feeds_end_lines(given) -> None:
    for end in ("\n", "\r\n"):
        assert lines("".join(line + end for line in given)) == given


def test_lines_of_an_old_mac() -> None:
    assert lines("a\rb\r") == ["a", "b"]
    assert lines("a\r\nb") == ["a", "b"]
    assert lines("") == []


@given(st.binary(max_size=60))
def test_any_bytes_are_text_or_refused(data) -> None:
    with suppress(AgrilapeError):
        assert isinstance(decode(data, "it"), str)

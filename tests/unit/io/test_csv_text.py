"""CSV as spreadsheets save it."""

import csv
import gzip
import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.errors import AgrilapeError, DataError
from agrilape.io.csv_text import read_csv


def rows(tmp_path, data: bytes, name="t.csv"):
    (tmp_path / name).write_bytes(data)
    return [row for _, row in read_csv(tmp_path / name)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_of_any_spreadsheet(tmp_path, delimiter, encoding, end) -> None:
    text = end.join([delimiter.join(("code", " name ")), delimiter.join(("1", "Körnermais")), "", ""])
    assert rows(tmp_path, text.encode(encoding)) == [{"code": "1", "name": "Körnermais"}]


def test_a_decimal_comma_does_not_delimit(tmp_path) -> None:
    assert rows(tmp_path, b"x;y\n1,5;2,5\n") == [{"x": "1,5", "y": "2,5"}]
    assert rows(tmp_path, b'"a,b";c\n1;2\n') == [{"a,b": "1", "c": "2"}]


def test_packed_tables(tmp_path) -> None:
    assert rows(tmp_path, gzip.compress(b"a,b\n1,2\n"), "t.csv.gz") == [{"a": "1", "b": "2"}]


def test_lines_are_numbered_as_an_editor_does(tmp_path) -> None:
    (tmp_path / "t.csv").write_bytes(b'a,b\n"x\ny",2\n\n3,4\n')
    assert [number for number, _ in read_csv(tmp_path / "t.csv")] == [3, 5]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"a,a\n1,2\n", "two columns of the name 'a'"),
        (b"a,b\n1,2,3\n", "line 2 has 3 cells"),
        (b"a\0,b\n", "NUL"),
        ("a,b\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, data, reason) -> None:
    with pytest.raises(DataError, match=reason):
        rows(tmp_path, data)


def test_a_delimiter_at_the_end_of_lines_makes_no_column(tmp_path) -> None:
    assert rows(tmp_path, b"a;b;\n1;2;\n") == [{"a": "1", "b": "2"}]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(st.lists(st.tuples(CELLS, CELLS)))
def test_what_python_writes_is_read(tmp_path_factory, cells) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerows([["first", "second"], *cells])
    told = [row for row in cells if any(cell.strip() for cell in row)]
    wanted = [{"first": first, "second": second} for first, second in told]
    found = rows(tmp_path_factory.mktemp("t"), stream.getvalue().encode())
    assert found == wanted


@given(st.binary(max_size=80))
def test_any_bytes_are_a_table_or_refused(tmp_path_factory, data) -> None:
    with suppress(AgrilapeError):
        assert isinstance(rows(tmp_path_factory.mktemp("t"), data), list)

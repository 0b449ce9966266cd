"""Text files, decoded by one rule: UTF-8, with or without a byte order mark."""

from __future__ import annotations

import codecs
from pathlib import Path

from agrilape.errors import AgrilapeError, DataError

_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
WINDOWS = "cp1252"


def read_text(path: Path, fault: type[AgrilapeError] = DataError) -> str:
    """Content of a UTF-8 file, without its byte order mark.

    Args:
        path: The file.
        fault: The kind of error to raise.

    Raises:
        AgrilapeError: The file cannot be read, or is in another encoding.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise fault(f"{path} cannot be read: {reason}", "check the path, and the right to read it") from error
    return decode(data, str(path), fault)


def decode(data: bytes, where: str, fault: type[AgrilapeError] = DataError) -> str:
    """UTF-8 bytes as text, without a byte order mark.

    Raises:
        AgrilapeError: The bytes are in another encoding, or no text at all; `where` is named.
    """
    if encoding := _other_encoding(data):
        raise fault(f"{where} is encoded as {encoding}", "save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise fault(
            f"{where}, line {line} is not UTF-8 (byte 0x{data[error.start]:02x})", "save it as UTF-8"
        ) from error
    if "\0" in text:
        raise fault(f"{where} holds NUL characters, which no text does", "give a text file encoded as UTF-8")
    return text


def decode_table(data: bytes, where: str) -> tuple[str, str | None]:
    """Text of a table, which spreadsheets on Windows save as cp1252.

    Returns:
        The text, and a note for people where it is not UTF-8.

    Raises:
        DataError: As `decode`, but for cp1252.
    """
    try:
        return decode(data, where), None
    except DataError:
        if _other_encoding(data) or b"\0" in data:
            raise
    try:
        return data.decode(WINDOWS), f"{where} is not UTF-8: read as {WINDOWS} (Windows, western Europe)"
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is neither UTF-8 nor {WINDOWS}", "save it as UTF-8") from error


def lines(text: str) -> list[str]:
    """Lines of a text, without their ends.

    A line ends at a line feed, with or without a carriage return before it, or at a carriage return where
    there is no line feed at all. U+2028, U+2029, U+0085 and form feeds, where `str.splitlines` cuts too, are
    characters like others: a model may write them into an answer.
    """
    end = "\n" if "\n" in text else "\r"
    found = text.split(end)
    if found[-1] == "":
        found.pop()
    return [line.removesuffix("\r") for line in found]


def _other_encoding(data: bytes) -> str | None:
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            return name
    head = data[:64]
    if len(head) >= 4 and head[1:8:2].count(0) == len(head[1:8:2]) and 0 not in head[0:8:2]:
        return "UTF-16"  # little end first, without a mark
    if len(head) >= 4 and head[0:8:2].count(0) == len(head[0:8:2]) and 0 not in head[1:8:2]:
        return "UTF-16"
    return None

"""What all readers of published formats share: what was skipped, pictures by name, rows of JSON files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from agrilape.errors import AgrilapeError, DataError
from agrilape.files import path_inside
from agrilape.io.json_text import InvalidLine, Line, json_lines, read_json, read_json_object
from agrilape.io.text import read_text
from agrilape.skips import affects_all_items, planned
from agrilape.sources.discovery import find_files, one_spelling
from agrilape.sources.grouping import Problem

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}
NAMED_PER_REASON = 5  # the others are counted
_SPLIT = re.compile(r"(?<![a-z])(train(?:ing|val)?|val(?:id(?:ation)?)?|test|dev)(?![a-z])")
UNUSABLE = (KeyError, IndexError, TypeError, ValueError, AttributeError, DataError)  # what a bad row raises


@dataclass
class SkippedRows:
    """What a reader skipped. One bad row never sinks the others.

    Attributes:
        counts: Number of things skipped, by reason.
        problems: The first few of each reason, with the file and the row.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    def add(self, path: Path, reason: str | Exception, row: int | str | None = None) -> None:
        """Note something that cannot be used.

        Args:
            path: The file.
            reason: Why; an exception that reading it raised will do. One that nobody planned is logged with
                its traceback; a full disk is raised again, since it concerns all rows.
            row: Which row of the file, from 1, or the name of a part of it.
        """
        if isinstance(reason, Exception) and affects_all_items(reason) and not isinstance(reason, UNUSABLE):
            raise reason
        why = _words(reason)
        self.counts[why] += 1
        if self.counts[why] <= NAMED_PER_REASON:
            self.problems.append(Problem(path, why if row is None else f"row {row}: {why}"))


def _words(reason: str | Exception) -> str:
    match reason:
        case str():
            return reason
        case AgrilapeError():
            return reason.problem
        case KeyError():
            return f"{reason.args[0]!r} is missing" if reason.args else "something is missing"
        case _ if isinstance(reason, UNUSABLE):
            return str(reason) or type(reason).__name__
    return planned(reason).problem


class PictureFolder:
    """The pictures below a folder, found by the names that annotations give them.

    Publishers pack pictures under other folders than their annotations say, so a name that is not there as
    it stands is looked for by its last parts.

    Args:
        root: The folder. No name leads out of it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._by_name: dict[str, list[PurePosixPath]] | None = None

    def find(self, name: str) -> Path:
        """The picture of a name, with or without its suffix.

        Raises:
            ValueError: The name leads out of the folder, is not there, or stands for several pictures.
        """
        given = PurePosixPath(str(name).replace("\\", "/"))
        path = self._inside(given)
        return path if path.is_file() else self._inside(self._search(given))

    def _inside(self, given: PurePosixPath) -> Path:
        try:
            return path_inside(self.root, str(given))
        except DataError as error:  # said alike for all such names, which are counted by what is said of them
            raise ValueError("the picture's name leads out of the data folder") from error

    def _search(self, given: PurePosixPath) -> PurePosixPath:
        if self._by_name is None:
            self._by_name = self._index()
        keys = (given.name, one_spelling(given.name), f"{given.name}.")
        found = next((self._by_name[key] for key in keys if key in self._by_name), [])
        shared = [_shared_parts(given, path) for path in found]
        best = [path for path, count in zip(found, shared, strict=True) if count == max(shared)]
        if not best:
            raise ValueError("the picture is not in the data folder")
        if len(best) > 1:
            raise ValueError("several pictures have this name")
        return best[0]

    def _index(self) -> dict[str, list[PurePosixPath]]:
        """Pictures by file name, with one spelling of the suffix too, and by stem with a dot after it."""
        names: dict[str, list[PurePosixPath]] = {}
        for path in sorted(self.root.rglob("*")):
            if path.suffix.lower() in PICTURE_SUFFIXES:
                inside = PurePosixPath(path.relative_to(self.root).as_posix())
                for key in {inside.name, one_spelling(inside.name), f"{inside.stem}."}:
                    names.setdefault(key, []).append(inside)
        return names


def _shared_parts(one: PurePosixPath, other: PurePosixPath) -> int:
    """How many folders two paths share, counted from their ends."""
    count = 0
    for a, b in zip(reversed(one.parts[:-1]), reversed(other.parts[:-1]), strict=False):
        if a != b:
            break
        count += 1
    return count


def annotated_size(width: Any, height: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Size of a picture as it was annotated: what its coordinates in pixels run to in a resized copy too.

    Args:
        width: What the annotations say; None if they do not.
        height: Likewise.
        size: Of the picture that is there.

    Raises:
        ValueError: That has other proportions, so it is not the same picture.
    """
    if width is None or height is None:
        return size
    stated = int(width), int(height)
    if abs(stated[0] * size[1] - stated[1] * size[0]) > max(stated):  # whole pixels allow no more
        turned = stated[0] * size[0] == stated[1] * size[1] and size[0] != size[1]
        swapped = ": width and height are swapped, as of an EXIF orientation that was not followed" * turned
        raise ValueError(f"the picture has other proportions than its annotations state{swapped}")
    return stated


class Row(NamedTuple):
    """One object of an annotation file, and where it stands."""

    path: Path
    number: int
    value: Mapping[str, Any]


def read_rows(path: Path, omissions: SkippedRows) -> Iterator[Row]:
    """The objects of a JSON list or JSON-lines file; what is no object is skipped.

    Raises:
        DataError: The file is neither.
    """
    if path.suffix.lower() in {".jsonl", ".ndjson"}:
        found: Iterable[Line | InvalidLine] = json_lines(read_text(path))
    else:
        values = read_json(path, DataError, "get it again")
        if not isinstance(values, list):
            raise DataError(f"{path} is not a list of rows", "give the annotation file as it was published")
        found = (Line(number, value) for number, value in enumerate(values, start=1))
    for line in found:
        if isinstance(line, InvalidLine):
            omissions.add(path, f"the row is not readable JSON: {line.reason}", line.number)
        elif isinstance(line.value, dict):
            yield Row(path, line.number, line.value)
        else:
            omissions.add(path, "the row is not a JSON object", line.number)


def read_object(path: Path) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        DataError: The file holds something else.
    """
    return read_json_object(path, DataError, "give the annotation file as it was published")


def stated_split(*names: str) -> str | None:
    """The split that names of files or folders state: `instances_train2017`, `val`; None where none does."""
    return next((match[1] for name in names if (match := _SPLIT.search(name.lower()))), None)


def published(folder: Path, *patterns: str) -> list[Path]:
    """The annotation files of a release, in order.

    Raises:
        DataError: There is none.
    """
    found = sorted({path for pattern in patterns for path in find_files(folder, pattern)})
    if not found:
        raise DataError(
            f"{folder} holds no {' or '.join(patterns)}", "give the folder of the release, as it was unpacked"
        )
    return found

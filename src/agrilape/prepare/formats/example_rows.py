"""From rows of published instruction data to examples: one for each picture, with all its questions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from PIL import Image

from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.errors import DataError
from agrilape.geo.shapes import Part
from agrilape.geo.timewindow import TimeWindow
from agrilape.io.pictures import as_rgb, encoded, to_png
from agrilape.prepare.formats.coordinate_conventions import Size
from agrilape.sources.formats.release_files import PictureFolder, Row, SkippedRows

# Words that say where something is: such a text is wrong once the picture is turned.
_DIRECTION = re.compile(
    r"\b(?:left|right|top|bottom|upper|lower|above|below|north|south|east|west)\w*\b", re.IGNORECASE
)


@dataclass(frozen=True)
class RowQuestion:
    """One question of a row, before it is known how many others its picture has.

    Attributes:
        task: Name of the task.
        question: See `Sample`; likewise answer, truth.
        answer: The wanted answer.
        truth: Facts for scoring.
        origin: What else the release says of it, for provenance: its id, its split.
    """

    task: str
    question: tuple[Part, ...]
    answer: tuple[Part, ...]
    truth: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)


class RowImages(NamedTuple):
    """The pictures of a row: file names and, if known, dates.

    Attributes:
        names: As the annotations give them.
        dates: One per picture, or none.
    """

    names: tuple[str, ...]
    dates: tuple[date, ...] = ()


Show = Callable[[Mapping[str, Any]], RowImages]
Ask = Callable[[Mapping[str, Any], Size], Iterable[RowQuestion]]
SceneName = Callable[[str], str]


def own_scene(name: str) -> str:
    """Every picture is a scene of its own."""
    return name


def picture_examples(
    source: str,
    rows: Iterable[Row],
    folder: PictureFolder,
    omissions: SkippedRows,
    show: Show,
    ask: Ask,
    scene: SceneName = own_scene,
) -> Iterator[Example]:
    """Examples from rows that name their pictures. Rows of the same pictures become one example.

    Args:
        source: Name of the data source.
        rows: All rows; they are grouped by picture, so they are held in memory, pictures are not.
        folder: Where pictures lie.
        omissions: Told of rows that cannot be used.
        show: The pictures of a row.
        ask: Its questions, for a picture of some size.
        scene: Which scene a picture without its suffix belongs to: tiles of one image are one.
    """
    groups: dict[tuple[tuple[Path, ...], tuple[date, ...]], tuple[RowImages, list[Row]]] = {}
    for row in rows:
        try:
            shown = show(row.value)
            if not shown.names or not all(isinstance(name, str) and name for name in shown.names):
                raise ValueError("the row names no picture")
            key = tuple(folder.find(name) for name in shown.names), shown.dates
            groups.setdefault(key, (shown, []))[1].append(row)
        except Exception as error:
            omissions.add(row.path, error, row.number)
    used: Counter[str] = Counter()
    for (paths, dates), (shown, group) in groups.items():
        try:
            pictures, size = load_pictures(paths)
        except Exception as error:
            for row in group:
                omissions.add(row.path, error, row.number)
            continue
        name = chip_name(shown.names)
        used[name] += 1
        unique = name if used[name] == 1 else f"{name}~{used[name]}"  # a.png beside a.jpg
        chip = dated_chip(f"{source}/{unique}", scene(name), source, pictures, dates)
        if example := with_questions(chip, answered(group, size, ask, omissions)):
            yield example


def answered(
    rows: Iterable[Row], size: Size, ask: Ask, omissions: SkippedRows
) -> Iterator[tuple[Row, RowQuestion]]:
    """The questions of rows about one picture, without the rows that cannot be used."""
    for row in rows:
        try:
            found = list(ask(row.value, size))
        except Exception as error:
            omissions.add(row.path, error, row.number)
            continue
        yield from ((row, asked) for asked in found)


def with_questions(chip: Chip, questions: Iterable[tuple[Row, RowQuestion]]) -> Example | None:
    """A chip with its samples; None without any.

    `truth["oriented"]` marks a text with directions (`at the top left`), true of the picture as it is.
    """
    numbers: Counter[str] = Counter()
    samples = []
    for row, asked in questions:
        truth = dict(asked.truth)
        if any(isinstance(part, str) and _DIRECTION.search(part) for part in asked.question + asked.answer):
            truth["oriented"] = True
        samples.append(
            Sample(
                id=f"{chip.id}/{asked.task}/{numbers[asked.task]}", chip=chip.id, task=asked.task,
                question=asked.question, answer=asked.answer, truth=truth,
                provenance={"file": row.path.name, "row": row.number} | dict(asked.origin),
            )
        )  # fmt: skip
        numbers[asked.task] += 1
    return Example(chip, tuple(samples)) if samples else None


def dated_chip(
    name: str, scene: str, source: str, pictures: Sequence[bytes], dates: Sequence[date] = ()
) -> Chip:
    """A chip of one picture, or of several; several with their dates are a series in order of date."""
    if not dates or len(set(dates)) < 2:
        return Chip(name, scene, source, tuple(Picture(data) for data in pictures))
    series = sorted(zip(dates, pictures, strict=True), key=lambda pair: pair[0])
    shown = tuple(Picture(data, day) for day, data in series)
    return Chip(name, scene, source, shown, window=TimeWindow(min(dates), max(dates)))


def chip_name(names: Sequence[str]) -> str:
    """A name for the chip of some pictures: the path of the first without its suffix."""
    first = PurePosixPath(names[0].replace("\\", "/"))
    plain = first.with_suffix("").as_posix().removeprefix("./")
    return plain if len(names) == 1 else f"{plain}+{'+'.join(PurePosixPath(name).stem for name in names[1:])}"


def load_pictures(paths: Sequence[Path]) -> tuple[tuple[bytes, ...], Size]:
    """Pictures as a chip holds them, all of the first one's size.

    Raises:
        DataError: One is not a readable picture.
    """
    return alike([load_picture(path) for path in paths])


def alike(loaded: Sequence[tuple[bytes, Size]]) -> tuple[tuple[bytes, ...], Size]:
    """Encoded pictures, all of the first one's size."""
    size = loaded[0][1]
    return tuple(data if own == size else _resized(data, size) for data, own in loaded), size


def load_picture(path: Path) -> tuple[bytes, Size]:
    """A picture's bytes, as they are for an upright RGB PNG or JPEG, and its size.

    Raises:
        DataError: It is not a readable picture.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    return sized(data, path.name)


def sized(data: bytes, name: str = "the picture") -> tuple[bytes, Size]:
    """An encoded picture as a chip holds it, and its size.

    Raises:
        DataError: It is not a readable picture.
    """
    kept, size = encoded(data, name)
    return kept, Size(*size)


def _resized(data: bytes, size: Size) -> bytes:
    return to_png(as_rgb(data).resize(size, Image.Resampling.LANCZOS))

"""A contact sheet of a prepared data set: samples of every task, with their places and times drawn."""

from __future__ import annotations

import base64
import io
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from agrilape.errors import RecipeError
from agrilape.files import whole_file, write_text
from agrilape.geo.shapes import Box, Instant, Part, Point, Polygon, Span
from agrilape.report.drawing import SIDE, Bar, Mark, bar_of, day_text, marks_of, sentence, words_of
from agrilape.report.figures import STYLE
from agrilape.report.page import about
from agrilape.report.render import environment
from agrilape.report.scores import words
from agrilape.samples import Example, Sample, read_manifest, read_store
from agrilape.samples.manifest import describe_splits

MOST_PICTURES = 6  # of a series; more are too small to see
COLUMNS = 4  # of the PNG
ASKED, ANSWERED = "#ffd400", "#00a6d6"
TEXT_WIDTH = 42  # letters of a line under a picture of the PNG


@dataclass(frozen=True)
class Shown:
    """A picture as data URI, with its date in words."""

    uri: str
    date: str


@dataclass(frozen=True)
class Card:
    """One sample, ready to be drawn.

    Attributes:
        split: Its split.
        chip: Id of its chip.
        question: In words, with a mark where a place is drawn.
        answer: In words.
        origin: Where the answer comes from.
        pictures: Pictures of the chip, of a long series some.
        asked: Places in the question; likewise answered.
        asked_bar: Period in the question; likewise answer_bar.
        shown: Dates of the pictures, in per cent of the calendar.
        window: First and last date of the calendar.
    """

    split: str
    chip: str
    question: str
    answer: str
    origin: str
    pictures: tuple[Shown, ...]
    asked: tuple[Mark, ...]
    answered: tuple[Mark, ...]
    asked_bar: Bar | None
    answer_bar: Bar | None
    shown: tuple[float, ...]
    window: tuple[str, str] | None

    @property
    def columns(self) -> int:
        """Pictures side by side."""
        return math.ceil(math.sqrt(len(self.pictures)))


def write_sheet(
    folder: Path,
    output: Path | None = None,
    split: str | None = None,
    tasks: Sequence[str] = (),
    per_task: int = 3,
) -> Path:
    """Draw samples of every task of a prepared data set, spread evenly over it.

    Args:
        folder: The data set.
        output: An `.html` file (one page, pictures inside) or a `.png`; None: `samples.html` in the folder.
        split: Only this one; None: all.
        tasks: Only these; none named: all.
        per_task: Samples of each task.

    Returns:
        The file.

    Raises:
        DataError: The folder is not a whole prepared data set.
        RecipeError: The file name ends neither in `.html` nor in `.png`, or nothing is left to show.
    """
    output = output or folder / "samples.html"
    if output.suffix not in (".html", ".png"):
        raise RecipeError(f"cannot draw a {output.suffix or 'file without ending'}", "use .html or .png")
    manifest = read_manifest(folder)
    chosen = _choose(folder, [split] if split else list(manifest.splits), tasks, per_task)
    if not chosen:
        have = sorted({task for counts in manifest.splits.values() for task in counts.tasks})
        raise RecipeError(f"{folder} has no such samples", f"choose among the tasks {', '.join(have)}")
    if output.suffix == ".png":
        return _write_png(output, chosen)
    jinja = environment()
    jinja.filters["about"] = about
    cards = {task: [_card(*one) for one in found] for task, found in chosen.items()}
    page = jinja.get_template("sheet.html.j2").render(
        name=manifest.name,
        summary=f"{describe_splits(manifest.splits)}. Here are up to {per_task} samples of each task.",
        dated=any(card.shown for found in cards.values() for card in found),
        tasks=cards,
        side=SIDE,
    )
    return write_text(output, page)


def _choose(
    folder: Path, splits: Sequence[str], tasks: Sequence[str], per_task: int
) -> dict[str, list[tuple[str, Example, Sample]]]:
    """Samples of each task, spread over splits and chips; only theirs are read with pictures."""
    stores = {split: read_store(folder, split) for split in splits}
    places: dict[str, list[tuple[str, int, int]]] = {}
    for split, store in stores.items():
        for chip, names in enumerate(store.task_lists()):
            for number, name in enumerate(names):
                if not tasks or name in tasks:
                    places.setdefault(name, []).append((split, chip, number))
    chosen = {}
    for task, found in sorted(places.items()):
        spread = np.linspace(0, len(found) - 1, min(per_task, len(found))).round().astype(int)
        examples = [(split, stores[split][chip], n) for split, chip, n in (found[at] for at in spread)]
        chosen[task] = [(split, example, example.samples[n]) for split, example, n in examples]
    return chosen


def _card(split: str, example: Example, sample: Sample) -> Card:
    chip = example.chip
    window, place = chip.window, chip.georeference
    ground = (place.width * place.gsd_m, place.height * place.gsd_m) if place else None
    dates = [picture.acquired for picture in chip.pictures]
    return Card(
        split=split,
        chip=chip.id,
        question=sentence(sample.question, window),
        answer=words_of(sample.answer, window, ground),
        origin=_origin(sample.provenance),
        pictures=tuple(
            Shown(_uri(chip.pictures[n].data), _day(dates[n])) for n in _spread(len(chip.pictures))
        ),
        asked=marks_of(sample.question),
        answered=marks_of(sample.answer),
        asked_bar=bar_of(sample.question, window),
        answer_bar=bar_of(sample.answer, window),
        shown=tuple(100 * window.position(day) for day in dates if window and day),
        window=(day_text(window.start), day_text(window.end)) if window else None,
    )


def _origin(provenance: Mapping[str, Any]) -> str:
    """Where an answer comes from, in a line."""
    parts = {key: value for key, value in provenance.items() if value not in (None, "", [], {})}
    return "; ".join(
        f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in parts.items()
    )


def _spread(count: int) -> list[int]:
    numbers: list[int] = np.linspace(0, count - 1, min(count, MOST_PICTURES)).round().astype(int).tolist()
    return numbers


def _day(day: Any) -> str:
    return "" if day is None else day_text(day)


def _uri(data: bytes) -> str:
    with Image.open(io.BytesIO(data)) as image:
        kind = (image.format or "png").lower()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


# --- the PNG --------------------------------------------------------------------------------------


def _write_png(output: Path, chosen: Mapping[str, Sequence[tuple[str, Example, Sample]]]) -> Path:
    flat = [(task, *one) for task, found in chosen.items() for one in found]
    rows = math.ceil(len(flat) / COLUMNS)
    with rc_context(STYLE):
        figure = Figure(figsize=(3.3 * COLUMNS, 4.6 * rows), dpi=110)
        figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.28 / (4.6 * rows), hspace=0.42, wspace=0.06)
        for number in range(rows * COLUMNS):
            axes = figure.add_subplot(rows, COLUMNS, number + 1)
            axes.set_axis_off()
            if number < len(flat):
                _draw(axes, *flat[number])
        with whole_file(output) as draft:
            figure.savefig(draft, metadata={"Software": None})
    return output


def _draw(axes: Axes, task: str, split: str, example: Example, sample: Sample) -> None:
    chip = example.chip
    with Image.open(io.BytesIO(chip.pictures[len(chip.pictures) // 2].data)) as image:
        axes.imshow(image.convert("RGB"), extent=(0, 1, 1, 0), aspect="auto")
    axes.set_xlim(0, 1)
    axes.set_ylim(1, 0)
    axes.set_box_aspect(1)
    axes.set_title(f"{words(task)} ({split})", fontsize=8, loc="left", pad=3)
    for part in sample.question:
        _mark(axes, part, ASKED)
    for part in sample.answer:
        _mark(axes, part, ANSWERED)
    below = -0.03
    if chip.window and any(isinstance(part, Instant | Span) for part in (*sample.question, *sample.answer)):
        _time_axis(axes, example, sample)
        below = -0.16
    said = f"{sentence(sample.question, chip.window)}\n→ {words_of(sample.answer, chip.window, None)}"
    lines = [line for text in said.split("\n") for line in textwrap.wrap(text, TEXT_WIDTH)]
    axes.text(0, below, "\n".join(lines[:6]), transform=axes.transAxes, fontsize=7.5, va="top")


def _mark(axes: Axes, part: Part, colour: str) -> None:
    corners: Iterable[tuple[float, float]]
    match part:
        case Point(x, y):
            axes.plot([x], [y], "o", ms=6, mfc=colour, mec="#1f2a22")
            return
        case Box(left, top, right, bottom):
            corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        case Polygon(points):
            corners = points
        case _:
            return
    xs, ys = zip(*(*corners, next(iter(corners))), strict=True)
    axes.plot(xs, ys, color="black", lw=3, alpha=0.45, solid_joinstyle="round", clip_on=False)
    axes.plot(xs, ys, color=colour, lw=1.6, solid_joinstyle="round", clip_on=False)


def _time_axis(axes: Axes, example: Example, sample: Sample) -> None:
    """The calendar below a picture, with the dates of all pictures and the periods of the sample."""
    window = example.chip.window
    assert window is not None
    line = axes.inset_axes((0.0, -0.075, 1.0, 0.06))
    line.set_xlim(0, 1)
    line.set_ylim(0, 1)
    line.set_axis_off()
    line.axhline(0.5, color="#c9cfc5", lw=1)
    for picture in example.chip.pictures:
        if picture.acquired:
            line.axvline(window.position(picture.acquired), color="#1f2a22", lw=1, alpha=0.6)
    for parts, colour in ((sample.question, ASKED), (sample.answer, ANSWERED)):
        for part in parts:
            if isinstance(part, Instant):
                line.plot([part.t], [0.5], "o", ms=5, color=colour, clip_on=False)
            elif isinstance(part, Span):
                line.axvspan(part.start, part.end, 0.25, 0.75, color=colour)
    ends = ((0, window.start, "left"), (1, window.end, "right"))
    for at, day, side in ends:
        line.text(at, -0.1, day_text(day), fontsize=6, ha=side, va="top")

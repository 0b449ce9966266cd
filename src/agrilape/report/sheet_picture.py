"""The contact sheet as one PNG."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agrilape.dataset import Example, Sample
from agrilape.files import whole_file
from agrilape.geo.shapes import Box, Instant, Part, Point, Polygon, Span
from agrilape.io.pictures import as_rgb
from agrilape.report.drawing import day_text, sentence, words_of
from agrilape.report.figures import STYLE
from agrilape.report.score_tables import words

COLUMNS = 4
ASKED, ANSWERED = "#ffd400", "#00a6d6"
# Inches of a cell: picture, gap, title, calendar, a line of text
SIDE, GAP, TITLE, CALENDAR, LINE = 3.1, 0.15, 0.25, 0.3, 0.135
LETTERS = 50  # of a line
MOST_LINES = 12


class SheetCell(NamedTuple):
    """One sample: its task, split, chip, and what is written below the picture."""

    task: str
    split: str
    example: Example
    sample: Sample
    lines: tuple[str, ...]

    @property
    def about_time(self) -> bool:
        """Is there a time to draw?"""
        parts = (*self.sample.question, *self.sample.answer)
        return self.example.chip.window is not None and any(isinstance(one, Instant | Span) for one in parts)

    @property
    def below(self) -> float:
        """Inches below the picture."""
        return CALENDAR * self.about_time + LINE * (len(self.lines) + 1)


def write_picture(output: Path, chosen: Mapping[str, Sequence[tuple[str, Example, Sample]]]) -> Path:
    """Draw samples, `(split, chip, sample)` of each task, row by row; every row as high as its texts need."""
    cells = [_cell(task, *one) for task, found in chosen.items() for one in found]
    rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
    heights = [TITLE + SIDE + max(cell.below for cell in row) + GAP for row in rows]
    width, height = COLUMNS * (SIDE + GAP) + GAP, sum(heights) + GAP
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=110)
        top = height
        for row, depth in zip(rows, heights, strict=True):
            bottom = top - TITLE - SIDE
            for column, cell in enumerate(row):
                left = GAP + column * (SIDE + GAP)
                place = (left / width, bottom / height, SIDE / width, SIDE / height)
                _draw(figure.add_axes(place), cell)
            top -= depth
        with whole_file(output) as draft:
            figure.savefig(draft, metadata={"Software": None})
    return output


def _cell(task: str, split: str, example: Example, sample: Sample) -> SheetCell:
    window = example.chip.window
    said = (sentence(sample.question, window), f"→ {words_of(sample.answer, window, None)}")
    lines = [line for text in said for line in textwrap.wrap(text, LETTERS)]
    if len(lines) > MOST_LINES:
        lines[MOST_LINES - 1 :] = ["..."]
    return SheetCell(task, split, example, sample, tuple(lines))


def _draw(axes: Axes, cell: SheetCell) -> None:
    pictures = cell.example.chip.pictures
    picture = as_rgb(pictures[len(pictures) // 2].data)
    axes.imshow(picture, extent=(0, 1, 1, 0), aspect="auto")
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(1, 0)
    axes.set_title(f"{words(cell.task)} ({cell.split})", fontsize=8, loc="left", pad=3)
    for parts, colour in ((cell.sample.question, ASKED), (cell.sample.answer, ANSWERED)):
        for part in parts:
            _mark(axes, part, colour)
    if cell.about_time:
        _time_axis(axes, cell.example, cell.sample)
    below = -(LINE / 2 + CALENDAR * cell.about_time) / SIDE
    axes.text(0, below, "\n".join(cell.lines), transform=axes.transAxes, fontsize=7.5, va="top")


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

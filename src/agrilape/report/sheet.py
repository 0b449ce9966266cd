"""A contact sheet of a prepared data set: samples of every task, with their places and times drawn."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agrilape.dataset import Example, Sample, read_manifest, read_store
from agrilape.dataset.manifest import describe_splits
from agrilape.errors import RecipeError, did_you_mean
from agrilape.files import write_text
from agrilape.io.pictures import picture_format
from agrilape.report.drawing import SIDE, Mark, TimeBar, bar_of, day_text, marks_of, sentence, words_of
from agrilape.report.page import about
from agrilape.report.sheet_picture import write_picture
from agrilape.report.templating import environment

MOST_PICTURES = 6  # of a series; more are too small to see
GOLDEN = (5**0.5 - 1) / 2  # whose multiples fall evenly between 0 and 1


@dataclass(frozen=True)
class SheetImage:
    """A picture as data URI, with its date in words."""

    uri: str
    date: str


@dataclass(frozen=True)
class SampleCard:
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
    pictures: tuple[SheetImage, ...]
    asked: tuple[Mark, ...]
    answered: tuple[Mark, ...]
    asked_bar: TimeBar | None
    answer_bar: TimeBar | None
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
        hint = f"choose among the tasks {', '.join(have)}"
        raise RecipeError(f"{folder} has no such samples", did_you_mean((*tasks, "")[0], have, hint))
    if output.suffix == ".png":
        return write_picture(output, chosen)
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
    for number, (task, found) in enumerate(sorted(places.items())):
        spread = _spread(len(found), per_task, number)
        examples = [(split, stores[split][chip], n) for split, chip, n in (found[at] for at in spread)]
        chosen[task] = [(split, example, example.samples[n]) for split, example, n in examples]
    return chosen


def _card(split: str, example: Example, sample: Sample) -> SampleCard:
    chip = example.chip
    window, place = chip.window, chip.georeference
    ground = (place.width * place.gsd_m, place.height * place.gsd_m) if place else None
    dates = [picture.acquired for picture in chip.pictures]
    return SampleCard(
        split=split,
        chip=chip.id,
        question=sentence(sample.question, window),
        answer=words_of(sample.answer, window, ground),
        origin=_origin(sample.provenance),
        pictures=tuple(
            SheetImage(_uri(chip.pictures[n].data), _day(dates[n]))
            for n in np.linspace(0, len(dates) - 1, min(len(dates), MOST_PICTURES)).round().astype(int)
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


def _spread(count: int, most: int, task: int) -> list[int]:
    """One number out of each of so many equal stretches; for every task another, so that chips vary."""
    parts = min(count, most)
    shift = task * GOLDEN % 1
    return [int((part + shift) * count / parts) for part in range(parts)]


def _day(day: Any) -> str:
    return "" if day is None else day_text(day)


def _uri(data: bytes) -> str:
    return f"data:image/{picture_format(data)};base64,{base64.b64encode(data).decode()}"

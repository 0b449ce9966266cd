"""Guesses that never look at the image. A model that does not beat them has seen nothing.

Each is fitted on the answers of the train split and answers as a model does, so its rows are scored alike.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median_low
from typing import TypeAlias, TypeVar

import numpy as np

from agrilape.dataset.types import Chip, Example, Sample
from agrilape.evaluate.metrics.captions import find_number
from agrilape.evaluate.predictions import Prediction, plain_text, shapes
from agrilape.geo.shapes import Box, Instant, Part, Point, Polygon, Span

ShapeT = TypeVar("ShapeT", Box, Instant, Span)
Answer: TypeAlias = tuple[Part, ...]


@dataclass
class TaskAnswers:
    """The answers of one task in the train split; all of them are added before the first mean is asked for.

    Attributes:
        answers: All of them, in order.
        boxes: Their boxes, and the boxes around their outlines.
        outlines: Are their places outlines?
        instants: Their moments.
        spans: Their spans.
        texts: How often each text without shapes occurs.
        numbers: The numbers of texts without shapes that hold one.
    """

    answers: list[Answer] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    outlines: bool = False
    instants: list[Instant] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    texts: Counter[str] = field(default_factory=Counter)
    numbers: list[float] = field(default_factory=list)

    def add(self, answer: Answer) -> None:
        """Learn one answer."""
        self.answers.append(answer)
        found = shapes(answer, Polygon)
        self.outlines |= bool(found)
        self.boxes += shapes(answer, Box) + [_around(outline) for outline in found]
        self.instants += shapes(answer, Instant)
        self.spans += shapes(answer, Span)
        if all(isinstance(part, str) for part in answer):
            text = plain_text(answer)
            self.texts[text] += 1
            if (number := find_number(text)) is not None:
                self.numbers.append(number)

    @cached_property
    def mean_box(self) -> Box:
        """The box of mean edges."""
        return _mean(self.boxes, Box)

    @cached_property
    def mean_instant(self) -> Instant:
        """The mean moment."""
        return _mean(self.instants, Instant)

    @cached_property
    def mean_span(self) -> Span:
        """The span of mean ends."""
        return _mean(self.spans, Span)

    @cached_property
    def median_number(self) -> float:
        """The median; of two middle ones the lower, so that counts stay whole."""
        return median_low(self.numbers)

    @cached_property
    def majority(self) -> str:
        """The most frequent text; of several, the first in the alphabet."""
        return min(self.texts, key=lambda text: (-self.texts[text], text))


Guess: TypeAlias = Callable[[TaskAnswers, Chip, Sample], Answer | None]


def fit(examples: Iterable[Example]) -> dict[str, TaskAnswers]:
    """Collect the answers of each task."""
    tasks: dict[str, TaskAnswers] = {}
    for example in examples:
        for sample in example.samples:
            tasks.setdefault(sample.task, TaskAnswers()).add(sample.answer)
    return tasks


def guess(known: Mapping[str, TaskAnswers], name: str, chip: Chip, sample: Sample) -> Prediction | None:
    """The row of a baseline's answer; None if it has none to such a question."""
    answers = known.get(sample.task)
    answer = BASELINES[name](answers, chip, sample) if answers else None
    return Prediction.of(chip, sample, answer) if answer is not None else None


def whole_chip(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """The whole image: what a model that answers with large boxes has to beat."""
    return _place(known, Box(0, 0, 1, 1))


def centre_box(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """The middle half of the image in each direction."""
    return _place(known, Box(0.25, 0.25, 0.75, 0.75))


def mean_box(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """The box of mean edges."""
    return _place(known, known.mean_box) if known.boxes else None


def mean_box_at_point(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """A box of mean width and height around the point of the question, cut at the image's edge."""
    points = shapes(sample.question, Point)
    if not known.boxes or not points:
        return None
    x, y = points[0]
    left, top, right, bottom = known.mean_box
    half_width, half_height = (right - left) / 2, (bottom - top) / 2
    edges = np.clip([x - half_width, y - half_height, x + half_width, y + half_height], 0, 1)
    return _place(known, Box(*edges.tolist()))


def majority(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """The most frequent text; of several, the first in the alphabet."""
    return (known.majority,) if known.texts else None


def mean_date(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """The mean moment, or the span of mean ends, as fractions of the window."""
    if known.boxes:
        return None
    if known.instants:
        return (known.mean_instant,)
    return (known.mean_span,) if known.spans else None


def nearest_date(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """The acquisition nearest to the mean moment: dates are all that it is told of the images."""
    dates = [picture.acquired for picture in chip.pictures if picture.acquired]
    if not known.instants or chip.window is None or not dates:
        return None
    mean = known.mean_instant.t
    return (Instant(min((chip.window.position(day) for day in dates), key=lambda t: abs(t - mean))),)


def median_number(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """The median of counts, areas or stages."""
    return (f"{known.median_number:g}",) if known.numbers else None


def random_answer(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """An answer of the train split, drawn by the sample's id and so the same in every run."""
    return random.Random(sample.id).choice(known.answers)  # noqa: S311 (not for cryptography)


BASELINES: Mapping[str, Guess] = {
    "whole_chip": whole_chip,
    "centre_box": centre_box,
    "mean_box": mean_box,
    "mean_box_at_point": mean_box_at_point,
    "majority": majority,
    "median_number": median_number,
    "mean_date": mean_date,
    "nearest_date": nearest_date,
    "random": random_answer,
}


def _place(known: TaskAnswers, box: Box) -> Answer | None:
    """A box in the form of the task's answers: as an outline, or with the mean span, where these are so.

    None if the task asks for no place.
    """
    if not known.boxes:
        return None
    left, top, right, bottom = box
    corners = (Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom))
    shape = Polygon(corners) if known.outlines else box
    return (shape, known.mean_span) if known.spans else (shape,)


def _around(outline: Polygon) -> Box:
    x, y = np.array(outline.points).T
    return Box(x.min(), y.min(), x.max(), y.max())


def _mean(values: list[ShapeT], kind: type[ShapeT]) -> ShapeT:
    return kind(*np.mean(np.array(values), axis=0).tolist())

"""Guesses that never look at the image. A model that does not beat them has seen nothing.

Each is fitted on the answers of the train split and answers as a model does, so its rows are scored alike.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import numpy as np

from agrilape.evaluate.rows import Prediction, plain_text, shapes
from agrilape.geo.shapes import Box, Instant, Part, Point, Span
from agrilape.samples.types import Chip, Example, Sample

ShapeT = TypeVar("ShapeT", Box, Instant, Span)
Answer: TypeAlias = tuple[Part, ...]


@dataclass
class TaskAnswers:
    """The answers of one task in the train split.

    Attributes:
        answers: All of them, in order.
        boxes: Their boxes.
        instants: Their moments.
        spans: Their spans.
        texts: How often each text without shapes occurs.
    """

    answers: list[Answer] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    instants: list[Instant] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    texts: Counter[str] = field(default_factory=Counter)

    def add(self, answer: Answer) -> None:
        """Learn one answer."""
        self.answers.append(answer)
        self.boxes += shapes(answer, Box)
        self.instants += shapes(answer, Instant)
        self.spans += shapes(answer, Span)
        if all(isinstance(part, str) for part in answer):
            self.texts[plain_text(answer)] += 1


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


def centre_box(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """The middle half of the image in each direction."""
    return (Box(0.25, 0.25, 0.75, 0.75),) if known.boxes else None


def mean_box(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """The box of mean edges."""
    return (_mean(known.boxes, Box),) if known.boxes else None


def mean_box_at_point(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """A box of mean width and height around the point of the question, cut at the image's edge."""
    points = shapes(sample.question, Point)
    if not known.boxes or not points:
        return None
    x, y = points[0]
    boxes = np.array(known.boxes)
    half_width, half_height = (boxes[:, 2:] - boxes[:, :2]).mean(axis=0) / 2
    edges = np.clip([x - half_width, y - half_height, x + half_width, y + half_height], 0, 1)
    return (Box(*edges.tolist()),)


def majority(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """The most frequent text; of several, the first in the alphabet."""
    if not known.texts:
        return None
    return (min(known.texts, key=lambda text: (-known.texts[text], text)),)


def mean_date(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """The mean moment, or the span of mean ends, as fractions of the window."""
    if known.instants:
        return (_mean(known.instants, Instant),)
    return (_mean(known.spans, Span),) if known.spans else None


def nearest_date(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """The acquisition nearest to the mean moment: dates are all that it is told of the images."""
    dates = [picture.acquired for picture in chip.pictures if picture.acquired]
    if not known.instants or chip.window is None or not dates:
        return None
    mean = _mean(known.instants, Instant).t
    return (Instant(min((chip.window.position(day) for day in dates), key=lambda t: abs(t - mean))),)


def random_answer(known: TaskAnswers, chip: Chip, sample: Sample) -> Answer | None:
    """An answer of the train split, drawn by the sample's id and so the same in every run."""
    return random.Random(sample.id).choice(known.answers)  # noqa: S311 (not for cryptography)


BASELINES: Mapping[str, Guess] = {
    "centre_box": centre_box,
    "mean_box": mean_box,
    "mean_box_at_point": mean_box_at_point,
    "majority": majority,
    "mean_date": mean_date,
    "nearest_date": nearest_date,
    "random": random_answer,
}


def _mean(values: list[ShapeT], kind: type[ShapeT]) -> ShapeT:
    return kind(*np.mean(np.array(values), axis=0).tolist())

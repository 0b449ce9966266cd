"""Baselines that see what the model sees of the asked place, for tasks about dates and crops.

Named for what they see: `greenest_image`, `parabola` and `double_logistic` the greenness of the shown images;
`trees` their colours, learnt on the train split; `crop_calendar` no image, but the true crop. A model that is
significantly better than the image-free baselines and significantly worse than these uses part of what it is
shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agrilape.dataset.tasks import TASKS
from agrilape.dataset.types import Chip, Example, Sample
from agrilape.evaluate.baselines import trees
from agrilape.evaluate.baselines.phenology import CURVES, CurveRule, Season
from agrilape.evaluate.baselines.place_series import PlaceSeries, place_series
from agrilape.evaluate.metrics.arrays import Floats, floats
from agrilape.evaluate.metrics.captions import find_number
from agrilape.evaluate.predictions import Prediction, plain_text, shapes
from agrilape.geo.shapes import Box, Instant, Part, Span

MOST_SAMPLES = 4000
"""Of each task in the train split, that trees are fitted on."""
MOST_NAMES = 60
"""Different answers of a task, beyond which trees do not tell them apart."""
TOLD = ("crop_calendar",)
"""Baselines that are told what no image says: no model need be as good."""

Answer: TypeAlias = tuple[Part, ...]
Rows: TypeAlias = dict[str, list[Prediction | None]]
Values: TypeAlias = NDArray[Any]
"""Answers as numbers, `[N, K]`, or names, `[N, 1]`."""
SEASON_PARTS: Mapping[str, tuple[str, ...]] = {
    "peak_of_season": ("peak",), "green_up": ("start",), "harvest": ("end",),
    "growing_season": ("start", "end"), "field_and_season": ("start", "end"),
}  # fmt: skip
"""What of a season each task asks for."""
_SUBJECTS = ("crops", "growth", "rotation", "season", "space_time")


class Asked(NamedTuple):
    """A question, with what the pictures show of its place."""

    chip: Chip
    sample: Sample
    place: PlaceSeries

    @property
    def crop(self) -> str | None:
        """The true crop, if it is known."""
        crop = self.sample.truth.get("crop")
        return None if crop is None else str(crop)

    @property
    def times(self) -> list[float]:
        """Times that the question itself names."""
        return [t for part in self.sample.question if isinstance(part, Instant | Span) for t in part]


class AnswerForm(NamedTuple):
    """How the answers of a task stand for numbers or names.

    Attributes:
        read: The numbers of a true answer, or its one name.
        write: The answer that these are, to a question.
        named: Are they names?
    """

    read: Callable[[Answer], Sequence[Any]]
    write: Callable[[Sequence[Any], Asked], Answer]
    named: bool = False


FORMS: Mapping[str, AnswerForm] = {
    "date": AnswerForm(lambda parts: shapes(parts, Instant)[0], lambda t, _: (Instant(_inside(t[0])),)),
    "interval": AnswerForm(lambda parts: shapes(parts, Span)[0], lambda ends, _: (_span(ends),)),
    "box_and_interval": AnswerForm(
        lambda parts: shapes(parts, Span)[0], lambda ends, one: (one.place.box, _span(ends))
    ),
    "number": AnswerForm(lambda parts: (find_number(plain_text(parts)),), lambda n, _: (f"{n[0]:.0f}",)),
    "name": AnswerForm(lambda parts: (plain_text(parts),), lambda name, _: (str(name[0]),), named=True),
}
"""By what an answer consists of."""


@dataclass
class TaskPlaces:
    """The questions of one task in the train split, each with its place.

    Attributes:
        form: How answers stand for numbers or names.
        asked: The questions; all of them are added before anything is answered.
    """

    form: AnswerForm
    asked: list[Asked] = field(default_factory=list)

    @cached_property
    def targets(self) -> Values:
        """The true answers."""
        return np.array([self.form.read(one.sample.answer) for one in self.asked])

    @cached_property
    def by_crop(self) -> dict[str | None, Floats]:
        """Median answer of each crop, of numbers; of all questions under None."""
        crops = np.array([one.crop for one in self.asked], object)
        medians = {crop: np.median(self.targets[crops == crop], axis=0) for crop in set(crops) - {None}}
        return {**medians, None: np.median(self.targets, axis=0)}

    @cached_property
    def models(self) -> list[Any] | None:
        """Trees for each column of the targets; None if there is nothing that they could tell apart."""
        found, x = [], self.features(self.asked)
        for column in self.targets.T:
            if (fresh := _fresh(column, self.form.named)) is None:
                return None
            found.append(fresh.fit(x, column))
        return found

    def features(self, asked: Sequence[Asked]) -> Floats:
        """What trees see of questions, `[N, F]`."""
        return trees.features([one.place for one in asked], [one.times for one in asked])


def fit(examples: Iterable[Example]) -> dict[str, TaskPlaces]:
    """Collect the places of every task about dates or crops; pictures are let go of."""
    tasks: dict[str, TaskPlaces] = {}
    for example in examples:
        for one in asked_places(example):
            form = FORMS[str(answer_form(one.sample))]
            tasks.setdefault(one.sample.task, TaskPlaces(form)).asked.append(one)
    return tasks


def asked_places(example: Example) -> list[Asked]:
    """The questions of a chip that informed baselines may answer."""
    samples = tuple(one for one in example.samples if answer_form(one) is not None)
    places = place_series(replace(example, samples=samples))
    chip = replace(example.chip, pictures=())
    return [Asked(chip, one, place) for one, place in zip(samples, places, strict=True) if place]


def answer_form(sample: Sample) -> str | None:
    """Key of `FORMS` for a question about dates or crops; None for any other."""
    task = TASKS.get(sample.task)
    if shapes(sample.answer, Span):
        return "box_and_interval" if shapes(sample.answer, Box) else "interval"
    if shapes(sample.answer, Instant):
        return "date"
    if task is None or task.subject not in _SUBJECTS:
        return None
    if task.answer == "name":
        return "name"
    return None if find_number(plain_text(sample.answer)) is None else "number"


def guess(known: Mapping[str, TaskPlaces], examples: Iterable[Example]) -> Rows:
    """The rows of every baseline to every sample, in order; None where one has no answer."""
    order: list[str] = []
    asked: dict[str, list[Asked]] = {}
    for example in examples:
        order += [sample.id for sample in example.samples]
        for one in asked_places(example) if known else ():
            asked.setdefault(one.sample.task, []).append(one)
    rows: Rows = {}
    for name, method in BASELINES.items():
        found = {
            row.id: row
            for task in set(asked) & set(known)
            for row in _rows(known[task], asked[task], method(known[task], asked[task]))
            if row
        }
        rows[name] = [found.get(one) for one in order]
    return rows


def rehearse(known: Mapping[str, TaskPlaces]) -> Rows:
    """Rows to the train split itself, of baselines that a model may be compared with.

    Trees answer by those fitted on other scenes, or they would seem to know all.
    """
    rows: Rows = {name: [] for name in BASELINES if name not in TOLD}
    for task in known.values():
        for name in rows:
            values = _out_of_fold(task) if name == "trees" else BASELINES[name](task, task.asked)
            rows[name] += _rows(task, task.asked, values)
    return rows


Method: TypeAlias = Callable[[TaskPlaces, Sequence[Asked]], Values | None]


def _curve(rule: CurveRule) -> Method:
    """The season of each place by a rule of phenology; the mean answer where a series does not show it."""

    def method(known: TaskPlaces, asked: Sequence[Asked]) -> Values | None:
        parts = SEASON_PARTS.get(asked[0].sample.task)
        if parts is None:
            return None
        seasons: list[Season] = [rule(one.place.times, one.place.index, 1.0) for one in asked]
        found = floats([[getattr(season, part) for part in parts] for season in seasons])
        return np.where(np.isfinite(found), found, known.targets.mean(axis=0))

    return method


def _crop_calendar(known: TaskPlaces, asked: Sequence[Asked]) -> Values | None:
    """The median answer of the true crop, of a crop that the train split lacks that of all."""
    if known.form.named or not any(one.crop for one in asked):
        return None
    return np.stack([known.by_crop.get(one.crop, known.by_crop[None]) for one in asked])


def _trees(known: TaskPlaces, asked: Sequence[Asked]) -> Values | None:
    """Boosted trees."""
    if known.models is None:
        return None
    x = known.features(asked)
    return np.stack([model.predict(x) for model in known.models], axis=1)


BASELINES: Mapping[str, Method] = {
    **{name: _curve(rule) for name, rule in CURVES.items()}, "crop_calendar": _crop_calendar, "trees": _trees,
}  # fmt: skip


def _out_of_fold(known: TaskPlaces) -> Values | None:
    scenes = [f"{one.chip.source}/{one.chip.scene}" for one in known.asked]
    x, columns = known.features(known.asked), []
    for column in known.targets.T:
        fresh = _fresh(column, known.form.named)
        found = None if fresh is None else trees.out_of_fold(fresh, x, column, scenes)
        if found is None:
            return None
        columns.append(found)
    return np.stack(columns, axis=1)


def _fresh(column: NDArray[Any], named: bool) -> Any | None:
    if not named:
        return trees.regressor()
    names = Counter(column)
    return trees.classifier(len(names)) if 2 <= len(names) <= MOST_NAMES else None


def _rows(known: TaskPlaces, asked: Sequence[Asked], values: Values | None) -> list[Prediction | None]:
    if values is None:
        return [None] * len(asked)
    write = known.form.write
    return [
        Prediction.of(one.chip, one.sample, write(value, one))
        for one, value in zip(asked, values, strict=True)
    ]


def _inside(t: float) -> float:
    return float(np.clip(t, 0, 1))


def _span(ends: Sequence[float]) -> Span:
    start, end = sorted(map(_inside, ends))
    return Span(start, end)

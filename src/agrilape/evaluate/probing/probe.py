"""Where a run's model loses what its images show: linear probes on the way from pixels to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agrilape.config import Recipe
from agrilape.console import progress
from agrilape.dataset import read_store
from agrilape.dataset.recipe_leakage import check_recipe_leakage
from agrilape.dataset.types import Example, Sample
from agrilape.errors import RecipeError
from agrilape.evaluate.baselines.place_series import PlaceSeries, asked_place, place_series
from agrilape.evaluate.baselines.trees import course
from agrilape.evaluate.evaluation import last_checkpoint
from agrilape.evaluate.metrics.arrays import Floats, floats
from agrilape.evaluate.predictions import shapes
from agrilape.evaluate.probing.linear import Probed, Reading, Target, difference, read, read_nothing, targets
from agrilape.evaluate.probing.model_features import LAYERS, PlaceFeatures, place_features
from agrilape.evaluate.subset import Subset
from agrilape.files import write_json
from agrilape.geo.shapes import Box, Instant, Point
from agrilape.model import Checkpoint, load_checkpoint

TASKS = ("peak_of_season", "crop_at_point", "crop_in_box", "growing_season", "green_up", "harvest")
"""Tasks whose questions are probed with, those asked first that say most."""
COLOURS = "shown colours"
FEWEST = 20
"""Questions, below which nothing is read."""


class Shown(NamedTuple):
    """A question with what the pictures show of its place.

    Attributes:
        example: Its chip, with pictures.
        sample: The question.
        place: What it asks about.
        series: The colours there.
    """

    example: Example
    sample: Sample
    place: Point | Box
    series: PlaceSeries

    @property
    def scene(self) -> str:
        """Unique name of its scene."""
        return f"{self.example.chip.source}/{self.example.chip.scene}"


def probe_run(recipe: Recipe, run: Path, limit: int = 500) -> dict[str, Any]:
    """Read greenness, crop and peak date from the last checkpoint's features; writes `probe.json`.

    Args:
        recipe: What the run was made from; of `evaluation`, its data sets and split count.
        run: Run folder with `data/` and `stages/`.
        limit: Most questions of each split and task.

    Returns:
        `scores`: features -> target -> `{value, low, high, n, scenes}`; `versus_tower`: the language model's
        readings minus the vision tower's; `measures`: what each score is.

    Raises:
        RecipeError: There is no trained stage, or no series with questions about a place.
        DataError: A stage trained on what is to be asked about.
    """
    folder = last_checkpoint(recipe, run)
    check_recipe_leakage(recipe, run / "data")
    shown = {
        split: [
            one for name in recipe.evaluation.datasets for one in _questions(run / "data", name, split, limit)
        ]
        for split in ("train", recipe.evaluation.split)
    }
    if few := [split for split, ones in shown.items() if len(ones) < FEWEST]:
        raise RecipeError(
            f"fewer than {FEWEST} questions about a place in a time series in the {few[0]} split",
            f"prepare a data set with series, and tasks such as {TASKS[0]}, for evaluation.datasets",
        )
    checkpoint = load_checkpoint(folder)
    with progress("probe", sum(map(len, shown.values())), "questions") as track:
        seen = [_features(checkpoint, ones, track) for ones in shown.values()]
    result = probe(shown["train"], shown[recipe.evaluation.split], *seen)
    write_json(run / "probe.json", result)
    return result


def probe(
    train: Sequence[Shown],
    test: Sequence[Shown],
    before: Sequence[PlaceFeatures],
    after: Sequence[PlaceFeatures],
) -> dict[str, Any]:
    """Readings of every target from every layer, fitted on `train` and judged on `test`.

    Args:
        train: Questions to fit with.
        test: Questions of other scenes.
        before: The model's features of `train`.
        after: Those of `test`.
    """
    days = float(np.mean([one.example.chip.window.days for one in test if one.example.chip.window]))
    scores: dict[str, dict[str, Any]] = {name: {} for name in ("no features", COLOURS, *LAYERS)}
    versus: dict[str, dict[str, Any]] = {name: {} for name in LAYERS[1:]}
    measures = {}
    for name, target in targets(days).items():
        pairs = {
            layer: (_probed(name, layer, train, before), _probed(name, layer, test, after))
            for layer in (COLOURS, *LAYERS)
        }
        fit, judge = pairs[COLOURS]
        if min(len(fit.y), len(judge.y)) < FEWEST or len(set(fit.y.tolist())) < 2:
            continue
        measures[name] = target.measure
        scores["no features"][name] = _json(read_nothing(target, fit, judge))
        readings = {layer: read(target, *pair) for layer, pair in pairs.items()}
        for layer, reading in readings.items():
            scores[layer][name] = _json(reading)
        for layer in versus:
            versus[layer][name] = _versus(target, readings[LAYERS[0]], readings[layer], judge.scenes)
    return {"measures": measures, "scores": scores, "versus_tower": versus}


def _questions(data: Path, name: str, split: str, limit: int) -> list[Shown]:
    """Questions about one place in a time series."""
    found = []
    for example in Subset(name, read_store(data / name, split), limit, TASKS):
        if example.chip.window is None or len(example.chip.pictures) < 2:
            continue
        for sample, series in zip(example.samples, place_series(example), strict=True):
            place = asked_place(sample)
            if series is not None and place is not None:
                found.append(Shown(example, sample, place, series))
    return found


def _features(checkpoint: Checkpoint, shown: Sequence[Shown], track: Any) -> list[PlaceFeatures]:
    found = []
    for one in place_features(checkpoint, [(one.example, one.sample, one.place) for one in shown]):
        found.append(one)
        track()
    return found


def _probed(target: str, layer: str, shown: Sequence[Shown], features: Sequence[PlaceFeatures]) -> Probed:
    """Features of a layer beside the truths of a target: of greenness a row for each date."""
    rows: list[Floats] = []
    truths: list[Any] = []
    scenes: list[str] = []
    for one, made in zip(shown, features, strict=True):
        known = _truth(target, one)
        if known is None:
            continue
        if target == "greenness":
            seen = one.series.colours if layer == COLOURS else made.place[LAYERS.index(layer)]
            rows += list(seen)
            truths += one.series.index.tolist()
            scenes += [one.scene] * len(seen)
        else:
            rows.append(_whole(layer, one, made))
            truths.append(known)
            scenes.append(one.scene)
    return Probed(np.array(rows), np.array(truths), scenes)


def _whole(layer: str, one: Shown, made: PlaceFeatures) -> Floats:
    """A whole series: its course, of the language model what it holds where the answer begins."""
    if layer in (COLOURS, LAYERS[0]):
        values = one.series.colours if layer == COLOURS else made.place[0]
        return course(one.series.times, values).ravel()
    return floats(made.end[LAYERS.index(layer)])


def _truth(target: str, one: Shown) -> Any:
    """What is to be read, None where it is not known of this question."""
    if target == "crop":
        return one.sample.truth.get("crop")
    if target == "peak":
        moments = shapes(one.sample.answer, Instant)
        return moments[0].t if one.sample.task == "peak_of_season" and moments else None
    return True


def _versus(target: Target, tower: Reading, language: Reading, scenes: Sequence[str]) -> Mapping[str, Any]:
    return difference(target, tower, language, scenes)._asdict()


def _json(reading: Reading) -> dict[str, Any]:
    return reading.score._asdict()

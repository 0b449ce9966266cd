"""Linear readings of features, with intervals over held-out scenes.

A linear reading finds what is laid out for the next layer to use, not what a larger probe might work out by
itself (Alain and Bengio, 2016, arXiv:1610.01644).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrilape.evaluate.metrics.arrays import Floats, divide, floats
from agrilape.evaluate.metrics.intervals import (
    Difference,
    Estimate,
    Statistic,
    compare,
    estimate,
    per_sample,
    ratio,
)

ALPHAS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
"""Strengths of the ridge penalty that are tried, by folds of scenes within the train split."""
FOLDS = 3


class Probed(NamedTuple):
    """What is read from, and what is to be read.

    Attributes:
        x: Features, `[N, F]`.
        y: Numbers or names, `[N]`.
        scenes: Scene of each row.
    """

    x: Floats
    y: NDArray[Any]
    scenes: Sequence[str]


@dataclass(frozen=True)
class Target:
    """What a probe is asked to read.

    Attributes:
        name: As in `probe.json`.
        measure: What its score is: `explained` variance, `accuracy`, or error in `days`.
        columns: Additive quantities `[N, K]` of readings, truths, and the train split's truths.
        statistic: Score of their sums.
        named: Is it a name?
    """

    name: str
    measure: str
    columns: Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], Floats]
    statistic: Statistic = ratio
    named: bool = False


class Reading(NamedTuple):
    """How well a target is read, and the quantities that this was summed from."""

    score: Estimate
    columns: Floats


def read(target: Target, train: Probed, test: Probed) -> Reading:
    """Fit a linear reading on the train split and judge it on the test split."""
    model = _fitted(train, target.named)
    return _judged(target, model.predict(test.x), train, test)


def read_nothing(target: Target, train: Probed, test: Probed) -> Reading:
    """The same without any features: the mean of the train split, or its most frequent name."""
    if target.named:
        names, counts = np.unique(train.y, return_counts=True)
        guess = names[counts.argmax()]
    else:
        guess = train.y.mean()
    return _judged(target, np.full(len(test.y), guess), train, test)


def difference(target: Target, first: Reading, second: Reading, scenes: Sequence[str]) -> Difference:
    """Second reading minus first, paired by scene."""
    return compare(first.columns, second.columns, scenes, target.statistic)


def _judged(target: Target, given: NDArray[Any], train: Probed, test: Probed) -> Reading:
    columns = target.columns(given, test.y, train.y)
    return Reading(estimate(columns, test.scenes, target.statistic), columns)


def _fitted(train: Probed, named: bool) -> Any:
    """Ridge regression, or its classifier, on standardised features."""
    from sklearn.linear_model import Ridge, RidgeClassifier  # a second, which few commands need to wait
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    ridge = RidgeClassifier() if named else Ridge()
    model = make_pipeline(StandardScaler(), ridge)
    strengths: Mapping[str, Sequence[float]] = {f"{type(ridge).__name__.lower()}__alpha": ALPHAS}
    folds = min(FOLDS, len(set(train.scenes)))
    if folds < 2:
        return model.set_params(**dict.fromkeys(strengths, 100.0)).fit(train.x, train.y)
    search = GridSearchCV(model, strengths, cv=GroupKFold(folds))
    return search.fit(train.x, train.y, groups=np.asarray(train.scenes))


def _squares(given: NDArray[Any], true: NDArray[Any], before: NDArray[Any]) -> Floats:
    return np.stack([(given - true) ** 2, (before.mean() - true) ** 2], axis=1)


def _explained(sums: Floats) -> Floats:
    return floats(1 - divide(sums[..., 0], sums[..., 1], np.nan))


def targets(days: float) -> dict[str, Target]:
    """The targets by name; `days` is the length of the calendar that peak dates are fractions of."""
    return {
        "greenness": Target("greenness", "explained", _squares, _explained),
        "crop": Target("crop", "accuracy", lambda given, true, _: per_sample(given == true), named=True),
        "peak": Target("peak", "days", lambda given, true, _: per_sample(days * np.abs(given - true))),
    }

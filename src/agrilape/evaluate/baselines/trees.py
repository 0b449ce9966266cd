"""Boosted trees on the course of colours at a place: a conventional method on the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrilape.evaluate.baselines.place_series import PlaceSeries
from agrilape.evaluate.metrics.arrays import Floats, floats

DATES = 12
"""Dates of the calendar on which a course is described."""
ROUNDS = 150
"""Boosting rounds; of names these are shared among them, as each takes a tree a round."""
FEWEST_ROUNDS = 15
FOLDS = 3
"""Parts of the train split by which trees answer for what they were not fitted on."""


def features(places: Sequence[PlaceSeries], asked: Sequence[Sequence[float]]) -> Floats:
    """One row of numbers per place: its course, by lines between the pictures, then the times asked about.

    Args:
        places: The asked places, each with pictures of its own number and dates.
        asked: Times that each question itself names.

    Returns:
        Three colours and greenness on `DATES` dates of the calendar, then the times, `[N, F]`; NaN for none.
    """
    most = max(map(len, asked), default=0)
    times = [[*named, *[np.nan] * (most - len(named))] for named in asked]
    courses = [course(place.times, np.column_stack([place.colours, place.index])).ravel() for place in places]
    return np.hstack([floats(courses).reshape(len(places), -1), floats(times).reshape(len(places), most)])


def course(times: Floats, values: Floats) -> Floats:
    """Values on evenly spread dates of the calendar, by lines between acquisitions.

    Args:
        times: Of the acquisitions, as fractions of the calendar, `[T]` in order; NaN for none.
        values: `[T, C]`.

    Returns:
        `[DATES, C]`; before the first and after the last acquisition as there, without any time the mean.
    """
    dated = np.isfinite(times)
    if not dated.any():
        return np.tile(values.mean(axis=0), (DATES, 1))
    grid = np.linspace(0, 1, DATES)
    return np.stack([np.interp(grid, times[dated], channel) for channel in values[dated].T], axis=1)


def regressor() -> Any:
    """Trees for a number of which the absolute error counts."""
    from sklearn.ensemble import HistGradientBoostingRegressor  # a second, which few commands need to wait

    return HistGradientBoostingRegressor(loss="absolute_error", **_settings(ROUNDS))


def classifier(names: int) -> Any:
    """Trees for one of several names."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**_settings(max(ROUNDS // names, FEWEST_ROUNDS)))


def out_of_fold(trees: Any, x: Floats, y: NDArray[Any], scenes: Sequence[str]) -> NDArray[Any] | None:
    """Answers to the rows themselves, each by trees fitted on other scenes; None if there is one scene only.

    Args:
        trees: From `regressor` or `classifier`.
        x: Features, `[N, F]`.
        y: Targets, `[N]`.
        scenes: Scene of each row.
    """
    from sklearn.model_selection import GroupKFold, cross_val_predict

    folds = min(FOLDS, len(set(scenes)))
    if folds < 2:
        return None
    found: NDArray[Any] = cross_val_predict(trees, x, y, groups=scenes, cv=GroupKFold(folds))
    return found


def _settings(rounds: int) -> dict[str, Any]:
    return {
        "max_iter": rounds, "learning_rate": 0.08, "max_leaf_nodes": 15, "min_samples_leaf": 10,
        "early_stopping": False, "random_state": 0,
    }  # fmt: skip

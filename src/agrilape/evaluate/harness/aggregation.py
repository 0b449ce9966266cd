"""Scores of lmms-eval's tasks: for every metric of agrilape a function of its name.

`aggregation.miou(rows)` is the mIoU of rows as `tasks.outcome` makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from agrilape.evaluate.predictions import Prediction
from agrilape.evaluate.scores import metrics_of

Aggregation = Callable[[Sequence[Mapping[str, Any]]], float]


def __getattr__(name: str) -> Aggregation:
    """The aggregation of a metric."""
    if name.startswith("_"):
        raise AttributeError(name)
    return partial(score, name)


def score(name: str, items: Sequence[Mapping[str, Any]]) -> float:
    """The score of answered rows of one task."""
    rows = [Prediction.from_json(item) for item in items]
    (metric,) = (one for one in metrics_of(rows[0].task, rows) if one.name == name)
    return metric.point(rows)

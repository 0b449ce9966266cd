"""A score of a task: which quantities it sums over samples, and what it makes of the sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from agrilape.evaluate.answer_arrays import Rows
from agrilape.evaluate.metrics.arrays import Floats, floats
from agrilape.evaluate.metrics.intervals import (
    Difference,
    Estimate,
    Statistic,
    compare,
    estimate,
    per_sample,
    ratio,
)
from agrilape.evaluate.predictions import Prediction
from agrilape.evaluate.resampling_units import BlockDifference, BlockEstimate, units

Columns: TypeAlias = Callable[[Rows], Floats]
Applies: TypeAlias = Callable[[Prediction], bool]


@dataclass(frozen=True)
class Metric:
    """One score of a task.

    Attributes:
        name: Its name in `metrics.json`.
        columns: Additive quantities of each row, `[N, K]`.
        statistic: Score of their sums.
        lower_is_better: Is it an error?
        applies: Rows that it is defined for; None for all.
        optional: Is it measured only where a suite names it?
        package: What must be installed to measure it; None for nothing beyond agrilape itself.
    """

    name: str
    columns: Columns
    statistic: Statistic = ratio
    lower_is_better: bool = False
    applies: Applies | None = None
    optional: bool = False
    package: str | None = None

    def select(self, rows: Rows) -> Rows:
        """The rows that it is defined for."""
        return rows if self.applies is None else [row for row in rows if self.applies(row)]

    def score(self, rows: Rows, columns: Floats | None = None) -> Estimate | BlockEstimate:
        """The score of rows, with its interval; `columns` of those selected, if known."""
        chosen = self.select(rows)
        known = self.columns(chosen) if columns is None else columns
        drawn = units(chosen)
        found = drawn.of_score(estimate(known, drawn.labels, self.statistic, careful=drawn.by_block))
        if drawn.by_block and not self.lower_is_better and found.high is not None and found.value <= 1:
            return found._replace(high=min(found.high, 1.0))  # no share is larger
        return found

    def point(self, rows: Rows) -> float:
        """The score of rows without an interval; NaN where it is defined for none."""
        return (
            float(self.statistic(self.columns(chosen).sum(axis=0)))
            if (chosen := self.select(rows))
            else np.nan
        )

    def difference(self, first: Rows, second: Rows) -> Difference | BlockDifference:
        """Second minus first, on the same samples in the same order."""
        a, b = self.select(first), self.select(second)
        drawn = units(a)
        columns = self.columns(a), self.columns(b)
        return drawn.of_difference(compare(*columns, drawn.labels, self.statistic, careful=drawn.by_block))


def mean(name: str, values: Columns, applies: Applies | None = None) -> Metric:
    """The mean of one value per row."""
    return Metric(name, lambda rows: per_sample(values(rows)), applies=applies)


def share(name: str, values: Columns, at_least: float) -> Metric:
    """The share of rows whose value reaches a threshold."""
    return mean(name, lambda rows: floats(values(rows) >= at_least))


def error(name: str, values: Columns, applies: Applies | None = None, *, optional: bool = False) -> Metric:
    """The mean of one error per row, of which less is better."""
    return Metric(
        name,
        lambda rows: per_sample(values(rows)),
        lower_is_better=True,
        applies=applies,
        optional=optional,
    )


def sums_of(statistic: Callable[..., Floats], *columns: int) -> Statistic:
    """A statistic that takes some of the summed columns, each as an argument."""
    return lambda sums: statistic(*(sums[..., column] for column in columns))

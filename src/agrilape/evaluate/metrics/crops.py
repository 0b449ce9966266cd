"""Crop names: agreement with the truth, over all samples and per class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agrilape.evaluate.metrics.arrays import Floats, divide


def confusion(
    truth: Sequence[str], predicted: Sequence[str | None], classes: Sequence[str]
) -> NDArray[np.int64]:
    """Confusion matrix `[K, K + 1]`: rows are truths, columns predictions.

    The last column holds every prediction that is none of the classes, unreadable ones (None) included.

    Raises:
        ValueError: If a truth is not among the classes.
    """
    matrix = np.zeros((len(classes), len(classes) + 1), dtype=np.int64)
    np.add.at(matrix, _indices(truth, predicted, classes), 1)
    return matrix


def margins(truth: Sequence[str], predicted: Sequence[str | None], classes: Sequence[str]) -> Floats:
    """Of each sample and class, whether it was hit, is the truth, and was predicted: `[N, 3, K]`.

    Sums over samples are the diagonal and margins of the confusion matrix, all that the scores below need.
    A prediction outside the classes hits nothing, and so counts as wrong.

    Raises:
        ValueError: If a truth is not among the classes.
    """
    rows, columns = _indices(truth, predicted, classes)
    table = np.zeros((len(rows), 3, len(classes) + 1))
    sample = np.arange(len(rows))
    table[sample, 0, rows] = rows == columns
    table[sample, 1, rows] = 1
    table[sample, 2, columns] = 1
    return table[..., :-1]


def overall_accuracy(sums: Floats) -> Floats:
    """OA: share of the samples that are right, 0 to 1, of summed margins `[..., 3, K]`; NaN without any."""
    hits, truths, _ = np.moveaxis(sums, -2, 0)
    return divide(hits.sum(axis=-1), truths.sum(axis=-1), np.nan)


def cohen_kappa(sums: Floats) -> Floats:
    """Cohen's (1960) kappa, -1 to 1: agreement beyond chance, of summed margins `[..., 3, K]`.

    0 where truth and predictions are all of one class, so that chance explains everything.
    """
    _, truths, predictions = np.moveaxis(sums, -2, 0)
    chance = divide((truths * predictions).sum(axis=-1), truths.sum(axis=-1) ** 2)
    return divide(overall_accuracy(sums) - chance, 1 - chance)


def macro_f1(sums: Floats) -> Floats:
    """Unweighted mean of F1 over the classes that occur as truth, 0 to 1, of summed margins `[..., 3, K]`."""
    hits, truths, predictions = np.moveaxis(sums, -2, 0)
    f1 = divide(2 * hits, truths + predictions)
    present = truths > 0
    return divide((f1 * present).sum(axis=-1), present.sum(axis=-1), np.nan)


def hierarchical_credit(truth: str, predicted: str | None) -> float:
    """Share of the levels of an HCAT code that a prediction gets right from the root, 0 to 1.

    The Hierarchical Crop and Agriculture Taxonomy (Schneider et al., 2023) has ten digits, two per level;
    trailing `00` mean that the level is not stated. The first level (33, agriculture) earns nothing, being
    shared by all crops. Winter barley for winter wheat thus earns more than a pasture does.

    Raises:
        ValueError: If the truth is not a code of ten digits below the root.
    """
    wanted = _levels(truth)
    if not wanted:
        raise ValueError(f"not an HCAT code below the root: {truth!r}")
    given = _levels(predicted or "")
    agreed = 0
    for want, got in zip(wanted, given, strict=False):
        if want != got:
            break
        agreed += 1
    return agreed / len(wanted)


def is_hcat_code(code: str) -> bool:
    """Is this a code of ten digits below the root?"""
    return bool(_levels(code))


def _levels(code: str) -> list[str]:
    if len(code) != 10 or not code.isdecimal():
        return []
    pairs = [code[i : i + 2] for i in range(2, 10, 2)]
    while pairs and pairs[-1] == "00":
        pairs.pop()
    return pairs


def _indices(
    truth: Sequence[str], predicted: Sequence[str | None], classes: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    index: dict[str | None, int] = {name: k for k, name in enumerate(classes)}
    if unknown := sorted(set(truth) - set(classes)):
        raise ValueError(f"truths outside the classes: {', '.join(unknown)}")
    rows = np.array([index[name] for name in truth], dtype=np.int64)
    columns = np.array([index.get(name, len(classes)) for name in predicted], dtype=np.int64)
    return rows, columns

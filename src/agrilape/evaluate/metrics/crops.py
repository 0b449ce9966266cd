"""Crop names: agreement with the truth, over all samples and per class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agrilape.evaluate.metrics.arrays import Floats, divide, floats


def one_hot_confusion(
    truth: Sequence[str], predicted: Sequence[str | None], classes: Sequence[str]
) -> Floats:
    """Each sample's own confusion matrix, `[N, K, K + 1]`: rows are truths, columns predictions.

    The last column holds every prediction that is none of the classes, unreadable ones included: these count
    as wrong. Sums over samples are confusion matrices, which makes resampling cheap.

    Raises:
        ValueError: If a truth is not among the classes.
    """
    index = {name: k for k, name in enumerate(classes)}
    if unknown := sorted(set(truth) - set(index)):
        raise ValueError(f"truths outside the classes: {', '.join(unknown)}")
    matrix = np.zeros((len(truth), len(classes), len(classes) + 1))
    rows = [index[name] for name in truth]
    columns = [index.get(name, len(classes)) if name is not None else len(classes) for name in predicted]
    matrix[np.arange(len(truth)), rows, columns] = 1
    return matrix


def confusion(truth: Sequence[str], predicted: Sequence[str | None], classes: Sequence[str]) -> Floats:
    """Confusion matrix `[K, K + 1]`, see `one_hot_confusion`."""
    return floats(one_hot_confusion(truth, predicted, classes).sum(axis=0))


def overall_accuracy(matrix: Floats) -> Floats:
    """OA: share of the samples on the diagonal of `[..., K, K + 1]`, 0 to 1."""
    return divide(_diagonal(matrix).sum(axis=-1), matrix.sum(axis=(-2, -1)), np.nan)


def cohen_kappa(matrix: Floats) -> Floats:
    """Cohen's (1960) kappa, -1 to 1, of `[..., K, K + 1]`: agreement beyond chance."""
    total = matrix.sum(axis=(-2, -1))
    observed = _diagonal(matrix).sum(axis=-1) / total
    chance = (matrix.sum(axis=-1) * matrix.sum(axis=-2)[..., :-1]).sum(axis=-1) / total**2
    return divide(observed - chance, 1 - chance)


def macro_f1(matrix: Floats) -> Floats:
    """Unweighted mean over the classes that occur as truth of their F1, 0 to 1, of `[..., K, K + 1]`."""
    truths, predictions = matrix.sum(axis=-1), matrix.sum(axis=-2)[..., :-1]
    both = truths + predictions
    f1 = divide(2 * _diagonal(matrix), both)
    present = truths > 0
    return np.asarray((f1 * present).sum(axis=-1) / present.sum(axis=-1))


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


def _levels(code: str) -> list[str]:
    if len(code) != 10 or not code.isdecimal():
        return []
    pairs = [code[i : i + 2] for i in range(2, 10, 2)]
    while pairs and pairs[-1] == "00":
        pairs.pop()
    return pairs


def _diagonal(matrix: Floats) -> Floats:
    return np.diagonal(matrix[..., :-1], axis1=-2, axis2=-1)

"""How sure a model is of an answer: what its distributions over places and times, and over words, say.

A coordinate is answered by a distribution over the bins of its axis. If the true place is drawn from it, an
answered box has an expected IoU with the true box; this, times the probability of the tokens that said that
there is such a box, is the confidence of the box. It is in [0, 1] and not calibrated, see
`agrilape.evaluate.calibrator`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import ArrayLike

from agrilape.evaluate.metrics.arrays import Floats, floats
from agrilape.evaluate.metrics.boxes import box_iou
from agrilape.evaluate.metrics.calibration import quantiles
from agrilape.evaluate.metrics.polygons import polygon_iou
from agrilape.evaluate.metrics.time import temporal_iou
from agrilape.geo.shapes import Box, Instant, Point, Polygon, Shape, Span
from agrilape.tokens.grammar import ParsedMessage, coordinates_of

DRAWS = 64
"""Places drawn from the distribution of each coordinate."""
NEAR = 0.04
"""A point or a moment within this fraction of an axis of the answered one agrees with it: 2 bins of 50."""
_LEVELS = ((np.arange(DRAWS) + 0.5) / DRAWS).tolist()
# Draws of one coordinate are its quantiles; an order of its own for each coordinate makes them independent.
_ORDERS = np.random.default_rng(0).permuted(np.tile(np.arange(DRAWS), (64, 1)), axis=1)


class AnswerScores(NamedTuple):
    """What is kept of the scores of one answer.

    Attributes:
        tokens: Probability of each token, up to the one that ends the answer.
        steps: Which of the tokens are position tokens.
        coordinates: Of each position token, what `read_coordinate` gives.
    """

    tokens: Sequence[float]
    steps: Sequence[int]
    coordinates: Sequence[Sequence[float]]


def read_coordinate(probabilities: ArrayLike) -> Floats:
    """Draws from distributions over an axis, as fractions of it, and the probability of the likeliest bin.

    Args:
        probabilities: Weights of the axis's tokens, `[n, N]`; each row adds up to 1.

    Returns:
        `[n, DRAWS + 1]`.
    """
    weights = floats(probabilities)
    draws = np.clip(quantiles(weights, _LEVELS) / (weights.shape[1] - 1), 0, 1)
    return np.hstack([draws, weights.max(axis=1, keepdims=True)])


def confidences(read: ParsedMessage, scores: AnswerScores) -> tuple[float, ...]:
    """Confidence of each shape of an answer; of an answer without shapes, the probability of its words.

    Coordinates in numerals have no distributions over an axis: each shape then gets the geometric mean of
    the probabilities of all tokens.
    """
    tokens = floats(scores.tokens)
    if not read.shapes:
        return (round(float(tokens.prod()), 4),)
    if not scores.steps:
        mean = float(np.exp(np.log(np.maximum(tokens, 1e-12)).mean()))
        return (round(mean, 4),) * len(read.shapes)
    found, end = [], 0
    for first, shape in zip(read.firsts, read.shapes, strict=True):
        count = len(coordinates_of(shape))
        coordinates = floats(scores.coordinates[first : first + count])
        begin = scores.steps[first]
        # The words and brackets before, and that a place of this axis follows, whichever it is.
        said = tokens[end:begin].prod() * tokens[begin] / coordinates[0, DRAWS]
        found.append(round(float(min(said, 1) * expected_agreement(shape, coordinates[:, :DRAWS])), 4))
        end = scores.steps[first + count - 1] + 1
    return tuple(found)


def expected_agreement(shape: Shape, draws: Floats) -> float:
    """Expected IoU of a shape with the true one; of a point or a moment, how likely the true one is near.

    Args:
        shape: As it was answered.
        draws: Of each of its coordinates, `DRAWS` fractions of the axis by size, `[C, DRAWS]`.
    """
    orders = _ORDERS[np.arange(len(draws)) % len(_ORDERS)]
    drawn = np.take_along_axis(draws, orders, axis=1).T
    match shape:
        case Box():
            return float(box_iou(floats(shape), drawn).mean())
        case Span():
            return float(temporal_iou(np.broadcast_to(floats(shape), drawn.shape), drawn).mean())
        case Polygon(points):
            outline = shapely.make_valid(shapely.Polygon(points))
            others = shapely.make_valid(shapely.polygons(drawn.reshape(DRAWS, -1, 2)))
            return float(polygon_iou([outline] * DRAWS, list(others)).mean())
        case Point() | Instant():
            return float((np.abs(drawn - floats(shape)) <= NEAR).all(axis=1).mean())

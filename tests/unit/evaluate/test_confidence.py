"""Expected overlap against sampling, and what words and brackets add to it."""

import numpy as np
import pytest

from agrilape.evaluate.confidence import AnswerScores, confidences, expected_agreement, read_coordinate
from agrilape.evaluate.metrics.boxes import box_iou
from agrilape.geo.shapes import Box, Instant, Point, Polygon, Span
from agrilape.tokens.grammar import ParsedMessage

BINS = 101


def distributions(means, sigma):
    """Gaussian distributions over the bins of an axis, `[n, BINS]`."""
    exponents = -((np.linspace(0, 1, BINS) - np.array(means)[:, None]) ** 2) / (2 * sigma**2)
    weights = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def draws(means, sigma):
    return read_coordinate(distributions(means, sigma))[:, :-1]


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
def test_a_box_is_expected_to_overlap_as_much_as_boxes_drawn_from_its_distributions_do(sigma):
    box = Box(0.3, 0.35, 0.6, 0.7)
    sampled = np.random.default_rng(0).normal(box, sigma, (20_000, 4)).clip(0, 1)
    truth = box_iou(np.array(box), sampled).mean()
    assert expected_agreement(box, draws(box, sigma)) == pytest.approx(truth, abs=0.02)


@pytest.mark.parametrize(
    "shape",
    [
        Box(0.3, 0.35, 0.6, 0.7),
        Span(0.3, 0.6),
        Instant(0.4),
        Point(0.4, 0.5),
        Polygon((Point(0.3, 0.3), Point(0.6, 0.3), Point(0.6, 0.7), Point(0.3, 0.6))),
    ],
)
def test_the_sharper_the_distributions_the_surer_the_shape(shape):
    centre = [c for p in getattr(shape, "points", (shape,)) for c in p]
    found = [expected_agreement(shape, draws(centre, sigma)) for sigma in (0.005, 0.05, 0.2)]
    assert found[0] > 0.9
    assert found[0] > found[1] > found[2] > 0


def answer(shapes, words, before=(1.0,), after=(1.0,)):
    """Scores of `words [shape] [shape]`: one token before each shape, sharp places, one that ends it."""
    read, tokens, steps, found, firsts = [], [words], [], [], []
    for shape, opened in zip(shapes, before, strict=True):
        tokens.append(opened)
        firsts.append(len(steps))
        coordinates = read_coordinate(distributions(shape, 1e-3))
        steps += range(len(tokens), len(tokens) + len(shape))
        tokens += coordinates[:, -1].tolist()
        found += coordinates.tolist()
        read.append(shape)
    return ParsedMessage(tuple(read), (), tuple(firsts)), AnswerScores([*tokens, *after], steps, found)


def test_doubt_whether_there_is_such_an_object_is_doubt_of_that_object_alone():
    boxes = Box(0.1, 0.1, 0.4, 0.4), Box(0.6, 0.6, 0.9, 0.9)
    sure, unsure = confidences(*answer(boxes, words=1.0, before=(1.0, 0.3)))
    assert sure > 0.9
    assert unsure == pytest.approx(0.3 * sure, abs=0.01)


def test_an_unlikely_likeliest_bin_of_a_sharp_place_is_no_doubt_of_the_object():
    """A place between two bins shares its probability between them."""
    between = Box(0.205, 0.205, 0.605, 0.605)
    (found,) = confidences(*answer((between,), words=1.0))
    assert found > 0.9


def test_words_without_a_place_are_as_sure_as_their_tokens_are_likely():
    assert confidences(ParsedMessage(("maize",), ()), AnswerScores([0.8, 0.5], (), ())) == (0.4,)


def test_coordinates_in_numerals_have_the_mean_certainty_of_their_tokens():
    read = ParsedMessage((Box(0.1, 0.1, 0.2, 0.2), Box(0.3, 0.3, 0.4, 0.4)), (), (0, 4))
    assert confidences(read, AnswerScores([0.25, 1.0], (), ())) == (0.5, 0.5)

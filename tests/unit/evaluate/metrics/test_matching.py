"""One-to-one matching against brute force, AP against a direct reading of COCO's protocol."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from agrilape.evaluate.metrics.matching import (
    Detections,
    average_precision,
    count_matches,
    f1_score,
    match,
    mean_average_precision,
    precision,
    recall,
)


def best_by_brute_force(iou, threshold):
    """Size and IoU of the best set of admissible pairs."""
    rows, columns = iou.shape
    best = (0, 0.0)
    for size in range(1, min(rows, columns) + 1):
        for chosen in combinations(range(rows), size):
            for order in permutations(range(columns), size):
                values = iou[list(chosen), list(order)]
                if (values >= threshold).all():
                    best = max(best, (size, float(values.sum())))
    return best


@pytest.mark.parametrize("seed", range(40))
def test_matching_is_the_best_there_is(seed):
    rng = np.random.default_rng(seed)
    iou = rng.random((rng.integers(0, 5), rng.integers(0, 5)))
    pairs = match(iou, 0.5)
    rows, columns = [r for r, _ in pairs], [c for _, c in pairs]
    assert len(set(rows)) == len(rows)
    assert len(set(columns)) == len(columns)
    size, total = best_by_brute_force(iou, 0.5)
    assert len(pairs) == size
    assert sum(iou[pair] for pair in pairs) == pytest.approx(total)


def test_several_predictions_of_one_truth_count_once():
    """The published fault: three guesses at one field scored three hits."""
    found = count_matches(np.array([[0.9, 0.0], [0.8, 0.0], [0.7, 0.0]]))
    assert (found.true_positives, found.predictions, found.truths) == (1, 3, 2)
    assert found.iou == pytest.approx(0.9)
    assert precision(1, 3) == pytest.approx(1 / 3)
    assert recall(1, 2) == 0.5
    assert f1_score(1, 3, 2) == pytest.approx(0.4)


def test_more_pairs_win_over_closer_ones():
    assert match([[0.95, 0.5], [0.5, 0.0]]) == [(0, 1), (1, 0)]


def test_nothing_given_and_nothing_wanted():
    assert count_matches(np.zeros((0, 3))) == (0, 0, 3, 0.0)
    assert f1_score(0, 0, 0) == 0


def coco_by_hand(images, threshold):
    """COCO's protocol, one loop at a time."""
    marks, truths = [], 0
    for image in images:
        free = set(range(image.iou.shape[1]))
        truths += len(free)
        for index in sorted(range(len(image.scores)), key=lambda i: -image.scores[i]):
            near = [t for t in free if image.iou[index, t] >= threshold]
            hit = max(near, key=lambda t: image.iou[index, t], default=None)
            free.discard(hit)
            marks.append((image.scores[index], hit is not None))
    marks.sort(key=lambda mark: -mark[0])
    points, hits = [], 0
    for rank, (_, hit) in enumerate(marks, start=1):
        hits += hit
        points.append((hits / truths, hits / rank))
    return np.mean([max((p for r, p in points if r >= level), default=0) for level in np.linspace(0, 1, 101)])


@pytest.mark.parametrize("seed", range(20))
def test_average_precision_follows_coco(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, size=(8, 2))
    images = [
        Detections(rng.permutation(100)[:p] / 100 + i / 1e4, rng.random((p, t)))
        for i, (p, t) in enumerate(sizes)
    ]
    for threshold in (0.3, 0.5, 0.75):
        assert average_precision(images, threshold) == pytest.approx(coco_by_hand(images, threshold))


def test_perfect_detector_and_images_without_answers():
    perfect = Detections(np.array([0.9, 0.8]), np.eye(2))
    silent = Detections(np.zeros(0), np.zeros((0, 2)))
    assert mean_average_precision([perfect]) == pytest.approx(1)
    assert average_precision([perfect, silent]) == pytest.approx(51 / 101)
    assert average_precision([silent]) == 0
    assert np.isnan(average_precision([Detections(np.array([0.5]), np.zeros((1, 0)))]))


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_large_problems_are_matched_part_by_part_with_the_same_outcome(seed) -> None:
    rng = np.random.default_rng(seed)
    iou = np.where(rng.random((90, 80)) < 0.03, rng.random((90, 80)), 0)
    pairs = match(iou)
    admissible = iou >= 0.5
    gain = np.where(admissible, iou + 81, 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    best = [(r, c) for r, c in zip(rows, columns, strict=True) if admissible[r, c]]
    assert len({r for r, _ in pairs}) == len({c for _, c in pairs}) == len(pairs) == len(best)
    assert all(admissible[pair] for pair in pairs)
    assert sum(iou[pair] for pair in pairs) == pytest.approx(sum(iou[pair] for pair in best))


def test_of_equally_good_truths_the_last_is_taken_as_pycocotools_does() -> None:
    # The first answer may have either truth; the second fits the first truth alone.
    image = Detections(np.array([0.9, 0.8]), np.array([[0.6, 0.6], [0.7, 0.0]]))
    assert average_precision([image]) == 1.0

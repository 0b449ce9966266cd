"""How often intervals from the blocks of one image hold the truth, with errors that are alike nearby.

    python benchmarks/coverage.py             # the table of docs/evaluation.md, in a minute

An image is divided into blocks, apart by a fifth of their width; each holds four chips. The errors of a model
on these chips are a Gaussian field: half of the variance is correlated as exp(-distance / length), half is
each chip's own. `graded` scores are the field itself, `hit` and `rare` whether it exceeds a threshold (in
69 % and 16 %). Of the blocks 15 % are drawn as the test split, and scores made as in an evaluation:

- `given`: share of images with an interval; there is none where one block alone decides it;
- `this image`: share of 95 % intervals that hold the mean score of all blocks of the image;
- `other images`: share that hold the mean of the process behind it, as of other images of such ground;
- `false verdicts`: share of comparisons called ahead or behind although both models are equal on the image.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from agrilape.evaluate.metrics.intervals import compare, estimate, outcome, per_sample

BLOCKS = (6, 8, 12, 20, 60)
LENGTHS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
SHARE, GAP, NUGGET = 0.15, 0.2, 0.5
THRESHOLDS = {"hit": -0.5, "rare": 1.0}
Array = NDArray[np.float64]


class Row(NamedTuple):
    """Shares of the simulations of one number of blocks and one length."""

    blocks: int
    length: float
    kind: str
    given: float
    image: float
    others: float
    verdicts: float


def fields(blocks: int, length: float, count: int, rng: np.random.Generator) -> Array:
    """Errors `[count, blocks of the image, 4]`; the unit of length is a block with its gap."""
    side = int(np.ceil(np.sqrt(blocks)))
    corners = np.stack(np.divmod(np.arange(blocks), side), axis=1)
    chips = (np.array([[1, 1], [1, 3], [3, 1], [3, 3]]) / 4 * (1 - GAP)) + GAP / 2
    places = (corners[:, None] + chips).reshape(-1, 2)
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    covariance = (1 - NUGGET) * np.exp(-apart / length) + NUGGET * np.eye(len(places))
    drawn = np.linalg.cholesky(covariance) @ rng.standard_normal((len(places), count))
    return drawn.T.reshape(count, blocks, 4)


def simulate(blocks: int, length: float, count: int, seed: int) -> Iterator[Row]:
    """Both kinds of scores for a number of test blocks and a length of correlation."""
    rng = np.random.default_rng([seed, blocks, int(100 * length)])
    whole = round(blocks / SHARE)
    errors = fields(whole, length, count, rng)
    tests = np.array([rng.permutation(whole)[:blocks] for _ in range(count)])
    yield _row(blocks, length, "graded", errors, tests, 0.0)
    for kind, threshold in THRESHOLDS.items():
        hits = (errors > threshold).astype(float)
        yield _row(blocks, length, kind, hits, tests, float(norm.sf(threshold)))


def _row(
    blocks: int, length: float, kind: str, values: Array, tests: NDArray[np.intp], process: float
) -> Row:
    labels = np.repeat([f"{number:03d}" for number in range(blocks)], 4).tolist()
    given = image = others = verdicts = 0
    for scores, test in zip(values, tests, strict=True):
        truth, seen = float(scores.mean()), scores[test].ravel()
        found = estimate(per_sample(seen), labels, careful=True)
        fair = per_sample(seen - truth)  # the gain of a model that is no better on the image
        gain = compare(0 * fair + [0, 1], fair, labels, resamples=1000, careful=True)
        verdicts += outcome(gain.low, gain.high, gain.p) in ("ahead", "behind")
        if found.low is not None and found.high is not None:
            given += 1
            image += found.low <= truth <= found.high
            others += found.low <= process <= found.high
    count = len(values)
    return Row(blocks, length, kind, given / count, image / given, others / given, verdicts / count)


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """The worst of the kinds of scores, by number of blocks and length, in Markdown."""
    yield "| test blocks | length / block | given | this image | other images | false verdicts |"
    yield "| --- | --- | --- | --- | --- | --- |"
    cells = dict.fromkeys((row.blocks, row.length) for row in rows)
    for blocks, length in cells:
        same = [row for row in rows if (row.blocks, row.length) == (blocks, length)]
        least = [min(getattr(row, name) for row in same) for name in ("given", "image", "others")]
        shares = " | ".join(f"{100 * share:.1f} %" for share in (*least, max(row.verdicts for row in same)))
        yield f"| {blocks} | {length:g} | {shares} |"
    yield f"\nleast coverage of this image: {100 * min(row.image for row in rows):.1f} %"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=600, help="images per row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all", action="store_true", help="every kind of score by itself")
    options = parser.parse_args()
    cells = [(blocks, length) for blocks in BLOCKS for length in LENGTHS]
    rows = [row for cell in cells for row in simulate(*cell, options.count, options.seed)]
    if options.all:
        for row in rows:
            print(row)
    print("\n".join(summary(rows)))


if __name__ == "__main__":
    main()

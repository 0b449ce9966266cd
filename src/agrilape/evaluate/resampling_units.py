"""What is resampled: scenes, or the blocks that a few of them were split into.

Samples of one scene share imagery, weather and labels, so scenes are the units where there are enough of
them. Of fewer than six scenes that were split by blocks with a buffer, the test blocks are. They were drawn
by chance among all blocks of their scenes, and units so drawn give valid intervals for the ground that they
were drawn from, however alike neighbouring ground is (design-based inference; Wadoux, Heuvelink, de Bruin
and Brus, 2021, doi:10.1016/j.ecolmodel.2021.109692). Of other scenes they say nothing.
`benchmarks/coverage.py` measures both.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components

from agrilape.evaluate.answer_arrays import Rows
from agrilape.evaluate.metrics.intervals import FEWEST, Difference, Estimate
from agrilape.evaluate.predictions import Prediction

Edges = tuple[int, int, int, int]
"""Left, top, right and bottom edge of a block in pixels of its scene."""


class BlockEstimate(NamedTuple):
    """As `Estimate`, from blocks: how many of them were resampled, and in how many scenes they lie."""

    value: float
    low: float | None
    high: float | None
    n: int
    scenes: int
    blocks: int


class BlockDifference(NamedTuple):
    """As `Difference`, from blocks."""

    value: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    scenes: int
    blocks: int


class Units(NamedTuple):
    """What each sample is resampled with.

    Attributes:
        labels: Unit of each sample.
        scenes: Number of scenes that the samples lie in.
        by_block: Are the units blocks of these?
    """

    labels: list[str]
    scenes: int
    by_block: bool

    def of_score(self, found: Estimate) -> Estimate | BlockEstimate:
        """A score that counts units, with scenes and blocks told apart."""
        return BlockEstimate(*found[:-1], self.scenes, found.scenes) if self.by_block else found

    def of_difference(self, found: Difference) -> Difference | BlockDifference:
        """A difference, likewise."""
        return BlockDifference(*found[:-1], self.scenes, found.scenes) if self.by_block else found


def units(rows: Rows) -> Units:
    """The unit of each row.

    Rows whose chips do not say which block they lie in (another kind of split, no buffer, prepared by an
    earlier version) have their scene. Blocks that overlap, as of two data sets on one scene, are one.
    """
    scenes = [scene_of(row) for row in rows]
    count = len(set(scenes))
    places = [_edges(row) for row in rows]
    if count >= FEWEST or not any(places):
        return Units(scenes, count, by_block=False)
    met: dict[str, set[Edges]] = defaultdict(set)
    for scene, place in zip(scenes, places, strict=True):
        if place:
            met[scene].add(place)
    names = {(scene, place): name for scene in met for place, name in _joined(scene, met[scene]).items()}
    labels = [names[scene, place] if place else scene for scene, place in zip(scenes, places, strict=True)]
    return Units(labels, count, by_block=True)


def scene_of(row: Prediction) -> str:
    """Name of a scene, which is unique within its source."""
    return f"{row.source}/{row.scene}"


def _edges(row: Prediction) -> Edges | None:
    block = row.meta.get("block")
    if not isinstance(block, (list, tuple)) or [type(edge) for edge in block] != [int] * 4:
        return None
    left, top, right, bottom = block
    return left, top, right, bottom


def _joined(scene: str, blocks: set[Edges]) -> dict[Edges, str]:
    """A name for each block of a scene; those that overlap have one in common."""
    order = sorted(blocks)
    left, top, right, bottom = np.array(order).T
    wide = np.minimum(right[:, None], right) > np.maximum(left[:, None], left)
    high = np.minimum(bottom[:, None], bottom) > np.maximum(top[:, None], top)
    _, member = connected_components(wide & high, directed=False)
    return {block: f"{scene}/{number}" for block, number in zip(order, member.tolist(), strict=True)}

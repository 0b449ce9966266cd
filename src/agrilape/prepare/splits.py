"""Splits that share no ground: by scene, or by blocks of a scene with a gap between them; or no year."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from agrilape.dataset.types import SPLITS, Split
from agrilape.errors import DataError
from agrilape.geo.overlap import footprint, overlap
from agrilape.sources.scene import PixelWindow, Scene

BLOCK_CHIPS = 2  # chips along the side of a block
_NO_PAIRS = np.empty((2, 0), np.intp)


def official_split(name: str | None) -> Split | None:
    """The split that a release's own name for it stands for: `training`, `valid`, `test-b`; None for no such.

    What a release has in no split never falls into one: train would then hold what is meant for a test.
    """
    known: tuple[tuple[str, Split], ...] = (
        ("train", "train"), ("val", "val"), ("dev", "val"), ("test", "test"),
    )  # fmt: skip
    return next((split for start, split in known if (name or "").lower().startswith(start)), None)


def undivided(what: str) -> DataError:
    """The error of a release that says of nothing which split it belongs to."""
    return DataError(
        f"{what}: the release does not say which split anything belongs to",
        "use `split_by: scene`; `split: [0, 0, 1]` puts all of it into test",
    )


def official_splits(groups: Iterable[tuple[str, str | None]]) -> dict[str, Split]:
    """The split of each group by the names that its release gives.

    Args:
        groups: Group and name of the split, any number of times; of those in no split nothing is said.

    Raises:
        DataError: The release has a group in several splits.
    """
    found: dict[str, Split] = {}
    for group, name in groups:
        split = official_split(name)
        if split and found.setdefault(group, split) != split:
            raise DataError(
                f"the release has {group} in {found[group]} and {split}, which is a leak",
                "use `split_by: scene`; or, to score on its test alone, `only_split: test`",
            )
    return found


def assign(
    groups: Iterable[str],
    shares: tuple[float, float, float],
    seed: int,
    what: str = "place(s)",
    remedy: str = "use more scenes, `split_by: block`, or a split with zeros such as [1, 0, 0]",
) -> dict[str, Split]:
    """Give each group to one split, in the wanted shares as nearly as whole groups allow.

    A split with a share above zero gets at least one group.

    Args:
        groups: Names of what must not be divided.
        shares: Shares of train, val and test.
        seed: Decides which groups go where.
        what: What groups are, for the message.
        remedy: What to do about too few of them.

    Raises:
        DataError: There are fewer groups than splits.
    """
    names = sorted(set(groups), key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    wanted = [split for split, share in zip(SPLITS, shares, strict=True) if share > 0]
    if len(names) < len(wanted):
        raise DataError(f"{len(names)} separate {what} cannot be divided into {', '.join(wanted)}", remedy)
    exact = np.array(shares) / sum(shares) * len(names)
    counts = np.where(exact > 0, np.maximum(np.floor(exact), 1), 0).astype(int)
    while counts.sum() < len(names):
        counts[int((exact - counts).argmax())] += 1
    while counts.sum() > len(names):
        counts[int(np.where(counts > 1, counts - exact, -np.inf).argmax())] -= 1
    return dict(zip(names, np.repeat(SPLITS, counts).tolist(), strict=True))


def scene_groups(scenes: Sequence[Scene]) -> list[str]:
    """What each scene stays together with: its source's own group, and scenes that it overlaps on the map.

    Returns:
        One group name per scene.
    """
    names = [str(scene.meta.get("group", scene.id)) for scene in scenes]
    mapped = [
        (name, scene.georeference) for name, scene in zip(names, scenes, strict=True) if scene.georeference
    ]
    places = [footprint(georeference) for _, georeference in mapped]
    one, other = shapely.STRtree(places).query(places, predicate="intersects") if places else _NO_PAIRS
    same = overlap(np.array(places)[one], np.array(places)[other])
    together = zip(one[same].tolist(), other[same].tolist(), strict=True)
    root = _joined(names, ((mapped[here][0], mapped[there][0]) for here, there in together))
    return [root[name] for name in names]


def year_groups(scenes: Sequence[Scene]) -> list[str]:
    """The calendar years that each scene stays together with.

    A scene is never divided, since its labels and curves are those of all its dates: where its dates lie in
    several years, as those of a winter crop do, these years stay on one side, with all other scenes of them.

    Returns:
        One group per scene, named after its years: `2021`, or `2021+2022`.

    Raises:
        DataError: A scene has no date.
    """
    years = [sorted({frame.acquired.year for frame in scene.frames if frame.acquired}) for scene in scenes]
    if undated := [scene.id for scene, found in zip(scenes, years, strict=True) if not found]:
        raise DataError(
            f"{len(undated)} scene(s) have no date to split by year, {undated[0]} among them",
            "put the date into the images' file names or their tag ACQUISITION_DATE, or `split_by: scene`",
        )
    root = _joined(
        (str(year) for found in years for year in found),
        ((str(found[0]), str(year)) for found in years for year in found[1:]),
    )
    members: dict[str, list[str]] = defaultdict(list)
    for year in sorted(root):
        members[root[year]].append(year)
    return ["+".join(members[root[str(found[0])]]) for found in years]


def _joined(names: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """For each name, the first in order of all that pairs join it with."""
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for pair in pairs:
        first, second = sorted(map(root, pair))
        parent[second] = first
    return {name: root(name) for name in parent}


@dataclass(frozen=True)
class BlockGrid:
    """Blocks of a scene in rows and columns.

    Attributes:
        scene: Id of the scene.
        rows: Top and bottom edge of each row in pixels.
        columns: Left and right edge of each column.
    """

    scene: str
    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]

    @property
    def blocks(self) -> dict[str, PixelWindow]:
        """The blocks by name, row by row."""
        return {
            self.name(r, c): PixelWindow(left, top, right - left, bottom - top)
            for r, (top, bottom) in enumerate(self.rows)
            for c, (left, right) in enumerate(self.columns)
        }

    def name(self, row: int, column: int) -> str:
        """Name of a block."""
        return f"{self.scene}/block_{row}_{column}"

    def nearest(self, points: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Row and column of the block nearest to each point (x, y) in pixels, `[n, 2]`."""
        return _nearest(self.rows, points[:, 1]), _nearest(self.columns, points[:, 0])


def _nearest(edges: Sequence[tuple[int, int]], places: NDArray[np.float64]) -> NDArray[np.intp]:
    """Number of the stretch nearest to each place on an axis; of two as near, the first."""
    starts, ends = np.array(edges, float).T
    gaps = np.maximum(starts - places[:, None], places[:, None] - ends).clip(min=0)
    nearest: NDArray[np.intp] = gaps.argmin(1)
    return nearest


def blocks(scene: Scene, chip: int, buffer_m: float) -> BlockGrid:
    """Blocks of a scene, with half the buffer skipped on each inner side.

    Args:
        scene: The scene.
        chip: Side of a chip in pixels.
        buffer_m: Ground between blocks in metres.

    Raises:
        DataError: A buffer in metres is wanted and the pixels have no size.
    """
    gsd = scene.georeference.gsd_m if scene.georeference else scene.meta.get("gsd_m")
    if buffer_m and not gsd:
        raise DataError(
            f"scene {scene.id} has no ground sampling distance for a buffer of {buffer_m} m",
            "use buffer_m: 0",
        )
    gap = int(np.ceil(buffer_m / gsd / 2)) if buffer_m and gsd else 0
    return BlockGrid(scene.id, tuple(_edges(scene.height, chip, gap)), tuple(_edges(scene.width, chip, gap)))


def _edges(length: int, chip: int, gap: int) -> list[tuple[int, int]]:
    """Stretches of a side, equal up to a pixel, each at least one chip long without its gaps."""
    for chips in (BLOCK_CHIPS, 1):
        count = length // (chips * chip + 2 * gap)
        if count > 1:
            break
    cuts = np.linspace(0, length, max(count, 1) + 1).round().astype(int).tolist()
    return [(start + gap * (start > 0), end - gap * (end < length)) for start, end in pairwise(cuts)]

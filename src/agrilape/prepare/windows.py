"""Which windows of which scenes go to which split and which shard."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from agrilape.config.recipe import DatasetConfig
from agrilape.dataset.manifest import Skip
from agrilape.dataset.types import SPLITS, Split
from agrilape.errors import DataError
from agrilape.prepare.label_index import LabelledScene
from agrilape.prepare.splits import (
    BlockGrid,
    assign,
    blocks,
    official_split,
    official_splits,
    scene_groups,
    undivided,
    year_groups,
)
from agrilape.sources.scene import Parcel, PixelWindow
from agrilape.sources.tile_cache import parts_of
from agrilape.sources.tiling import plan_windows

UNIT_CHIPS = 256
YEARS_REMEDY = (
    "add images of other years, put each year's into a folder of its own (the years of one scene stay "
    "together), or use a split with zeros such as [0.8, 0, 0.2], or `split_by: block`"
)
PATCH = 2048  # pixels; windows are cut patch by patch, so that a decoded tile of the image serves several


@dataclass(frozen=True)
class ParcelSplits:
    """The one split in which a parcel may be asked about: that of the block nearest to a point in it.

    Attributes:
        grid: Blocks of the scene.
        splits: Number in `SPLITS` of each block, `[rows, columns]`.
    """

    grid: BlockGrid
    splits: NDArray[np.uint8]

    def of_other_splits(self, parcels: Sequence[Parcel], split: Split) -> frozenset[str]:
        """Ids of parcels at home in another split."""
        if not parcels:
            return frozenset()
        inside = shapely.get_coordinates(shapely.point_on_surface([parcel.outline for parcel in parcels]))
        elsewhere = self.splits[self.grid.nearest(inside)] != SPLITS.index(split)
        return frozenset(parcels[number].id for number in np.flatnonzero(elsewhere).tolist())


@dataclass(frozen=True)
class SplitWindows:
    """Windows of a scene that belong to one split.

    Attributes:
        ground: The scene.
        windows: Where chips are cut.
        groups: For each window, what of it a split never divides: its block, or what its scene belongs to.
        owners: Where the scene's parcels may be asked about; None for anywhere.
        blocks: Edges of blocks by name, where a buffer keeps them apart: what scores may be resampled by.
    """

    ground: LabelledScene
    windows: tuple[PixelWindow, ...]
    groups: tuple[str, ...]
    owners: ParcelSplits | None = None
    blocks: Mapping[str, tuple[int, int, int, int]] = field(default_factory=dict)

    def part(self, numbers: Sequence[int]) -> SplitWindows:
        """The piece with some of its windows, in this order."""
        return replace(
            self,
            windows=tuple(self.windows[number] for number in numbers),
            groups=tuple(self.groups[number] for number in numbers),
        )


@dataclass(frozen=True)
class ShardJob:
    """The work behind one shard."""

    split: Split
    number: int
    pieces: tuple[SplitWindows, ...]

    @property
    def file(self) -> str:
        """Name of the shard."""
        return f"{self.split}-{self.number:05d}.parquet"

    @property
    def windows(self) -> int:
        """Number of windows to look at."""
        return sum(len(piece.windows) for piece in self.pieces)

    @property
    def reads(self) -> int:
        """Number of tiles of imagery to read, of every date: what makes one unit more work than another."""
        return sum(len(parts_of(piece.windows)) * len(piece.ground.scene.frames) for piece in self.pieces)


def plan(grounds: Sequence[LabelledScene], config: DatasetConfig) -> list[ShardJob]:
    """Divide scenes into units of at most `UNIT_CHIPS` windows of one split.

    Raises:
        DataError: There are not enough separate places for the splits.
    """
    by_split = _by_block(grounds, config) if config.split_by == "block" else _by_scene(grounds, config)
    by_split = {split: [_by_patch(piece) for piece in pieces] for split, pieces in by_split.items()}
    if config.limit is not None:
        by_split = _limited(by_split, config.limit, config.seed)
    return [
        ShardJob(split, number, pieces)
        for split in SPLITS
        for number, pieces in enumerate(_packed(by_split.get(split, [])))
    ]


def released(
    grounds: Sequence[LabelledScene], config: DatasetConfig, name: str
) -> tuple[tuple[LabelledScene, ...], tuple[Skip, ...]]:
    """The scenes that a data set is made of, and a word on those that its release has in no split.

    Raises:
        DataError: That is so for all, or none is in the only split that is wanted.
    """
    if config.split_by != "published":
        return tuple(grounds), ()
    splits = [official_split(ground.scene.meta.get("split")) for ground in grounds]
    stray = [ground.scene.id for ground, split in zip(grounds, splits, strict=True) if split is None]
    if len(stray) == len(grounds):
        raise undivided(f"data set {name}")
    wanted = {config.only_split} if config.only_split else set(SPLITS)
    found = tuple(ground for ground, split in zip(grounds, splits, strict=True) if split in wanted)
    if not found:
        problem = f"data set {name}: the release has no scene in its {config.only_split} split"
        raise DataError(problem, "change `only_split`")
    more = f", like {len(stray) - 1:,} more" if stray[1:] else ""
    return found, tuple(Skip(scene=one, reason=f"the release has it in no split{more}") for one in stray[:1])


def _by_scene(grounds: Sequence[LabelledScene], config: DatasetConfig) -> Mapping[Split, list[SplitWindows]]:
    pieces: dict[Split, list[SplitWindows]] = defaultdict(list)
    for ground, group, split in scene_splits(grounds, config):
        windows = plan_windows(ground.scene.width, ground.scene.height, config.chip, config.overlap)
        pieces[split].append(SplitWindows(ground, tuple(windows), (group,) * len(windows)))
    return pieces


def scene_splits(
    grounds: Sequence[LabelledScene], config: DatasetConfig
) -> list[tuple[LabelledScene, str, Split]]:
    """Each scene with what it stays together with, and its split.

    Raises:
        DataError: There are not enough separate places for the splits.
    """
    scenes = [ground.scene for ground in grounds]
    groups = year_groups(scenes) if config.split_by == "year" else scene_groups(scenes)
    if config.split_by == "published":
        names = [ground.scene.meta.get("split") for ground in grounds]
        splits = official_splits(zip(groups, names, strict=True))
    elif config.split_by == "year":
        what = f"group(s) of years ({', '.join(sorted(set(groups)))})"
        splits = assign(groups, config.split, config.seed, what, YEARS_REMEDY)
    else:
        splits = assign(groups, config.split, config.seed)
    return [(ground, group, splits[group]) for ground, group in zip(grounds, groups, strict=True)]


def _by_block(grounds: Sequence[LabelledScene], config: DatasetConfig) -> Mapping[Split, list[SplitWindows]]:
    pieces: dict[Split, list[SplitWindows]] = defaultdict(list)
    for ground, grid, splits, owners in block_splits(grounds, config):
        windows: dict[Split, dict[PixelWindow, str]] = defaultdict(dict)
        for name, block in grid.blocks.items():
            for one in plan_windows(block.width, block.height, config.chip, config.overlap):
                moved = one._replace(column=block.column + one.column, row=block.row + one.row)
                windows[splits[name]][moved] = name
        for split, found in windows.items():
            edges = _edges(grid, found.values()) if config.buffer_m else {}
            pieces[split].append(SplitWindows(ground, tuple(found), tuple(found.values()), owners, edges))
    return pieces


def block_splits(
    grounds: Sequence[LabelledScene], config: DatasetConfig
) -> Iterator[tuple[LabelledScene, BlockGrid, Mapping[str, Split], ParcelSplits]]:
    """Each scene with its blocks, the split of each by name, and where its parcels may be asked about.

    Raises:
        DataError: There are not enough separate places for the splits.
    """
    grids = [blocks(ground.scene, config.chip, config.buffer_m) for ground in grounds]
    splits = assign([name for grid in grids for name in grid.blocks], config.split, config.seed)
    for ground, grid in zip(grounds, grids, strict=True):
        numbers = [SPLITS.index(splits[name]) for name in grid.blocks]
        owners = ParcelSplits(grid, np.array(numbers, np.uint8).reshape(len(grid.rows), len(grid.columns)))
        yield ground, grid, splits, owners


def _edges(grid: BlockGrid, names: Iterable[str]) -> dict[str, tuple[int, int, int, int]]:
    """Left, top, right and bottom edge of some blocks in pixels."""
    blocks = grid.blocks
    return {
        name: (one.column, one.row, one.column + one.width, one.row + one.height)
        for name in dict.fromkeys(names)
        for one in (blocks[name],)
    }


def _by_patch(piece: SplitWindows) -> SplitWindows:
    """The piece with its windows in order of patch, then of row and column."""

    def order(number: int) -> tuple[int, int, int, int]:
        window = piece.windows[number]
        return window.row // PATCH, window.column // PATCH, window.row, window.column

    return piece.part(sorted(range(len(piece.windows)), key=order))


def _limited(
    by_split: Mapping[Split, list[SplitWindows]], limit: int, seed: int
) -> dict[Split, list[SplitWindows]]:
    """A random choice of windows, spread over the splits as they are."""
    places = [
        (split, number, window)
        for split, pieces in by_split.items()
        for number, piece in enumerate(pieces)
        for window in range(len(piece.windows))
    ]
    chosen = set(random.Random(seed).sample(places, min(limit, len(places))))  # noqa: S311 - not for secrets
    return {
        split: [
            piece.part([window for window in range(len(piece.windows)) if (split, number, window) in chosen])
            for number, piece in enumerate(pieces)
        ]
        for split, pieces in by_split.items()
    }


def _packed(pieces: Sequence[SplitWindows]) -> Iterator[tuple[SplitWindows, ...]]:
    """Pieces in lots of at most `UNIT_CHIPS` windows; large ones are divided."""
    lot: list[SplitWindows] = []
    room = UNIT_CHIPS
    for piece in pieces:
        rest = range(len(piece.windows))
        while rest:
            lot.append(piece.part(rest[:room]))
            rest = rest[room:]
            room -= len(lot[-1].windows)
            if room == 0:
                yield tuple(lot)
                lot, room = [], UNIT_CHIPS
    if lot:
        yield tuple(lot)

"""The ground of a prepared data set by split: whole scenes, or the blocks that scenes were divided into.

Chips hold pieces of scenes. Whoever asks about a whole scene opens its source again, by the same rules, and
gets the ground of the wanted split alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from agrilape.config.recipe import DatasetConfig
from agrilape.dataset.manifest import Skip, read_manifest
from agrilape.dataset.types import Split
from agrilape.errors import DataError
from agrilape.prepare.from_scenes import store_key
from agrilape.prepare.label_index import LabelledScene
from agrilape.prepare.opening import open_source
from agrilape.prepare.windows import ParcelSplits, block_splits, released, scene_splits
from agrilape.prepare.worker_pool import WorkerPool
from agrilape.sources.crop import crop_scene
from agrilape.sources.scene import PixelWindow, Scene


@dataclass(frozen=True)
class SplitGround:
    """A rectangle of ground that belongs to one split as a whole.

    Attributes:
        name: Name of the scene, or of the block of it.
        split: The split.
        window: The rectangle in the scene.
        by_buffer: Is it a block that a buffer keeps apart from others?
    """

    name: str
    split: Split
    window: PixelWindow
    by_buffer: bool
    _ground: LabelledScene
    _owners: ParcelSplits | None

    @property
    def block(self) -> list[int] | None:
        """Edges in pixels of the scene, as chips know them, of a block that a buffer keeps apart."""
        left, top, width, height = self.window
        return [left, top, left + width, top + height] if self.by_buffer else None

    @property
    def scene(self) -> Scene:
        """The whole scene that it lies in, without labels."""
        return self._ground.scene

    def open(self) -> tuple[Scene, frozenset[str]]:
        """The ground as a scene with all its parcels, and the ids of those that are another split's."""
        scene = crop_scene(self._ground.near([self.window]), self.window)
        if self._owners is None:
            return scene, frozenset()
        others = self._owners.of_other_splits(self._ground.near([self.window]).parcels, self.split)
        return scene, others


@dataclass(frozen=True)
class OpenedGround:
    """All ground of a data set.

    Attributes:
        grounds: By split and place, in the order of its scenes.
        crops: Crops of all its scenes, by name.
        skipped: Scenes that could not be opened.
    """

    grounds: tuple[SplitGround, ...]
    crops: tuple[str, ...]
    skipped: tuple[Skip, ...]

    def of(self, split: Split) -> list[SplitGround]:
        """The ground of one split."""
        return [ground for ground in self.grounds if ground.split == split]


@contextmanager
def open_ground(name: str, config: DatasetConfig, folder: Path, scenes_cache: Path) -> Iterator[OpenedGround]:
    """Open the ground of a prepared data set; its labels lie in a temporary folder until the end.

    Args:
        name: Name of the data set, for people.
        config: What it was made of.
        folder: Where it was prepared.
        scenes_cache: Where simulated scenes are kept.

    Raises:
        DataError: The source has changed since it was prepared, or cannot be read.
    """
    if read_manifest(folder).key != store_key(config):
        raise DataError(
            f"the source of data set {name} has changed since it was prepared: which ground belongs to which "
            "split is no longer known",
            "prepare it again, or put its files back",
        )
    with TemporaryDirectory(prefix="agrilape-labels-") as labels, WorkerPool() as pool:
        opened = open_source(config.source, scenes_cache, Path(labels), pool)
        kept, strays = released(opened.grounds, config, name)
        crops = sorted({crop for ground in kept for crop in ground.crops})
        yield OpenedGround(tuple(_parts(kept, config)), tuple(crops), (*opened.problems, *strays))


def _parts(grounds: Sequence[LabelledScene], config: DatasetConfig) -> Iterator[SplitGround]:
    if config.split_by != "block":
        for ground, _, split in scene_splits(grounds, config):
            whole = PixelWindow(0, 0, ground.scene.width, ground.scene.height)
            yield SplitGround(ground.scene.id, split, whole, False, ground, None)
        return
    for ground, grid, splits, owners in block_splits(grounds, config):
        for name, window in grid.blocks.items():
            yield SplitGround(name, splits[name], window, config.buffer_m > 0, ground, owners)

"""From a source to a sample store: cut, ask, split, check, write.

The work is divided into units of at most `UNIT_CHIPS` windows of one split; each unit becomes one shard,
written whole or not at all. A killed run keeps its finished shards; the result does not depend on the number
of workers.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import shapely

from agrilape import __version__
from agrilape.config.recipe import DatasetConfig
from agrilape.console import progress, say, warn
from agrilape.errors import AgrilapeError, DataError
from agrilape.samples.chips import Cutter, plan_windows
from agrilape.samples.manifest import (
    Manifest,
    Origin,
    Shard,
    Skip,
    SplitCounts,
    describe_splits,
    hash_file,
    read_manifest,
)
from agrilape.samples.origins import fingerprint, in_parallel, open_scenes
from agrilape.samples.splits import SPLITS, Split, assign, blocks, check_leakage, scene_groups
from agrilape.samples.store import Store, read_facts, write_rows
from agrilape.samples.tasks import ask, find_task
from agrilape.samples.types import Example
from agrilape.sources.scene import PixelWindow, Scene

FORMAT = 1  # raise it when the same configuration gives another store
UNIT_CHIPS = 256
WORTH_WORKERS = 400  # windows; starting a worker takes about as long as cutting a hundred


@dataclass(frozen=True)
class Piece:
    """A part of a scene that belongs to one split."""

    scene: Scene
    group: str
    windows: tuple[PixelWindow, ...]
    strangers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Unit:
    """The work behind one shard."""

    split: Split
    number: int
    pieces: tuple[Piece, ...]

    @property
    def file(self) -> str:
        """Name of the shard."""
        return f"{self.split}-{self.number:05d}.parquet"

    @property
    def windows(self) -> int:
        """Number of windows to look at."""
        return sum(len(piece.windows) for piece in self.pieces)


def prepare_dataset(
    name: str, config: DatasetConfig, folder: Path, scenes_cache: Path, workers: int | None = None
) -> Manifest:
    """Prepare a data set: cut chips, ask questions, split, check for leaks, write shards and a manifest.

    A finished folder of the same configuration and input is left as it is, a half-finished one is continued.

    Args:
        name: Name of the data set, for people.
        config: What to make.
        folder: The data set's own folder.
        scenes_cache: Where simulated scenes are kept.
        workers: Processes; null: two where there is enough to do. The result is the same.

    Returns:
        The manifest, as written to `folder/manifest.json`.

    Raises:
        RecipeError: A task does not exist.
        DataError: The source cannot be read, cannot be split as wanted, or gives no chip at all.
    """
    for task in config.tasks:
        find_task(task)
    key = _key(config)
    if finished := _finished(folder, key):
        say(f"{name}: prepared before, {describe_splits(finished.splits)}")
        return finished
    scenes, problems = open_scenes(config.source, scenes_cache, workers or _cores())
    if not scenes:
        raise DataError(f"data set {name}: no scene could be opened", _first_reasons(problems))
    units = plan(scenes, config)
    (folder / "manifest.json").unlink(missing_ok=True)
    _cut_all(name, units, config, folder, key, workers)
    manifest = _conclude(name, config, key, folder, units, problems)
    say(f"{name}: {describe_splits(manifest.splits)}")
    for skip in manifest.skipped_scenes:
        warn(f"{name}: skipped scene {skip.scene}: {skip.reason}")
    return manifest


def plan(scenes: Sequence[Scene], config: DatasetConfig) -> list[Unit]:
    """Which windows of which scenes go to which split and shard.

    Raises:
        DataError: There are not enough separate places for the splits.
    """
    by_split = _by_block(scenes, config) if config.split_by == "block" else _by_scene(scenes, config)
    if config.limit is not None:
        by_split = _limited(by_split, config.limit, config.seed)
    return [
        Unit(split, number, pieces)
        for split in SPLITS
        for number, pieces in enumerate(_packed(by_split.get(split, [])))
    ]


def _by_scene(scenes: Sequence[Scene], config: DatasetConfig) -> dict[Split, list[Piece]]:
    groups = scene_groups(scenes)
    splits = assign(groups, config.split, config.seed)
    pieces: dict[Split, list[Piece]] = defaultdict(list)
    for scene, group in zip(scenes, groups, strict=True):
        windows = tuple(plan_windows(scene.width, scene.height, config.chip, config.overlap))
        pieces[splits[group]].append(Piece(scene, group, windows))
    return pieces


def _by_block(scenes: Sequence[Scene], config: DatasetConfig) -> dict[Split, list[Piece]]:
    areas = [blocks(scene, config.chip, config.buffer_m) for scene in scenes]
    splits = assign([name for area in areas for name in area], config.split, config.seed)
    pieces: dict[Split, list[Piece]] = defaultdict(list)
    for scene, area in zip(scenes, areas, strict=True):
        homes = _homes(scene, area, splits)
        for name, block in area.items():
            windows = tuple(
                PixelWindow(block.column + w.column, block.row + w.row, w.width, w.height)
                for w in plan_windows(block.width, block.height, config.chip, config.overlap)
            )
            strangers = frozenset(parcel for parcel, home in homes.items() if home != splits[name])
            pieces[splits[name]].append(Piece(scene, name, windows, strangers))
    return pieces


def _homes(scene: Scene, area: dict[str, PixelWindow], splits: dict[str, Split]) -> dict[str, Split]:
    """The one split in which a parcel may be asked about: that of the block nearest to a point in it."""
    names = list(area)
    tree = shapely.STRtree(
        [shapely.box(b.column, b.row, b.column + b.width, b.row + b.height) for b in area.values()]
    )
    inside = shapely.point_on_surface([parcel.outline for parcel in scene.parcels])
    nearest = tree.nearest(inside)
    return {parcel.id: splits[names[block]] for parcel, block in zip(scene.parcels, nearest, strict=True)}


def _limited(by_split: dict[Split, list[Piece]], limit: int, seed: int) -> dict[Split, list[Piece]]:
    """A random choice of windows, spread over the splits as they are."""
    places = [
        (split, p, w)
        for split, pieces in by_split.items()
        for p, piece in enumerate(pieces)
        for w in piece.windows
    ]
    chosen = set(random.Random(seed).sample(places, min(limit, len(places))))  # noqa: S311 - not for secrets
    return {
        split: [
            replace(piece, windows=tuple(w for w in piece.windows if (split, p, w) in chosen))
            for p, piece in enumerate(pieces)
        ]
        for split, pieces in by_split.items()
    }


def _packed(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, ...]]:
    """Pieces in lots of at most `UNIT_CHIPS` windows; large ones are divided."""
    lot: list[Piece] = []
    room = UNIT_CHIPS
    for piece in pieces:
        rest = piece.windows
        while rest:
            lot.append(_trimmed(replace(piece, windows=rest[:room])))
            room -= len(lot[-1].windows)
            rest = rest[len(lot[-1].windows) :]
            if room == 0:
                yield tuple(lot)
                lot, room = [], UNIT_CHIPS
    if lot:
        yield tuple(lot)


def _trimmed(piece: Piece) -> Piece:
    """The piece without parcels that none of its windows shows, so that little is sent to a worker."""
    if len(piece.scene.parcels) < 1000:
        return piece
    boxes = [shapely.box(w.column, w.row, w.column + w.width, w.row + w.height) for w in piece.windows]
    tree = shapely.STRtree([parcel.outline for parcel in piece.scene.parcels])
    shown = np.unique(tree.query(boxes)[1])
    parcels = tuple(piece.scene.parcels[index] for index in shown)
    strangers = piece.strangers & {parcel.id for parcel in parcels}
    return replace(piece, scene=replace(piece.scene, parcels=parcels), strangers=strangers)


def _cut_all(
    name: str, units: Sequence[Unit], config: DatasetConfig, folder: Path, key: str, workers: int | None
) -> None:
    """Write the shards that are not there yet."""
    missing = [unit for unit in units if not _is_done(folder / unit.file, key)]
    windows = sum(unit.windows for unit in missing)
    count = workers or (_cores() if windows >= WORTH_WORKERS else 1)
    with progress(f"{name}: cut", windows, "chips") as track:
        work = partial(cut_unit, config=config, folder=folder, key=key)
        for _ in in_parallel(work, missing, count, lambda unit: track(unit.windows)):
            pass


def cut_unit(unit: Unit, config: DatasetConfig, folder: Path, key: str) -> None:
    """Cut and ask about the chips of one unit, and write its shard with the tally in its metadata."""
    skipped: Counter[str] = Counter()
    broken: dict[str, str] = {}
    examples: list[Example] = []
    for piece in unit.pieces:
        try:
            examples += _examples(piece, config, skipped)
        except (AgrilapeError, OSError) as error:
            broken[piece.scene.id] = error.problem if isinstance(error, AgrilapeError) else str(error)
    facts = {"key": key, "skipped_chips": skipped, "skipped_scenes": broken}
    write_rows(folder / unit.file, examples, facts)


def _examples(piece: Piece, config: DatasetConfig, skipped: Counter[str]) -> list[Example]:
    cutter = Cutter(piece.scene, config, piece.strangers)
    examples = []
    for window in piece.windows:
        view = cutter.cut(window)
        if isinstance(view, str):
            skipped[view] += 1
            continue
        rng = random.Random(f"{config.seed}/{view.chip.id}")  # noqa: S311 - not for secrets
        if samples := ask(view, config.tasks, config.questions, rng):
            examples.append(Example(view.chip, samples))
        else:
            skipped["nothing to ask"] += 1
    return examples


def _conclude(
    name: str, config: DatasetConfig, key: str, folder: Path, units: Sequence[Unit], problems: Sequence[Skip]
) -> Manifest:
    """Check the shards for leaks, count them, write the manifest, and remove what is not part of it."""
    stores = {split: Store([folder / unit.file for unit in units if unit.split == split]) for split in SPLITS}
    check_leakage(stores, config.buffer_m if config.split_by == "block" else 0.0)
    skipped: Counter[str] = Counter()
    broken: dict[str, str] = {}
    for unit in units:
        facts = read_facts(folder / unit.file)
        skipped.update(facts["skipped_chips"])
        broken |= facts["skipped_scenes"]
    skips = [*problems, *(Skip(scene=scene, reason=reason) for scene, reason in sorted(broken.items()))]
    if not any(stores.values()):
        reasons = ", ".join(f"{count} x {reason}" for reason, count in skipped.items())
        raise DataError(f"data set {name}: no chip holds a question ({reasons})", _first_reasons(skips))
    manifest = Manifest(
        name=name,
        key=key,
        version=__version__,
        config=config,
        shards=tuple(_shard(folder, unit) for unit in units),
        splits={split: _counts(store, units, split) for split, store in stores.items() if len(store)},
        window=_window(units),
        origins=_origins(units),
        skipped_scenes=tuple(skips),
        skipped_chips=dict(sorted(skipped.items())),
    )
    manifest.write(folder)
    listed = {shard.path for shard in manifest.shards}
    for file in folder.glob("*-[0-9][0-9][0-9][0-9][0-9].parquet"):
        if file.name not in listed:
            file.unlink()
    return manifest


def _shard(folder: Path, unit: Unit) -> Shard:
    file = folder / unit.file
    return Shard(
        path=unit.file,
        split=unit.split,
        chips=len(Store([file])),
        bytes=file.stat().st_size,
        sha256=hash_file(file),
    )


def _counts(store: Store, units: Sequence[Unit], split: str) -> SplitCounts:
    tasks: Counter[str] = Counter()
    pictures = 0
    for example in store:
        tasks.update(sample.task for sample in example.samples)
        pictures += len(example.chip.pictures)
    groups = sorted({piece.group for unit in units if unit.split == split for piece in unit.pieces})
    return SplitCounts(
        chips=len(store),
        pictures=pictures,
        samples=tasks.total(),
        tasks=dict(sorted(tasks.items())),
        groups=tuple(groups),
    )


def _window(units: Sequence[Unit]) -> tuple[str, str] | None:
    windows = [piece.scene.window for unit in units for piece in unit.pieces if piece.scene.window]
    if not windows:
        return None
    return min(w.start for w in windows).isoformat(), max(w.end for w in windows).isoformat()


def _origins(units: Sequence[Unit]) -> tuple[Origin, ...]:
    scenes: dict[tuple[str, str | None, str | None], set[str]] = defaultdict(set)
    for scene in (piece.scene for unit in units for piece in unit.pieces):
        scenes[scene.source, scene.meta.get("licence"), scene.meta.get("citation")].add(scene.id)
    return tuple(
        Origin(source=source, scenes=len(ids), licence=licence, citation=citation)
        for (source, licence, citation), ids in scenes.items()
    )


def _key(config: DatasetConfig) -> str:
    """Hash of all that decides the content of the store."""
    facts = {"format": FORMAT, "config": config.model_dump(mode="json"), "input": fingerprint(config.source)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _finished(folder: Path, key: str) -> Manifest | None:
    try:
        manifest = read_manifest(folder)
    except DataError:
        return None
    return manifest if manifest.key == key else None


def _is_done(file: Path, key: str) -> bool:
    try:
        return file.is_file() and read_facts(file).get("key") == key
    except (OSError, ValueError):
        return False


def _cores() -> int:
    return min(os.cpu_count() or 1, 8)


def _first_reasons(problems: Sequence[Skip]) -> str:
    shown = "; ".join(f"{skip.scene}: {skip.reason}" for skip in problems[:3])
    return shown or "check the source's path and patterns"

"""Open the scenes of a source, simulated ones through the same files as a user's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import rasterio

from agrilape.config.recipe import FolderSource, FormatSource, SimulateSource, Source
from agrilape.console import progress
from agrilape.dataset.manifest import Skip
from agrilape.errors import AgrilapeError, doing
from agrilape.prepare.label_index import LabelledScene, write_label_index
from agrilape.prepare.worker_pool import WorkerPool
from agrilape.simulate import SIMULATOR_VERSION, simulate_scene
from agrilape.skips import affects_all_items, attempt, planned
from agrilape.sources import Problem, Scene, find_image_folders, open_folder, open_image_folder
from agrilape.sources.formats import open_format

RASTER_CACHE_BYTES = 128 << 20  # of decoded image tiles per process; rasterio, unlike GDAL, takes bytes
WORTH_WORKERS = 16  # parts of a source; opening one takes about as long as starting a worker

Part: TypeAlias = Callable[[], Iterator[Scene | Problem | str]]
"""A part of a source that is opened by itself: its scenes, what was skipped, and notes for people."""


@dataclass(frozen=True)
class OpenedSource:
    """What a source, or a part of it, holds."""

    grounds: tuple[LabelledScene, ...]
    problems: tuple[Skip, ...]
    notes: tuple[str, ...]


def open_source(source: Source, cache: Path, label_folder: Path, pool: WorkerPool) -> OpenedSource:
    """The scenes of a source in a fixed order, their labels laid down in files.

    Args:
        source: Where they come from.
        cache: Where simulated scenes are kept; those that are there are not made again.
        label_folder: Folder for the labels.
        pool: Those who do it.

    Raises:
        DataError: The source does not exist.
    """
    parts = parts_of(source, cache)
    make = isinstance(source, SimulateSource) and not all(map(_is_there, parts))
    worthwhile = len(parts) > (1 if make else WORTH_WORKERS)
    with progress("simulate" if make else "open", len(parts), "parts") as track:
        work = partial(_open_part, label_folder=label_folder)
        opened = list(pool.map(work, list(enumerate(parts)), lambda _: track(1), worthwhile))
    return OpenedSource(
        tuple(ground for one in opened for ground in one.grounds),
        tuple(problem for one in opened for problem in one.problems),
        tuple(dict.fromkeys(note for one in opened for note in one.notes)),
    )


def parts_of(source: Source, cache: Path) -> list[Part]:
    """What of a source can be opened by itself.

    Raises:
        DataError: The source does not exist.
    """
    match source:
        case SimulateSource():
            facts = json.dumps(
                {**source.model_dump(mode="json"), "version": SIMULATOR_VERSION}, sort_keys=True
            )
            folder = cache.resolve() / f"simulate-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
            return [Simulated(folder, source, index) for index in range(source.scenes)]
        case FolderSource():
            folders = find_image_folders(source.path.resolve(), source.images, source.parcels)
            stated = source.exhaustively_labelled
            return [partial(open_image_folder, replace(one, exhaustively_labelled=stated)) for one in folders]
        case FormatSource():
            return [partial(open_format, source)]


def fingerprint(source: Source) -> list[Any]:
    """What a source's content depends on: path, size and time of its files; the simulator's version."""
    if isinstance(source, SimulateSource):
        return [SIMULATOR_VERSION]
    root = source.path
    files = sorted(file for file in root.rglob("*") if file.is_file()) if root.is_dir() else []
    return [[str(file.relative_to(root)), (stat := file.stat()).st_size, stat.st_mtime_ns] for file in files]


@dataclass(frozen=True)
class Simulated:
    """A simulated scene, made when it is first opened."""

    cache: Path
    source: SimulateSource
    index: int

    @property
    def folder(self) -> Path:
        """Folder of its files."""
        return self.cache / f"scene_{self.index:04d}"

    def __call__(self) -> Iterator[Scene]:
        """The scene, from its files."""
        if not self.folder.is_dir():
            simulate_scene(self.folder, self.source, self.index)
        opened = open_folder(self.folder)
        if len(opened.scenes) != 1:
            reasons = "; ".join(problem.reason for problem in opened.problems)
            raise AgrilapeError(
                f"{self.folder} does not open as one scene: {reasons}", "remove it and run again"
            )
        scene = opened.scenes[0]
        meta = {**scene.meta, "group": self.folder.name}
        yield replace(scene, id=self.folder.name, source="simulate", meta=meta)


def _is_there(part: Part) -> bool:
    return isinstance(part, Simulated) and part.folder.is_dir()


def _place(part: Part) -> str:
    """What a part of a source is called."""
    if isinstance(part, Simulated):
        return str(part.folder)
    (first,) = getattr(part, "args", ("",))
    return str(getattr(first, "folder", getattr(first, "path", first)))


def _found(part: Part, place: str) -> Iterator[Scene | Problem | str]:
    """What a part holds, and a problem where it ends in the middle; what a source refuses is an error."""
    try:
        with doing("opening", place):
            yield from part()
    except AgrilapeError:
        raise
    except Exception as error:
        if affects_all_items(error):
            raise
        yield Problem(Path(place), planned(error).problem)


def _open_part(numbered: tuple[int, Part], label_folder: Path) -> OpenedSource:
    number, part = numbered
    grounds: list[LabelledScene] = []
    problems: list[Skip] = []
    notes: list[str] = []
    place = _place(part)
    with rasterio.Env(GDAL_CACHEMAX=RASTER_CACHE_BYTES):
        for found in _found(part, place):
            match found:
                case Scene():
                    file = label_folder / f"{number}-{len(grounds)}.parquet"
                    ground = attempt("laying down the labels of", found.id, write_label_index, found, file)
                    if isinstance(ground, AgrilapeError):
                        problems.append(Skip(scene=found.id, reason=ground.problem))
                    else:
                        grounds.append(ground)
                case Problem():
                    problems.append(Skip(scene=str(found.path), reason=found.reason))
                case str():
                    notes.append(found)
    return OpenedSource(tuple(grounds), tuple(problems), tuple(notes))

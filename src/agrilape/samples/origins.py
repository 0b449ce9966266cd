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

from agrilape import __version__
from agrilape.config.recipe import FolderSource, FormatSource, KitSource, SimulateSource, Source
from agrilape.console import progress
from agrilape.errors import AgrilapeError, doing
from agrilape.samples.ground import Ground, lay_down
from agrilape.samples.manifest import Skip
from agrilape.samples.parallel import Crew
from agrilape.simulate import simulate_scene
from agrilape.skips import attempt, concerns_all, planned
from agrilape.sources import Problem, Scene, find_homes, open_folder, open_home, open_kit
from agrilape.sources.formats import open_format
from agrilape.sources.kits import kits_folder

RASTER_CACHE_BYTES = 128 << 20  # of decoded image tiles per process; rasterio, unlike GDAL, takes bytes
WORTH_WORKERS = 16  # parts of a source; opening one takes about as long as starting a worker

Part: TypeAlias = Callable[[], Iterator[Scene | Problem | str]]
"""A part of a source that is opened by itself: its scenes, what was left out, and notes for people."""


@dataclass(frozen=True)
class Opened:
    """What a source, or a part of it, holds."""

    grounds: tuple[Ground, ...]
    problems: tuple[Skip, ...]
    notes: tuple[str, ...]


def open_source(source: Source, cache: Path, shelf: Path, crew: Crew) -> Opened:
    """The scenes of a source in a fixed order, their labels laid down in files.

    Args:
        source: Where they come from.
        cache: Where simulated scenes are kept; those that are there are not made again.
        shelf: Folder for the labels.
        crew: Those who do it.

    Raises:
        DataError: The source does not exist.
    """
    parts = parts_of(source, cache)
    make = isinstance(source, SimulateSource) and not all(map(_is_there, parts))
    worthwhile = len(parts) > (1 if make else WORTH_WORKERS)
    with progress("simulate" if make else "open", len(parts), "parts") as track:
        work = partial(_open_part, shelf=shelf)
        opened = list(crew.map(work, list(enumerate(parts)), lambda _: track(1), worthwhile))
    return Opened(
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
            facts = json.dumps({**source.model_dump(mode="json"), "version": __version__}, sort_keys=True)
            folder = cache.resolve() / f"simulate-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
            return [Simulated(folder, source, index) for index in range(source.scenes)]
        case FolderSource():
            homes = find_homes(source.path.resolve(), source.images, source.parcels)
            stated = source.fully_labelled
            return [partial(open_home, replace(home, fully_labelled=stated)) for home in homes]
        case FormatSource():
            return [partial(open_format, source)]
        case _:
            return [partial(open_kit, source.name)]


def fingerprint(source: Source) -> list[Any]:
    """What a source's content depends on: path, size and time of its files; the simulator's version."""
    if isinstance(source, SimulateSource):
        return [__version__]
    root = kits_folder() / source.name if isinstance(source, KitSource) else source.path
    files = sorted(file for file in root.rglob("*") if file.is_file()) if root.is_dir() else []
    return [[str(file.relative_to(root)), (stat := file.stat()).st_size, stat.st_mtime_ns] for file in files]


@dataclass(frozen=True)
class Simulated:
    """A simulated scene, made when it is first opened."""

    folder: Path
    source: SimulateSource
    index: int

    @property
    def home(self) -> Path:
        """Where its files lie."""
        return self.folder / f"scene_{self.index:04d}"

    def __call__(self) -> Iterator[Scene]:
        """The scene, from its files."""
        if not self.home.is_dir():
            simulate_scene(self.folder, self.source, self.index)
        opened = open_folder(self.home)
        if len(opened.scenes) != 1:
            reasons = "; ".join(problem.reason for problem in opened.problems)
            raise AgrilapeError(
                f"{self.home} does not open as one scene: {reasons}", "remove it and run again"
            )
        scene = opened.scenes[0]
        meta = {**scene.meta, "group": self.home.name}
        yield replace(scene, id=self.home.name, source="simulate", meta=meta)


def _is_there(part: Part) -> bool:
    return isinstance(part, Simulated) and part.home.is_dir()


def _place(part: Part) -> str:
    """What a part of a source is called."""
    if isinstance(part, Simulated):
        return str(part.home)
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
        if concerns_all(error):
            raise
        yield Problem(Path(place), planned(error).problem)


def _open_part(numbered: tuple[int, Part], shelf: Path) -> Opened:
    number, part = numbered
    grounds: list[Ground] = []
    problems: list[Skip] = []
    notes: list[str] = []
    place = _place(part)
    with rasterio.Env(GDAL_CACHEMAX=RASTER_CACHE_BYTES):
        for found in _found(part, place):
            match found:
                case Scene():
                    file = shelf / f"{number}-{len(grounds)}.parquet"
                    ground = attempt("laying down the labels of", found.id, lay_down, found, file)
                    if isinstance(ground, AgrilapeError):
                        problems.append(Skip(scene=found.id, reason=ground.problem))
                    else:
                        grounds.append(ground)
                case Problem():
                    problems.append(Skip(scene=str(found.path), reason=found.reason))
                case str():
                    notes.append(found)
    return Opened(tuple(grounds), tuple(problems), tuple(notes))

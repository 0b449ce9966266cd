"""Open the scenes of a source, simulated ones through the same files as a user's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from agrilape import __version__
from agrilape.config.recipe import FolderSource, SimulateSource, Source
from agrilape.console import progress, say
from agrilape.errors import AgrilapeError
from agrilape.samples.manifest import Skip
from agrilape.simulate import simulate_scene
from agrilape.sources import Scene, load_scenes, open_folder
from agrilape.sources.kits import kits_folder

T = TypeVar("T")
R = TypeVar("R")


def open_scenes(source: Source, cache: Path, workers: int) -> tuple[list[Scene], list[Skip]]:
    """The scenes of a source in a fixed order, and what could not be used.

    Args:
        source: Where they come from.
        cache: Where simulated scenes are kept; those that are there are not made again.
        workers: Processes that simulate.

    Raises:
        DataError: The source does not exist.
    """
    match source:
        case SimulateSource():
            return _simulated(source, cache, workers), []
        case FolderSource():
            opened = open_folder(source.path, source.images, source.parcels)
            for note in opened.notes:
                say(note)
            problems = [Skip(scene=str(problem.path), reason=problem.reason) for problem in opened.problems]
            return list(opened.scenes), problems
        case _:
            return list(load_scenes(source)), []


def fingerprint(source: Source) -> list[Any]:
    """What a source's content depends on: path, size and time of its files; the simulator's version."""
    if isinstance(source, SimulateSource):
        return [__version__]
    root = source.path if isinstance(source, FolderSource) else kits_folder() / source.name
    files = sorted(file for file in root.rglob("*") if file.is_file()) if root.is_dir() else []
    return [[str(file.relative_to(root)), (stat := file.stat()).st_size, stat.st_mtime_ns] for file in files]


def in_parallel(
    work: Callable[[T], R], items: list[T], workers: int, track: Callable[[T], None]
) -> Iterator[R]:
    """Results of independent work in the order of its items; processes are spawned, so threads do no harm.

    Args:
        work: A function that can be pickled.
        items: Its arguments.
        workers: Processes; 1 works in this one.
        track: Called after each item.
    """
    if min(workers, len(items)) <= 1:
        for item in items:
            result = work(item)
            track(item)
            yield result
        return
    with ProcessPoolExecutor(min(workers, len(items)), get_context("spawn")) as pool:
        running = [pool.submit(work, item) for item in items]
        at = dict(zip(running, items, strict=True))
        for future in as_completed(running):
            future.result()
            track(at[future])
        yield from (future.result() for future in running)


def _simulated(source: SimulateSource, cache: Path, workers: int) -> list[Scene]:
    facts = json.dumps({**source.model_dump(mode="json"), "version": __version__}, sort_keys=True)
    folder = cache / f"simulate-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
    missing = sum(not _scene_folder(folder, index).is_dir() for index in range(source.scenes))
    count = workers if missing > 1 or source.scenes > 16 else 1
    with progress("simulate" if missing else "open", source.scenes, "scenes") as track:
        work = partial(_simulate_one, folder, source)
        return list(in_parallel(work, list(range(source.scenes)), count, lambda _: track(1)))


def _simulate_one(folder: Path, source: SimulateSource, index: int) -> Scene:
    scene_folder = _scene_folder(folder, index)
    if not scene_folder.is_dir():
        simulate_scene(folder, source, index)
    opened = open_folder(scene_folder)
    if len(opened.scenes) != 1:
        reasons = "; ".join(problem.reason for problem in opened.problems)
        raise AgrilapeError(
            f"{scene_folder} does not open as one scene: {reasons}", "remove it and run again"
        )
    scene = opened.scenes[0]
    meta = {**scene.meta, "group": scene_folder.name}
    return replace(scene, id=scene_folder.name, source="simulate", meta=meta)


def _scene_folder(folder: Path, index: int) -> Path:
    return folder / f"scene_{index:04d}"

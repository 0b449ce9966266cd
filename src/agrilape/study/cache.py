"""What runs have in common is made once: prepared data sets, and stages made from the same things.

A lock is held while something is made; others wait for it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agrilape.config import Recipe
from agrilape.config.recipe import DatasetConfig
from agrilape.dataset.manifest import read_manifest
from agrilape.errors import DataError
from agrilape.locks import locked
from agrilape.study.content_keys import dataset_key

FINISHED = "stage.json"


def data_place(config: DatasetConfig, work: Path) -> Path:
    """Where the cache keeps a prepared data set."""
    return work / "data" / dataset_key(config)


def stage_place(work: Path, key: str) -> Path:
    """Where the cache keeps a finished stage."""
    return work / "stages" / key


def prepared(name: str, config: DatasetConfig, work: Path) -> Path:
    """The folder of a prepared data set, made now if it is not there.

    Args:
        name: Its name, for people.
        config: What it is.
        work: Working folder of studies.

    Raises:
        DataError: It is not there, and the libraries that make it are not installed.
    """
    folder = data_place(config, work)
    with locked(folder.with_suffix(".lock")):
        if not _is_whole(folder):
            _prepare(name, config, folder, work / "scenes")
    return folder


def link_data(recipe: Recipe, work: Path) -> Path:
    """Give a run folder links to prepared data sets and simulated scenes; returns `<run>/data`."""
    data = recipe.output / "data"
    data.mkdir(parents=True, exist_ok=True)
    for name, config in recipe.datasets.items():
        link, target = data / name, prepared(name, config, work).resolve()
        if link.is_symlink() and link.resolve() != target:
            link.unlink()
        if not link.exists():
            link.symlink_to(target, target_is_directory=True)
    scenes = recipe.output / "scenes"
    if (work / "scenes").is_dir() and not scenes.exists():
        scenes.symlink_to((work / "scenes").resolve(), target_is_directory=True)
    return data


@contextmanager
def shared_stage(folder: Path, key: str, work: Path) -> Iterator[None]:
    """Around the training of a stage that several runs want: take it from the cache, or put it there.

    Args:
        folder: The stage's folder in the run.
        key: Its key in the cache.
        work: Working folder of studies.
    """
    place = stage_place(work, key)
    with locked(place.with_suffix(".lock")):
        if (place / FINISHED).is_file():
            _copy(place, folder)
        yield
        if not (place / FINISHED).is_file():
            _copy(folder, place)


def _copy(source: Path, target: Path) -> None:
    """Copy a finished stage; files are linked where the file system can. `stage.json` comes last."""
    target.mkdir(parents=True, exist_ok=True)
    files = [path for path in sorted(source.iterdir()) if path.is_file()]
    for path in sorted(files, key=lambda path: path.name == FINISHED):
        draft = target / f".{path.name}.{os.getpid()}"
        draft.unlink(missing_ok=True)
        try:
            os.link(path, draft)
        except OSError:
            shutil.copy2(path, draft)
        os.replace(draft, target / path.name)


def _is_whole(folder: Path) -> bool:
    try:
        read_manifest(folder)
    except DataError:
        return False
    return True


def _prepare(name: str, config: DatasetConfig, folder: Path, scenes: Path) -> None:
    try:
        from agrilape.prepare.from_scenes import prepare_dataset
    except ImportError as error:
        raise DataError(
            f"data set {name} is not in {folder}, and {error.name} is not installed to prepare it",
            "run `agrilape ablate prepare PLAN` elsewhere, and bring the folder `data` of its working folder",
        ) from error
    prepare_dataset(name, config, folder, scenes)

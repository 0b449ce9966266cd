"""A finished stage gives way only to a finished successor, which trains beside it until then."""

from __future__ import annotations

import shutil
from pathlib import Path

from agrilape.files import repair_folder, replace_folder
from agrilape.train import checkpoints


def place_for(folder: Path, done: str) -> Path:
    """Where a stage trains: in its folder, unless a finished one is there.

    Args:
        folder: The stage's folder.
        done: File in it that says that it is finished.
    """
    return successor(folder) if (folder / done).is_file() else folder


def successor(folder: Path) -> Path:
    """Where a stage trains that is to replace a finished one."""
    return folder.with_name(f".{folder.name}.next")


def finish_replacement(folder: Path, done: str, made_from: str | None) -> None:
    """Put a successor in its place that was finished when the process ended, and remove what none needs.

    Args:
        folder: The stage's folder.
        done: File in it that says that it is finished.
        made_from: What the stage is to be made from; None to begin anew.
    """
    repair_folder(folder)
    waiting = successor(folder)
    if not waiting.is_dir():
        return
    finished = checkpoints.made_from(folder / done)
    if made_from is not None and checkpoints.made_from(waiting / done) == made_from != finished:
        replace_folder(waiting, folder)
    elif made_from is None or finished in {None, made_from}:
        shutil.rmtree(waiting, ignore_errors=True)

"""Checkpoints within a stage: complete ones are told from incomplete ones.

A checkpoint is written file by file and can be interrupted anywhere. Its completion marker, written last and
in one piece, lists all files with their sizes; a checkpoint without a matching marker does not count.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agrilape.errors import DiskError
from agrilape.files import is_out_of_room, write_json
from agrilape.io.json_text import parse_json

MARKER = "complete.json"


def mark_complete(folder: Path) -> None:
    """Declare a checkpoint complete."""
    write_json(folder / MARKER, {"files": _sizes(folder)})


def is_complete(folder: Path) -> bool:
    """Is a checkpoint complete and are its files as long as they were?"""
    try:
        files = read_json(folder / MARKER)["files"]
    except (OSError, ValueError, KeyError):
        return False
    return bool(files == _sizes(folder))


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint of a stage, if there is one."""
    steps = sorted(_steps(folder), reverse=True)
    return next((path for _, path in steps if is_complete(path)), None)


def discard_incomplete(folder: Path) -> list[Path]:
    """Remove incomplete checkpoints and unfinished drafts; returns the checkpoints."""
    incomplete = [path for _, path in _steps(folder) if not is_complete(path)]
    for path in (*incomplete, *folder.glob(".checkpoint-*")):
        shutil.rmtree(path)
    return incomplete


def read_json(path: Path) -> Any:
    """Read JSON that a run wrote."""
    return parse_json(path.read_bytes(), infinite=True)


def made_from(path: Path) -> str | None:
    """What a stage was made from, by its `stage.json` or `begun.json`; None where there is none."""
    try:
        return str(read_json(path)["made_from"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def explained_full_disk(folder: Path) -> Iterator[None]:
    """Say it plainly when files cannot be written: and where the run goes on.

    Args:
        folder: The checkpoints of the stage.

    Raises:
        DiskError: The disk is full, or a quota or a limit is reached.
    """
    try:
        yield
    except BaseException as error:  # torch's CheckpointException is no Exception
        if not is_out_of_room(error):
            raise
        last = latest(folder)
        raise DiskError(
            f"no room to write to {folder}: {str(error).splitlines()[0]}",
            "free some space or raise the limit, and run again; "
            + (f"it goes on from {last}" if last else "no checkpoint had been written yet"),
        ) from error


def _steps(folder: Path) -> list[tuple[int, Path]]:
    named = ((path.name.removeprefix("checkpoint-"), path) for path in folder.glob("checkpoint-*"))
    return [(int(step), path) for step, path in named if step.isdigit()]


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MARKER)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}

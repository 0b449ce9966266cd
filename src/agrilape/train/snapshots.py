"""Checkpoints within a stage: complete ones are told from torn ones.

A checkpoint is written file by file and can be interrupted anywhere. Its seal, written last and in one piece,
lists all files with their sizes; a checkpoint without a matching seal does not count.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

SEAL = "complete.json"


def seal(folder: Path) -> None:
    """Declare a checkpoint complete."""
    write_json(folder / SEAL, {"files": _sizes(folder)})


def is_sealed(folder: Path) -> bool:
    """Is a checkpoint complete and are its files as long as they were?"""
    try:
        files = json.loads((folder / SEAL).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError):
        return False
    return bool(files == _sizes(folder))


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint of a stage, if there is one."""
    steps = sorted(_steps(folder), reverse=True)
    return next((path for _, path in steps if is_sealed(path)), None)


def discard_torn(folder: Path) -> list[Path]:
    """Remove incomplete checkpoints; returns them."""
    torn = [path for _, path in _steps(folder) if not is_sealed(path)]
    for path in torn:
        shutil.rmtree(path)
    return torn


def write_json(path: Path, value: object) -> None:
    """Write JSON so that the file is either the old or the new one, whole."""
    draft = path.with_name(f".{path.name}.partial")
    draft.write_text(json.dumps(value, indent=1), encoding="utf-8")
    os.replace(draft, path)


def _steps(folder: Path) -> list[tuple[int, Path]]:
    named = ((path.name.removeprefix("checkpoint-"), path) for path in folder.glob("checkpoint-*"))
    return [(int(step), path) for step, path in named if step.isdigit()]


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != SEAL)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}

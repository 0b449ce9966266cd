"""Files and folders that are written whole or not at all, and a full disk said plainly.

A draft beside the target takes its place once all is written, so that whoever looks sees the old or the new,
even after `kill -9`. Its name begins with a dot.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from uuid import uuid4

from agrilape.errors import DataError, DiskError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# GDAL passes on the system's words, safetensors its number; torch says only that it could not write.
_FULL_SIGNS = (
    *(sign for number in _FULL for sign in (os.strerror(number), f"os error {number}")),
    "PytorchStreamWriter failed writing",
    "disk I/O error",  # SQLite's, of a limit on the size of files
)
_NO_ROOM = 1 << 17
"""Free bytes below which a failed write is put down to the disk: SQLite keeps the true reason to itself."""
_LONGEST_PART = 255  # bytes of a name that common file systems take
_LONGEST_NAME = 4000  # of a whole path
_ODD = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # control characters, and halves of characters


def path_inside(folder: Path, name: object, what: str = "a file's name", remedy: str | None = None) -> Path:
    r"""The path of something that a file names, which must lie in the folder that it belongs to.

    Args:
        folder: That folder.
        name: As the file has it, its parts divided by `/`.
        what: What has that name, for the error.
        remedy: What to do about one that is not usable.

    Raises:
        DataError: It is no name, is absolute, leads out of the folder (also by a symbolic link), or is one
            that some system cannot have: with `\`, `:` as of a drive, control characters, or too long.
    """
    reason = _odd_name(name)
    path = folder if reason else Path(folder, str(name))
    if reason is None:
        try:
            reason = None if path.resolve().is_relative_to(folder.resolve()) else "leads out of its folder"
        except (OSError, RuntimeError, ValueError) as error:  # links in a circle
            reason = f"is not usable: {error}"
    if reason is not None:
        raise DataError(f"{what} {reason}: {name!r:.200}", remedy or f"name something in {folder}")
    return path


def _odd_name(name: object) -> str | None:
    """Why something is not the name of a file in a folder; None if it is."""
    if not isinstance(name, str) or not name.strip():
        return "is empty" if isinstance(name, str) else "is no text"
    given = PurePosixPath(name)
    if _ODD.search(name):
        return "has characters that no file's name may have"
    if "\\" in name or re.match("[A-Za-z]:", name):
        return "is written as on Windows"
    if given.is_absolute():
        return "is absolute"
    if ".." in given.parts:
        return "leads out of its folder"
    if not given.parts:
        return "is that of the folder itself"
    if len(name.encode()) > _LONGEST_NAME or max(len(part.encode()) for part in given.parts) > _LONGEST_PART:
        return "is too long"
    return None


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A draft that takes the place of a file when all is written, and is removed if that fails.

    Args:
        path: The file; its folder is made.

    Yields:
        Where to write: beside the file, with the same ending.

    Raises:
        DiskError: There is no room for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex[:8]}{path.suffix}")
    try:
        with _room_for(path):
            yield draft
            os.replace(draft, path)
    finally:
        for rest in ("", "-journal", "-wal", "-shm"):  # SQLite's
            draft.with_name(draft.name + rest).unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A draft that takes the place of a folder when all is written, and is removed if that fails.

    Args:
        folder: The folder; what is in it is replaced.

    Yields:
        An empty folder to write to.

    Raises:
        DiskError: There is no room for it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as room:
        draft, old = Path(room, "new"), Path(room, "old")
        with _room_for(folder):
            draft.mkdir()
            yield draft
            if folder.exists():
                os.replace(folder, old)
            os.replace(draft, folder)


def write_text(path: Path, text: str) -> Path:
    """Write a text file whole or not at all; returns its path."""
    with whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, value: object) -> Path:
    """Write a JSON file whole or not at all; returns its path."""
    return write_text(path, json.dumps(value, indent=1) + "\n")


def is_out_of_room(error: BaseException) -> bool:
    """Whether an error, or one behind it, is of a disk that takes no more: libraries say so in many ways."""
    if isinstance(error, DiskError) or (isinstance(error, OSError) and error.errno in _FULL):
        return True
    if any(sign in str(error) for sign in _FULL_SIGNS):
        return True
    behind = error.__cause__ or error.__context__
    return behind is not None and is_out_of_room(behind)


@contextmanager
def _room_for(path: Path) -> Iterator[None]:
    """Turn an error of writing into one that says so, where the disk is full."""
    try:
        yield
    except DiskError:
        raise
    except Exception as error:
        told = isinstance(error, OSError) and error.errno is not None  # the system's own reason
        if is_out_of_room(error) or (not told and shutil.disk_usage(path.parent).free < _NO_ROOM):
            problem = f"there is no room on the disk for {path}"
            raise DiskError(problem, "free some space and run again") from error
        raise

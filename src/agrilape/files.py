"""Files and folders that are written whole or not at all, and a full disk said plainly.

A draft beside the target takes its place once all is written, so that whoever looks sees the old or the new,
even after `kill -9`. Its name begins with a dot.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from uuid import uuid4

from agrilape.errors import AgrilapeError, DataError, DiskError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# GDAL passes on the system's words, safetensors its number; torch says only that it could not write.
_FULL_SIGNS = (
    *(sign for number in _FULL for sign in (os.strerror(number), f"os error {number}")),
    "PytorchStreamWriter failed writing",
    "disk I/O error",  # SQLite's, of a limit on the size of files
)
_NO_ROOM = 1 << 17
"""Free bytes below which a failed write is put down to the disk: SQLite keeps the true reason to itself."""
LISTED = ".agrilape-files"
"""What `whole_folder` writes beside the files of a folder: their sizes and paths."""
DRAFT = ".draft"
MARK = b"agrilape"
"""What files hold that we write for others."""
_NO_ONES = {LISTED, ".DS_Store", "Thumbs.db", "desktop.ini"}  # that nobody would miss
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
    remedy = remedy or f"name something in {folder}"
    path = Path(folder, check_name(name, what, remedy))
    try:
        reason = None if path.resolve().is_relative_to(folder.resolve()) else "leads out of its folder"
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle
        reason = f"is not usable: {error}"
    if reason is not None:
        raise DataError(f"{what} {reason}: {name!r:.200}", remedy)
    return path


def check_name(name: object, what: str, remedy: str = "give it a name of its own", parts: int = 100) -> str:
    """A name that a path is made of, which a file or somebody gave.

    Args:
        name: The name.
        what: What has it, for the error.
        remedy: What to do about one that is not usable.
        parts: How many parts it may have, divided by `/`; of a single one the first letter is no dot.

    Raises:
        DataError: It is none that stays in a folder, see `path_inside`.
    """
    reason = _odd_name(name)
    if reason is None and (str(name).count("/") >= parts or (parts == 1 and str(name).startswith("."))):
        reason = "has too many parts" if parts > 1 else "is not that of one folder"
    if reason is not None:
        raise DataError(f"{what} {reason}: {name!r:.200}", remedy)
    return str(name)


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

    What it replaces is one that was written in the same way and left as it was: `.agrilape-files` in it lists
    what was written.

    Args:
        folder: The folder.

    Yields:
        An empty folder to write to.

    Raises:
        AgrilapeError: What is there holds files that were not written so; see `require_replaceable`.
        DiskError: There is no room for it.
    """
    folder = folder.resolve() if folder.is_symlink() else folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    require_replaceable(folder)
    draft = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}{DRAFT}")
    try:
        with _room_for(folder):
            draft.mkdir()
            yield draft
            _list_files(draft)
            require_replaceable(folder)
            replace_folder(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def require_replaceable(folder: Path) -> None:
    """Refuse to replace what was not written by `whole_folder`, or was added to or changed since.

    Call it before long work; `whole_folder` does so before it begins and before it replaces.

    Raises:
        AgrilapeError: The folder is a file, or holds others' files; it names them.
    """
    repair_folder(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise AgrilapeError(f"{folder} is a file", "name a folder that is not there yet")
    known = _listed_files(folder)
    foreign = [
        str(path.relative_to(folder)) for path in _files_in(folder) if not _is_known(path, folder, known)
    ]
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise AgrilapeError(
            f"{folder} holds what agrilape did not write there: {', '.join(foreign[:3])}{more}",
            "name a folder that is not there yet, or move these files away",
        )


def replace_folder(new: Path, folder: Path) -> None:
    """Put one folder in the place of another in one step, and remove the other.

    Where the system cannot exchange two folders at once, the old one is kept as `.<name>.old` until the new
    one stands; if the process ends in between, the next that writes there puts it back.
    """
    repair_folder(folder)
    if not folder.exists():
        os.rename(new, folder)
    elif _exchange(new, folder):
        shutil.rmtree(new, ignore_errors=True)
    else:
        old = _kept(folder)
        os.rename(folder, old)
        try:
            os.rename(new, folder)
        except BaseException:
            os.rename(old, folder)
            raise
        shutil.rmtree(old, ignore_errors=True)


def remove_drafts(folder: Path, pattern: str = "**/.*") -> list[Path]:
    """Remove what killed processes left half-written, by default anywhere below a folder; returns what.

    Only for whoever holds the folder's lock: else another process may be writing.
    """
    drafts = [path for path in folder.glob(pattern) if _is_draft(path.name)]
    for path in drafts:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return drafts


def _is_draft(name: str) -> bool:
    """Is a name one that `whole_file` or `whole_folder` gives to a draft?"""
    return bool(
        re.fullmatch(rf"\..+(\.\w+)\.[0-9a-f]{{8}}\1(-journal|-wal|-shm)?|\..+\.[0-9a-f]{{8}}{DRAFT}", name)
    )


def _kept(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def repair_folder(folder: Path) -> None:
    """Finish or undo a replacement that a process did not live to finish."""
    old = _kept(folder)
    if not old.is_dir():
        return
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(old, folder)


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change their places in one step; False where system or file system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if rename is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0:
        return True
    number = ctypes.get_errno()
    if number in {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM}:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _files_in(folder: Path) -> list[Path]:
    """All files below a folder, links among them, but for those of the system and the list itself."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if (path.is_symlink() or not path.is_dir()) and path.name not in _NO_ONES
    ]


def _list_files(folder: Path) -> None:
    """Write down the size and the path of every file of a folder."""
    rows = [f"{path.stat().st_size} {path.relative_to(folder).as_posix()}\n" for path in _files_in(folder)]
    Path(folder, LISTED).write_text("".join(rows), encoding="utf-8")


def _listed_files(folder: Path) -> dict[str, str]:
    """Size by path of the files that were written into a folder; none where there is no list."""
    try:
        lines = Path(folder, LISTED).read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError):
        return {}
    return {name: size for size, _, name in (line.partition(" ") for line in lines) if name}


def _is_known(path: Path, folder: Path, known: Mapping[str, str]) -> bool:
    size = known.get(path.relative_to(folder).as_posix())
    return size is not None and not path.is_symlink() and str(path.stat().st_size) == size


def require_writable(path: Path, overwrite: bool = False) -> Path:
    """Refuse to replace a file that a user named, unless agrilape wrote it: then it says so within.

    Args:
        path: The file.
        overwrite: Replace whatever is there.

    Returns:
        The path.

    Raises:
        AgrilapeError: Something else is there; nothing was done yet.
    """
    if overwrite or not path.exists():
        return path
    if path.is_dir():
        raise AgrilapeError(f"{path} is a folder", "name a file")
    with path.open("rb") as file:
        if MARK in file.read(1 << 17):
            return path
    raise AgrilapeError(
        f"{path} is there already, and agrilape did not write it", "name another file, or add --overwrite"
    )


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
    except (DiskError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # torch's CheckpointException is no Exception
        told = isinstance(error, OSError) and error.errno is not None  # the system's own reason
        if is_out_of_room(error) or (not told and shutil.disk_usage(path.parent).free < _NO_ROOM):
            problem = f"there is no room on the disk for {path}"
            raise DiskError(problem, "free some space and run again") from error
        raise

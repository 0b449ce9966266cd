"""One writer at a time: locks that fall with the process that holds them, however it ends.

A lock is a file that the system keeps locked for us (`flock`) and that says who we are. On network file
systems it holds as far as they know such locks.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from agrilape.errors import AgrilapeError
from agrilape.files import remove_drafts

RUN, REPORT = ".lock", ".report.lock"
"""Names of the locks of a run folder: of all that is made there, and of the page that is made of it."""
_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK")  # in the environment of processes that share a job
_held: dict[Path, tuple[int, int]] = {}  # file handle, and how often this process has taken the lock


@contextmanager
def run_locked(run: Path, name: str = RUN) -> Iterator[None]:
    """Hold a run folder while something is written to it; what killed processes left half-written is removed.

    Several processes of one job (`torchrun`) share the lock of the first. Whoever holds it may take it again.

    Args:
        run: The folder; it is made.
        name: Which of its locks.

    Raises:
        AgrilapeError: Another process holds it; says which.
    """
    if any(os.environ.get(rank, "0") != "0" for rank in _RANKS):
        yield
        return
    run.mkdir(parents=True, exist_ok=True)
    again = (run / name).resolve() in _held
    with locked(run / name, f"{run} is being written"):
        if name == RUN and not again:
            remove_drafts(run)
        yield


@contextmanager
def output_locked(folder: Path) -> Iterator[None]:
    """Hold a folder that is written as a whole, by a lock beside it; drafts of it that were left there go.

    Raises:
        AgrilapeError: Another process holds it; says which.
    """
    with locked(folder.with_name(f".{folder.name}.lock"), f"{folder} is being written"):
        remove_drafts(folder.parent, f".{folder.name}.*")
        yield


@contextmanager
def locked(path: Path, what: str | None = None) -> Iterator[None]:
    """Hold a lock file, which is there as long as it is held.

    Args:
        path: The file; its folder is made.
        what: What it means that another process holds it: then that is an error. None waits for it.

    Raises:
        AgrilapeError: Another process holds it; says which.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, times = _held.get(path, (-1, 0))
    if not times:
        handle = _take(path, what)
    _held[path] = handle, times + 1
    try:
        yield
    finally:
        handle, times = _held.pop(path, (-1, 0))
        if times > 1:
            _held[path] = handle, times - 1
        elif times:
            path.unlink(missing_ok=True)  # while it is ours: `_take` looks whether its file is still the one
            os.close(handle)


def _take(path: Path, what: str | None) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if what else 0))
        except BlockingIOError:
            holder = os.read(handle, 1 << 16)
            os.close(handle)
            raise _locked_error(what or "", holder) from None
        except BaseException:
            os.close(handle)
            raise
        if _is_still(handle, path):
            os.ftruncate(handle, 0)
            os.write(handle, json.dumps(_ourselves()).encode())
            return handle
        os.close(handle)  # its holder has just removed it


def _is_still(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _ourselves() -> dict[str, str | int]:
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "command": command}


def _locked_error(what: str, holder: bytes) -> AgrilapeError:
    remedy = "wait until it has ended, or name another folder with --output"
    try:
        who = json.loads(holder)
        said = f"process {who['pid']} on {who['host']} since {who['since']}: {who['command']}"
    except (ValueError, KeyError, TypeError):
        return AgrilapeError(f"{what} by another process", remedy)
    return AgrilapeError(f"{what} by {said}", f"{remedy}; if it is to end now: kill {who['pid']}")


def _forget_in_child() -> None:
    """Close a forked child's handles on our locks, which would keep them when we are gone."""
    for handle, _ in _held.values():
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)

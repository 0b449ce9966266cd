"""How a command fails: a few lines for people, an exit status, a log of what nobody planned; no traceback.

Standard library only, since the failure may be that of a dependency.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from contextlib import suppress
from importlib import metadata
from typing import NamedTuple

from agrilape import logfile
from agrilape.cli.interrupt import ErrorPastTyper, Terminated, is_reader_gone, silence_output
from agrilape.errors import AgrilapeError, activities, chain_of, text_of
from agrilape.files import is_out_of_room

PROBLEM, UNPLANNED, INTERRUPTED, ENDED, NO_READER = 1, 70, 130, 143, 141

KEPT = {
    "quickstart": ("what is finished is kept", "the same command goes on where it stopped"),
    "simulate": ("the scenes that were written are whole", "the same command makes the rest"),
    "prepare": ("finished shards are kept", "the same command goes on where it stopped"),
    "train": (
        "finished stages, and the steps up to the last checkpoint, are kept",
        "the same command goes on from there; with --again it begins anew",
    ),
    "evaluate": ("the answers so far are kept", "the same command asks the rest"),
    "ablate": ("finished runs, and the checkpoints of others, are kept", "the same command does the rest"),
}
NOTHING_HALF = ("no half-written file is left", "run the command again")

_REMEDIES = {
    errno.ENOENT: "check the path",
    errno.EACCES: "get the right to it, or name another place",
    errno.EPERM: "get the right to it, or name another place",
    errno.EROFS: "name a place that can be written to",
    errno.EEXIST: "name another place",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "name a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EILSEQ: "choose a name that this system can write",
    errno.EMFILE: "raise the limit of open files: ulimit -n",
    errno.ENFILE: "close other programs: the system has no more open files to give",
    errno.ENOTEMPTY: "name an empty folder",
}
_EXTRA_MODULES = {  # where a module is not called as what installs it
    "PIL": "pillow", "yaml": "pyyaml", "sklearn": "scikit-learn", "skimage": "scikit-image", "osgeo": "gdal",
}  # fmt: skip
_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "Cannot allocate memory")


class Failure(NamedTuple):
    """What to print, and the exit status."""

    lines: str
    status: int


def report(error: BaseException) -> int:
    """Print a failure for people, and give the exit status.

    Args:
        error: Whatever ended the command.
    """
    passed = error if isinstance(error, ErrorPastTyper) else ErrorPastTyper(error, "")
    error, command = passed.error, passed.command
    if isinstance(error, OSError) and error.errno == errno.EPIPE and is_reader_gone():
        silence_output()
        return NO_READER
    failure = failure_of(error, command)
    if os.environ.get("AGRILAPE_DEBUG") and failure.status not in (INTERRUPTED, ENDED):
        with suppress(Exception):
            traceback.print_exception(error)
    if failure.status not in (INTERRUPTED, ENDED) or _is_first():
        _print(failure)
    return failure.status


def failure_of(error: BaseException, command: str = "") -> Failure:
    """What to say of an error.

    Args:
        error: The error.
        command: The command that was at work.
    """
    if isinstance(error, KeyboardInterrupt):
        kept, remedy = KEPT.get(command, NOTHING_HALF)
        ended = isinstance(error, Terminated)
        return Failure(
            f"{'ended' if ended else 'interrupted'}: {kept}\n  -> {remedy}", ENDED if ended else INTERRUPTED
        )
    if isinstance(error, EOFError) and not str(error):
        return Failure("error the input ended\n  -> run the command again", PROBLEM)
    for explain in (_own, _disk, _package, _memory, _file, _of_transformers):
        with suppress(Exception):  # an explanation that fails must not hide the error
            if (found := explain(error)) is not None:
                return Failure(f"error {found[0]}\n  -> {found[1]}", PROBLEM)
    return _unplanned(error)


def _unplanned(error: BaseException) -> Failure:
    log = None
    with suppress(Exception):
        log = logfile.record(error)
    during = ", ".join(activities(error)) or "working"
    where = f"the full log is {log}" if log else "no log could be written; AGRILAPE_DEBUG=1 shows all"
    words = text_of(error)
    words = words if len(words) <= 1000 else f"{words[:700]} [...] {words[-250:]}"
    words = "\n  ".join(line for line in words.splitlines() if line.strip())
    return Failure(f"error while {during}\n  {logfile.without_secrets(words)}\n  -> {where}", UNPLANNED)


def _own(error: BaseException) -> tuple[str, str] | None:
    return (error.problem, error.remedy) if isinstance(error, AgrilapeError) else None


def _disk(error: BaseException) -> tuple[str, str] | None:
    if isinstance(error, FileNotFoundError) and "No usable temporary directory" in str(error):
        return (
            "no folder for temporary files can be written to",
            "free some space, or name one: TMPDIR=FOLDER",
        )
    if not is_out_of_room(error):
        return None
    during = "".join(f", while {one}" for one in activities(error)[:2])
    return f"there is no room on the disk{during}", "free some space and run again"


def _package(error: BaseException) -> tuple[str, str] | None:
    """A package that is missing or broken, and how to get it."""
    if not isinstance(error, ImportError):
        return None
    name = (error.name or "").partition(".")[0]
    if not name or name == "agrilape":
        return None
    if not isinstance(error, ModuleNotFoundError):
        return (
            f"the package {name} is installed, but cannot be used: {error}",
            f"install it anew: pip install --force-reinstall {_EXTRA_MODULES.get(name, name)}",
        )
    return f"the package {name} is missing", f"pip install {_wanted(_EXTRA_MODULES.get(name, name))}"


def _wanted(name: str) -> str:
    """What installs a package: agrilape's extra that has it, agrilape itself, or its own name."""
    for requirement in metadata.requires("agrilape") or ():
        needed, _, marker = requirement.partition(";")
        plain = needed.strip().split("[")[0].split(">")[0].split("<")[0].split("=")[0].split("~")[0]
        if plain.strip().lower().replace("_", "-") == name.lower().replace("_", "-"):
            extra = marker.partition("extra")[2].strip(" ='\"")
            if extra != "dev":
                return f"'agrilape[{extra}]'" if extra else "agrilape"
    return name


def _memory(error: BaseException) -> tuple[str, str] | None:
    """Memory of the machine or of its GPU."""
    text = str(error)
    full = isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in _MEMORY)
    )
    if not full:
        return None
    during = "".join(f", while {one}" for one in activities(error)[:2])
    detail = text.strip().splitlines()[0] if text.strip() else "the machine gives no more"
    return f"there is not enough memory{during}: {detail}", (
        "set smaller sizes (batch_size, chip, tile) or fewer workers, close other programs, and run again"
    )


def _file(error: BaseException) -> tuple[str, str] | None:
    """A file that is missing, may not be read, or is no folder: the system's words with the file's name."""
    if not isinstance(error, OSError) or error.errno not in _REMEDIES or error.filename is None:
        return None
    return f"{os.fsdecode(error.filename)}: {error.strerror}", _REMEDIES[error.errno]


def _of_transformers(error: BaseException) -> tuple[str, str] | None:
    """What transformers says in words of its own, explained with what to set."""
    if "transformers" not in sys.modules:
        return None
    from agrilape.tokens.library_errors import explanation

    return next((found for one in chain_of(error) if (found := explanation(one)) is not None), None)


def _print(failure: Failure) -> None:
    """Write to standard error what can be written; the first word in red on a terminal."""
    head, text = "", failure.lines
    if os.environ.get("WORLD_SIZE", "1") != "1":
        head = f"[process {os.environ.get('RANK', '0')}] "
    first, _, rest = text.partition(" ")
    with suppress(Exception):
        if sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb":
            first = f"\x1b[1;31m{first}\x1b[0m"
    with suppress(Exception):
        print(f"{head}{first} {rest}", file=sys.stderr, flush=True)  # noqa: T201 - rich may be what is broken


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"

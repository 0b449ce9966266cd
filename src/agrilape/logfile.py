"""A log of what nobody planned, in a folder of the user's: versions, command line, tracebacks; no secrets.

Each process writes at most one file, of bounded size, and the oldest files go. Standard library only where
possible: it has to work when a dependency is broken.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

FOLDER = "AGRILAPE_LOG_FOLDER"
"""Environment variable that names another folder."""
MOST_FILES = 30
MOST_BYTES = 1 << 20  # of one file
MOST_ENTRY = 1 << 18  # characters of one traceback: the beginning and the end of a longer one

_PACKAGES = [
    "agrilape", "torch", "transformers", "tokenizers", "safetensors", "accelerate", "peft", "numpy", "pandas",
    "pyarrow", "pillow", "rasterio", "shapely", "pyproj", "geopandas", "pyogrio", "xarray", "typer", "rich",
]  # fmt: skip
_TELLING = r"(?:token|secret|passw(?:or)?d|api[_-]?key|access[_-]?key|credentials?|signature|bearer)"
_SECRETS = (
    (re.compile(r"(\w{1,20}://)[^/\s:@]{1,200}:[^/\s@]{1,200}@"), r"\1***@"),
    (re.compile(rf"(?i)([\w-]{{0,40}}{_TELLING}['\"]?\s*[=:]\s*['\"]?)[^\s'\"&,)]+"), r"\1***"),
    (re.compile(rf"(?i)(--[\w-]{{0,40}}{_TELLING}\s+|bearer\s+)\S+"), r"\1***"),
    (re.compile(r"(?i)([?&]sig=)[^&\s]+"), r"\1***"),
    (re.compile(r"\b(hf_|gh[opsu]_|sk-|AKIA|ASIA)[A-Za-z0-9_-]{8,}"), r"\1***"),
)
_written: dict[int, Path] = {}  # by process, since a forked one inherits this


def record(error: BaseException) -> Path | None:
    """Write an error with its traceback into this process's log; returns the file, None without any."""
    trace = "".join(_traceback(error))
    if len(trace) > MOST_ENTRY:
        trace = f"{trace[: MOST_ENTRY // 2]}\n[...]\n{trace[-MOST_ENTRY // 2 :]}"
    for folder in _folders():
        with suppress(OSError, RuntimeError):  # no home, no right, no room: the next one
            return _append(folder, f"{time.strftime('%Y-%m-%d %H:%M:%S%z')}\n{trace}\n")
    return None


def without_secrets(text: str) -> str:
    """Text with passwords, keys and tokens replaced, those of the environment's variables among them."""
    for name, value in os.environ.items():
        if len(value) >= 8 and re.search(rf"(?i){_TELLING}|_KEY$", name):
            text = text.replace(value, "***")
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def _traceback(error: BaseException) -> Iterator[str]:
    try:
        yield from traceback.format_exception(error)
    except Exception as second:  # an exception that cannot print itself
        yield from traceback.format_tb(error.__traceback__)
        yield f"{type(error).__name__}, whose text fails with {type(second).__name__}\n"


def _folders() -> Iterator[Path]:
    if FOLDER in os.environ:
        yield Path(os.environ[FOLDER])
    with suppress(Exception):  # it may be what is missing, or there is no home
        from platformdirs import user_log_path

        yield user_log_path("agrilape", appauthor=False)
    yield Path(tempfile.gettempdir(), f"agrilape-log-{os.getuid() if hasattr(os, 'getuid') else 'user'}")


def _append(folder: Path, entry: str) -> Path:
    path = _written.get(os.getpid())
    head = ""
    if path is None or path.parent != folder or not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if hasattr(os, "getuid") and folder.lstat().st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to somebody else")
        path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        head = _head()
    content = without_secrets(head + entry).encode("utf-8", "backslashreplace")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        if os.fstat(handle).st_size + len(content) <= MOST_BYTES:
            os.write(handle, content)
    finally:
        os.close(handle)
    _written[os.getpid()] = path
    _remove_oldest(folder)
    return path


def _head() -> str:
    versions = [f"python {platform.python_version()}", platform.platform()]
    for name in _PACKAGES:
        with suppress(Exception):
            versions.append(f"{name} {metadata.version(name)}")
    try:
        where = os.getcwd()
    except OSError:
        where = "a folder that is gone"
    return f"{', '.join(versions)}\nin {where}: {' '.join(sys.argv)}\n\n"


def _remove_oldest(folder: Path) -> None:
    with suppress(OSError):
        for path in sorted(folder.glob("*.log"))[:-MOST_FILES]:
            path.unlink(missing_ok=True)

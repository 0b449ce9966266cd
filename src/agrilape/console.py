"""What long work shows: a rich progress bar on a terminal, plain lines elsewhere.

All text is printed as it is: names, paths and errors may hold square brackets, which rich would take for its
markup. Whoever wants colour gives a style.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
_state = {"quiet": False}


class ProgressCallback(Protocol):
    """Reports progress of one piece of work."""

    def __call__(self, advance: int = 1, note: str = "") -> None:
        """Count `advance` more items done and show a note beside the bar."""


def set_quiet(quiet: bool) -> None:
    """Show plain lines instead of bars for the rest of the process."""
    _state["quiet"] = quiet


def say(text: str, style: str = "") -> None:
    """Print a line for people, so keep it short; of several processes only the first one speaks."""
    if is_first():
        out.print(printable(text), style=style)


def printable(text: str) -> str:
    """Text with halves of characters, as in names of other encodings, as escapes: no terminal shows them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_first() -> bool:
    """The first of the processes that `torchrun` or `accelerate launch` started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def warn(text: str) -> None:
    """Print a warning on standard error."""
    err.print(Text.assemble(("warning", "yellow"), " ", printable(text)))


@contextmanager
def progress(title: str, total: int, unit: str = "items") -> Iterator[ProgressCallback]:
    """Show progress of `total` items with rate and time left.

    Args:
        title: What is being done.
        total: Number of items.
        unit: What an item is.

    Yields:
        A function to call after each item.
    """
    if not is_first():
        yield silent
    elif sys.stderr.isatty() and not _state["quiet"]:
        with _bar(title, total, unit) as track:
            yield track
    else:
        yield _plain(title, total, unit)


@contextmanager
def _bar(title: str, total: int, unit: str) -> Iterator[ProgressCallback]:
    columns = [
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False), TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False, style="dim"),
    ]  # fmt: skip
    with Progress(*columns, console=err) as bar:
        task = bar.add_task(title, total=total, rate="", note="")
        began = time.monotonic()
        done = 0

        def track(advance: int = 1, note: str = "") -> None:
            nonlocal done
            done += advance
            rate = done / max(time.monotonic() - began, 1e-9)
            bar.update(task, advance=advance, rate=f"{rate:.1f} {unit}/s", note=note)

        yield track


def silent(advance: int = 1, note: str = "") -> None:
    """Show nothing."""


def _plain(title: str, total: int, unit: str, every_s: float = 15.0) -> ProgressCallback:
    """Print a line at the start, every few seconds, and at the end."""
    began = last = time.monotonic()
    done = 0

    def track(advance: int = 1, note: str = "") -> None:
        nonlocal done, last
        done += advance
        now = time.monotonic()
        if done >= total or now - last >= every_s:
            last = now
            rate = done / max(now - began, 1e-9)
            left = (total - done) / max(rate, 1e-9)
            time_said = f"{left:.0f} s left" if done < total else f"{now - began:.1f} s"
            tail = f"  {note}" if note else ""
            line = f"{title}: {done}/{total} {unit}, {rate:.1f} {unit}/s, {time_said}{tail}"
            err.print(printable(line))

    return track

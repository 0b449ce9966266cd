"""Ctrl-C, a polite end by the system, and the streams that a command is started with."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from agrilape import logfile
from agrilape.errors import AgrilapeError


class ErrorPastTyper(BaseException):
    """Carries an error past typer, which ends the process silently for some.

    Args:
        error: The error.
        command: The command that was at work.
    """

    def __init__(self, error: BaseException, command: str) -> None:
        super().__init__(error, command)
        self.error, self.command = error, command


class Terminated(KeyboardInterrupt):
    """The system asked the process to end, as schedulers do before they kill; to libraries it is Ctrl-C."""


@contextmanager
def signals() -> Iterator[None]:
    """Let the first Ctrl-C, or SIGTERM, unwind what is being done, and the second end the process at once.

    The processes of `torchrun` keep the system's SIGTERM: they may wait for each other where no Python runs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signal.SIGINT: signal.getsignal(signal.SIGINT)}
    if before[signal.SIGINT] is signal.SIG_IGN:  # started with nohup, or in the background of a script
        del before[signal.SIGINT]
    if "RANK" not in os.environ:
        before[signal.SIGTERM] = signal.getsignal(signal.SIGTERM)
    for number in before:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is _interrupt:  # interrupted, it stays: the next one ends at once
                signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_DFL)
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


@contextmanager
def quiet_threads() -> Iterator[None]:
    """Let what fails in a background thread, or while objects are cleared away, go into the log."""
    before = threading.excepthook, sys.unraisablehook
    if not os.environ.get("AGRILAPE_DEBUG"):
        threading.excepthook = lambda failed: _note(
            failed.exc_value, f"a background thread failed: {failed.exc_type.__name__}"
        )
        sys.unraisablehook = lambda failed: _note(failed.exc_value, "")
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = before


def _note(error: BaseException | None, words: str) -> None:
    """Log an error that ends nothing; say so if there is something to say."""
    log = None if error is None else logfile.record(error)
    if words and sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(f"warning {words}; the full log is {log}", file=sys.stderr)  # noqa: T201


def require_folder() -> None:
    """Refuse to start in a folder that no longer exists: libraries then fail in ways of their own.

    Raises:
        AgrilapeError: The folder is gone, or may not be entered.
    """
    try:
        os.getcwd()
    except OSError as error:
        raise AgrilapeError(
            f"the folder in which this was started is gone: {error.strerror}", "change to one that exists: cd"
        ) from error


def mend_streams() -> None:
    """Have all three streams open, and print whatever a name holds.

    A file that is opened while standard output is closed would get its number, and all prints. Names in other
    encodings than the terminal's are printed with escapes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif hasattr(stream, "reconfigure"):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")


def is_reader_gone() -> bool:
    """Whether the reader of standard output has gone, as `head` does."""
    try:
        poll = select.poll()
        poll.register(1, 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, AttributeError):
        return False


def silence_output() -> None:
    """Let nothing more be written to a standard output that is broken, not even at the exit."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)

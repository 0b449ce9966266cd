"""Processes that do not outlive the one they work for, leave Ctrl-C to it, and tell it what went wrong."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Generic, Protocol, TypeVar

from agrilape.errors import portable

POLL_S = 1.0
FAREWELL_S = 5.0  # for a process that is asked to end, before it is killed
T = TypeVar("T")
R = TypeVar("R")


def end_with(parent: int) -> None:
    """Let this process end soon after its parent, however that ended: killed, it sends nobody home.

    Args:
        parent: Number of the process that started this one.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Terminable(Protocol):
    """A process that can be ended, as `multiprocessing` has them."""

    @property
    def exitcode(self) -> int | None:
        """None while it runs; the negative number of the signal that killed it."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""


class ErrorForwarding(Generic[T, R]):
    """Work whose exceptions reach the process that asked for it, whatever they are.

    Args:
        work: A function that can be pickled.
    """

    def __init__(self, work: Callable[[T], R]) -> None:
        self.work = work

    def __call__(self, item: T) -> R:
        """Do it; a worker that is asked to end does so once what it had begun is taken back."""
        _state["busy"] = True
        try:
            return self.work(item)
        except SystemExit:
            if _state["leaving"]:
                os._exit(128 + signal.SIGTERM)
            raise
        except Exception as error:
            kept = portable(error)
            if kept is error:
                raise
            raise kept from None
        finally:
            _state["busy"] = False


def heed_parent_only() -> None:
    """Leave Ctrl-C, which a terminal sends to all, to the parent; asked to end, take back what was begun."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)


_state = {"busy": False, "leaving": False}


def _leave(number: int, frame: FrameType | None) -> None:
    if not _state["busy"]:  # nothing to take back; a pool would print what an exit among imports looks like
        os._exit(128 + number)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _state["leaving"] = True
    sys.exit(128 + number)


@contextmanager
def without_interrupt() -> Iterator[None]:
    """Start processes that never see Ctrl-C, not even while they import; here it comes after the block."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_processes(processes: Iterable[Terminable]) -> None:
    """End processes: asked first, then killed."""
    going = [process for process in processes if process.exitcode is None]
    for process in going:
        process.terminate()
    until = time.monotonic() + FAREWELL_S
    for process in going:
        process.join(max(0.0, until - time.monotonic()))
        if process.exitcode is None:
            process.kill()


def why_ended(statuses: Iterable[int | None]) -> tuple[str, str]:
    """Why the first of several workers ended, by their exit statuses: problem and remedy.

    The others are ended by the pool, with SIGTERM.
    """
    known = [128 - status if status > 128 else status for status in statuses if status]
    status = next((one for one in known if one != -signal.SIGTERM), known[0] if known else None)
    if status == -signal.SIGKILL:
        return "was killed, most likely for want of memory", "use fewer workers"
    if status is not None and status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
        if -status in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            return f"was ended from outside ({name})", "look who ended it, such as a limit of the scheduler"
        return (
            f"crashed ({name}) in a library, most likely over a damaged file",
            "try with one worker, which shows at which file it ends, and leave that file out",
        )
    if status is not None:
        return (
            f"ended with status {status}",
            "see what it printed above; in a script of your own start the work below "
            "`if __name__ == '__main__':`",
        )
    return "ended without a reason", "use fewer workers"


def processes_of(pool: Any) -> list[Terminable]:
    """The processes of a `ProcessPoolExecutor`, which has no public way to end them before Python 3.14."""
    return list((getattr(pool, "_processes", None) or {}).values())

"""Independent work, done in this process, by processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from itertools import islice
from multiprocessing import get_context, parent_process
from types import TracebackType
from typing import Any, Self, TypeVar

from agrilape.errors import DataError
from agrilape.processes import (
    ErrorForwarding,
    Terminable,
    end_processes,
    end_with,
    heed_parent_only,
    processes_of,
    why_ended,
    without_interrupt,
)

AHEAD = 2  # items handed out per worker: the next one is there when one is done
MOST_WORKERS = 8  # unless more are asked for
PATIENCE_S = 10.0  # for a scheduler to answer
T = TypeVar("T")
R = TypeVar("R")


class WorkerPool:
    """Those who do the work; a context manager that sends them home.

    Args:
        workers: Processes; 1 works in this one; None: up to `MOST_WORKERS`, where there is enough to do.
        scheduler: Address of a Dask scheduler (`tcp://host:8786`), whose workers then do all of it.

    Raises:
        DataError: The scheduler cannot be reached, or Dask is not installed.
    """

    def __init__(self, workers: int | None = None, scheduler: str | None = None) -> None:
        self._asked = workers
        self._client = _connect(scheduler) if scheduler else None
        self._pool: Executor | None = None
        self._processes: dict[int, Terminable] = {}  # the pool forgets its own when one dies
        self.workers = workers or min(os.cpu_count() or 1, MOST_WORKERS)

    def __enter__(self) -> Self:
        """Processes that were asked for start at once; others when there is work for them."""
        if self._client is None and self._asked is not None and self._asked > 1:
            for _ in range(self.workers):
                with without_interrupt():
                    self._executor().submit(_ready)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the processes; what they have not begun is dropped, after a failure also what they have."""
        if self._client is not None:
            if error is not None and self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
            self._client.close()
        elif self._pool is not None:
            if error is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
                end_processes(self._known_processes())
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _known_processes(self) -> list[Terminable]:
        self._processes.update((id(one), one) for one in processes_of(self._pool))
        return list(self._processes.values())

    def map(
        self,
        work: Callable[[T], R],
        items: Iterable[T],
        track: Callable[[T], None],
        worthwhile: bool = True,
    ) -> Iterator[R]:
        """Results in the order of the items; only a few items and results are held at a time.

        Args:
            work: A function that can be pickled.
            items: Its arguments.
            track: Called in this process after each item.
            worthwhile: Is there enough to do for processes that nobody asked for?

        Raises:
            DataError: A worker was killed.
        """
        alone = self.workers == 1 or (self._asked is None and not worthwhile)
        if self._client is None and alone:
            for item in items:
                result = work(item)
                track(item)
                yield result
            return
        try:
            yield from self._spread(self._executor(), ErrorForwarding(work), items, track)
        except BrokenProcessPool as error:
            raise self._lost() from error
        except Exception as error:
            if type(error).__name__ == "KilledWorker":  # Dask's, which is imported only where it is used
                raise DataError(
                    f"the same work ended several Dask workers, most likely for want of memory: {error}",
                    "give them more memory, or start fewer; the same command continues where it stopped",
                ) from error
            raise

    def _lost(self) -> DataError:
        """What became of a worker that is gone."""
        problem, remedy = why_ended(map(_exit_status, self._known_processes()))
        return DataError(
            f"a worker process {problem}", f"{remedy}; the same command continues where it stopped"
        )

    def _executor(self) -> Executor:
        if self._pool is None:
            if self._client is None:  # spawned, since threads of this process do not survive a fork
                self._pool = ProcessPoolExecutor(self.workers, get_context("spawn"), initializer=_begin)
            else:
                self.workers = sum(self._client.nthreads().values())
                if not self.workers:
                    raise DataError(
                        "the Dask scheduler has no workers",
                        "start some with `dask worker ADDRESS --nthreads 1`",
                    )
                self._pool = self._client.get_executor(pure=False)
        return self._pool

    def _spread(
        self, pool: Executor, work: Callable[[T], R], items: Iterable[T], track: Callable[[T], None]
    ) -> Iterator[R]:
        todo = enumerate(items)
        waiting: dict[Future[R], tuple[int, T]] = {}
        done: dict[int, R] = {}
        turn = 0
        while True:
            for number, item in islice(todo, AHEAD * self.workers - len(waiting)):
                with without_interrupt():
                    waiting[pool.submit(work, item)] = number, item
                self._known_processes()
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                number, item = waiting.pop(future)
                done[number] = future.result()
                track(item)
            while turn in done:
                yield done.pop(turn)
                turn += 1


def _exit_status(process: Terminable) -> int | None:
    """How a process ended, once it has.

    The thread of the pool waits for it too; the system tells only one of them, which notes it a moment later.
    """
    process.join(PATIENCE_S)
    until = time.monotonic() + PATIENCE_S
    while process.exitcode is None and time.monotonic() < until:
        time.sleep(0.01)
    return process.exitcode


def _begin() -> None:
    """What a worker does first: the rest of the imports while the scenes are still being opened."""
    heed_parent_only()
    parent = parent_process()
    if parent is not None and parent.pid is not None:
        end_with(parent.pid)
    import_module("agrilape.prepare.from_scenes")


def _ready() -> None:
    """Work that starts a process."""


def _connect(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise DataError("--scheduler needs Dask", 'pip install "agrilape[dask]"') from error
    try:
        return Client(address, timeout=PATIENCE_S)
    except (OSError, ValueError) as error:
        raise DataError(
            f"no Dask scheduler answers at {address}: {error}", "start one with `dask scheduler`"
        ) from error

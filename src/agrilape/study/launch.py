"""Where the processes of runs go: onto this machine, or through Dask onto others.

A run is always a process of its own, `agrilape ablate run-one ...`: it can fail, be killed, or fill its
memory without harm to the rest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agrilape.errors import RecipeError

PARENT = "AGRILAPE_PARENT"
"""Process that a run belongs to: with it gone the run ends, or a resumed study would meet its own orphans."""


class Process(Protocol):
    """A run under way."""

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""

    def kill(self) -> None:
        """End it."""


class Launcher(Protocol):
    """Starts runs."""

    @property
    def slots(self) -> int:
        """Runs side by side."""

    def start(self, command: Sequence[str], log: Path, slot: int) -> Process:
        """Start a run that writes what it says into a log."""

    def close(self) -> None:
        """Let go of what starting needed."""


class LocalLauncher:
    """Processes on this machine, within a budget of threads; several may share a GPU.

    Args:
        slots: Processes side by side.
        threads: Threads of all of them together.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
    """

    def __init__(self, slots: int, threads: int, device: str) -> None:
        self.slots = slots
        self._environment = environment(max(1, threads // slots))
        self._gpus = visible_gpus(device)

    def start(self, command: Sequence[str], log: Path, slot: int) -> Process:
        """Start a run; runs take turns among the GPUs."""
        gpu = self._gpus[slot % len(self._gpus)]
        chosen = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            return subprocess.Popen(  # noqa: S603 - our own command line
                command,
                env={**os.environ, **self._environment, **chosen, PARENT: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def close(self) -> None:
        """Nothing is held."""


class DaskLauncher:
    """Processes on the workers of a Dask cluster; all see the same folders and have agrilape installed.

    Args:
        address: Of the scheduler, e.g. `tcp://node1:8786`.
        threads: Threads of each run.
    """

    def __init__(self, address: str, threads: int) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise RecipeError("--scheduler needs Dask", "pip install agrilape[dask]") from error
        self._client: Any = Client(address)
        self._environment = environment(threads)
        self.slots = sum(self._client.nthreads().values())
        if not self.slots:
            raise RecipeError(f"the scheduler {address} has no workers", "start some: dask worker ADDRESS")

    def start(self, command: Sequence[str], log: Path, slot: int) -> Process:
        """Hand a run to a worker; each thread of a worker takes one."""
        where = str(Path.cwd())
        future = self._client.submit(
            run_elsewhere, list(command), str(log.resolve()), where, self._environment, pure=False, retries=0
        )
        return _Future(future)

    def close(self) -> None:
        """Leave the cluster as it is."""
        self._client.close()


class _Future:
    """A run on a worker."""

    def __init__(self, future: Any) -> None:
        self._future = future

    def poll(self) -> int | None:
        if not self._future.done():
            return None
        return int(self._future.result()) if self._future.status == "finished" else 1

    def kill(self) -> None:
        self._future.cancel(force=True)


def run_elsewhere(command: list[str], log: str, where: str, variables: Mapping[str, str]) -> int:
    """Run a command in a folder and return its exit status: what a worker does."""
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    given = {**os.environ, **variables, PARENT: str(os.getpid())}
    command = [sys.executable, *command[1:]]  # a worker's own interpreter
    with Path(log).open("ab") as file:
        done = subprocess.run(command, cwd=where, env=given, stdout=file, stderr=file, check=False)  # noqa: S603
    return done.returncode


def environment(threads: int) -> dict[str, str]:
    """Variables that hold a process to so many threads."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {name: str(threads) for name in names} | {"TOKENIZERS_PARALLELISM": "false"}


def visible_gpus(device: str) -> list[str | None]:
    """What `CUDA_VISIBLE_DEVICES` is set to in turn; None leaves it as it is."""
    if device == "cpu":
        return [""]
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    known = [name for name in given.split(",") if name] if given is not None else None
    if device.startswith("cuda:"):
        number = int(device.removeprefix("cuda:"))
        return [known[number] if known and number < len(known) else str(number)]
    if known is not None:
        return list(known) or [""]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())] or [None]

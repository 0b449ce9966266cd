"""Runs side by side: at most so many, none twice, one failure no harm to the rest."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agrilape.console import ProgressCallback
from agrilape.study.cache import FINISHED, stage_place
from agrilape.study.launch import Launcher, Process
from agrilape.study.results import read_record
from agrilape.study.run_recipes import Run
from agrilape.study.single_run import shared_keys
from agrilape.study.study_folder import Study

POLL_S = 0.2
TAIL = 400  # characters of a log that are quoted


@dataclass
class _RunningProcess:
    """A run under way, and the shared stages that it is about to make."""

    run: Run
    process: Process
    slot: int
    claims: set[str]


@dataclass
class Schedule:
    """Works off runs.

    Args:
        study: The study.
        launcher: Starts processes.
        options: Further options of `run-one`.

    Attributes:
        failed: Why runs failed, by name.
        stopped: Names of runs that were ended as hopeless.
    """

    study: Study
    launcher: Launcher
    options: Sequence[str] = ()
    failed: dict[str, str] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    _going: list[_RunningProcess] = field(default_factory=list)

    def work_off(
        self,
        runs: Sequence[Run],
        track: ProgressCallback,
        is_hopeless: Callable[[Run], bool] = lambda run: False,
        then: Callable[[Run], Run | None] = lambda run: None,
    ) -> None:
        """Run what has no result yet.

        A shared stage is made by one run; the others that want it wait for it, and others again go first.

        Args:
            runs: In order of importance.
            track: Told of each run that ends.
            is_hopeless: Says of a run under way whether it should be ended.
            then: Told of each run that has ended; gives another one to run, or None.
        """
        waiting = {run.name: (run, shared_keys(self.study, run)) for run in runs}
        try:
            while waiting or self._going:
                for run in self._collect(track, is_hopeless):
                    if (more := then(run)) is not None:
                        waiting[more.name] = (more, shared_keys(self.study, more))
                for name, (run, shared) in list(waiting.items()):
                    if len(self._going) >= self.launcher.slots:
                        break
                    missing = {key for key in shared if not self._has(key)}
                    if not any(missing & other.claims for other in self._going):
                        self._start(run, missing)
                        del waiting[name]
                time.sleep(POLL_S)
        finally:
            for going in self._going:
                going.process.kill()
            self._going.clear()

    def _start(self, run: Run, claims: set[str]) -> None:
        taken = {going.slot for going in self._going}
        slot = next(number for number in range(self.launcher.slots) if number not in taken)
        command = command_of(self.study, run, self.options)
        process = self.launcher.start(command, self.study.log_of(run), slot)
        self._going.append(_RunningProcess(run, process, slot, claims))

    def _collect(self, track: ProgressCallback, is_hopeless: Callable[[Run], bool]) -> list[Run]:
        """Note the runs that have ended, and return them."""
        ended = []
        for going in list(self._going):
            going.claims = {key for key in going.claims if not self._has(key)}
            status = going.process.poll()
            if status is None:
                if going.run.name not in self.stopped and is_hopeless(going.run):
                    self.stopped.add(going.run.name)
                    going.process.kill()
                continue
            self._going.remove(going)
            ended.append(going.run)
            stopped = going.run.name in self.stopped
            if not stopped and (status or read_record(self.study.output / going.run.file) is None):
                self.failed[going.run.name] = _reason(self.study.log_of(going.run), status)
            track(1, f"{going.run.name}{' stopped' if stopped else ' failed' if status else ''}")
        return ended

    def _has(self, key: str) -> bool:
        return (stage_place(self.study.work, key) / FINISHED).is_file()


def command_of(study: Study, run: Run, options: Sequence[str] = ()) -> list[str]:
    """The command line of a run."""
    command = [sys.executable, "-m", "agrilape", "--quiet", "ablate", "run-one", study.path]
    command += ["--variant", run.variant, "--seed", str(run.seed)]
    command += ["--output", str(study.output), "--work", str(study.work)]
    if run.phase == "tune":
        command += ["--candidate", str(run.number)]
    elif run.phase == "search":
        command += ["--trial", str(run.number)]
    return [*command, *(["--any-code"] if study.any_code else []), *options]


def shell_line(study: Study, run: Run) -> str:
    """The command line of a run for a shell, on whatever machine."""
    return shlex.join(["agrilape", *command_of(study, run)[3:]])


def _reason(log: Path, status: int) -> str:
    """The last words of a failed run."""
    said = log.read_text(encoding="utf-8", errors="replace").strip() if log.is_file() else ""
    last = " ".join(said[-TAIL:].splitlines()[-3:])
    return f"status {status}, see {log}: {last or 'it said nothing'}"

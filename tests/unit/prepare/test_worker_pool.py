"""Work by several processes: nobody is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.interrupts import listen

from agrilape.errors import AgrilapeError, DataError, WorkerError
from agrilape.prepare.worker_pool import WorkerPool

SCRIPT = """
import os, sys, time
from pathlib import Path
from agrilape.prepare.worker_pool import WorkerPool

def work(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)

if __name__ == "__main__":
    with WorkerPool(2) as pool:
        list(pool.map(work, [sys.argv[1]] * 2, print))
"""


def _waits_for(met, seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if met():
            return True
        time.sleep(0.05)
    return False


def _runs(pid: int) -> bool:
    """Is there such a process? One that has ended and is not yet collected does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_no_worker_outlives_a_killed_process(tmp_path: Path) -> None:
    script, pids = tmp_path / "pool.py", tmp_path / "pids"
    script.write_text(SCRIPT)
    pids.mkdir()
    process = subprocess.Popen([sys.executable, script, pids])
    assert _waits_for(lambda: len(list(pids.iterdir())) == 2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    workers = [int(path.name) for path in pids.iterdir()]
    assert _waits_for(lambda: not any(map(_runs, workers)), 10)


def test_processes_that_were_asked_for_start_before_there_is_work():
    before = len(multiprocessing.active_children())
    with WorkerPool(2):
        assert len(multiprocessing.active_children()) == before + 2
    for pool in (WorkerPool(1), WorkerPool()):
        with pool:
            assert len(multiprocessing.active_children()) == before


class CrookedError(DataError):
    """An error whose class takes other arguments than its parents."""

    def __init__(self, file: str) -> None:
        super().__init__(f"{file} is crooked", "straighten it")


class UncarriableError(Exception):
    def __init__(self, text, handle):
        super().__init__(text)
        self.handle = handle


def _fail(how: str) -> None:
    match how:
        case "own":
            error = DataError("a.tif is torn", "copy it again")
            error.add_note("while reading a.tif")
            raise error
        case "subclass":
            raise CrookedError("b.tif")
        case "value":
            raise ValueError("not a number [x]")
        case "uncarriable":
            raise UncarriableError("held open", sys.stderr)
        case "exit":
            os._exit(9)
        case _:
            os.kill(os.getpid(), getattr(signal, how))


def _caught(how: str) -> BaseException:
    with pytest.raises(Exception) as caught, WorkerPool(2) as pool:  # noqa: PT011
        list(pool.map(_fail, [how], lambda item: None))
    return caught.value


def test_errors_of_workers_arrive_as_they_were():
    own = _caught("own")
    assert (type(own), own.problem, own.remedy) == (DataError, "a.tif is torn", "copy it again")
    assert own.__notes__ == ["while reading a.tif"]
    crooked = _caught("subclass")
    assert (type(crooked), crooked.remedy, str(crooked)) == (
        CrookedError, "straighten it", "b.tif is crooked\n  -> straighten it",
    )  # fmt: skip
    value = _caught("value")
    assert (type(value), str(value)) == (ValueError, "not a number [x]")
    other = _caught("uncarriable")
    assert (type(other), str(other)) == (WorkerError, "UncarriableError: held open")
    assert any("_fail" in note for note in other.__notes__)  # where it came up


@pytest.mark.parametrize(
    ("how", "said", "never"),
    [
        ("SIGKILL", "want of memory", "crashed"),
        ("SIGSEGV", "crashed (SIGSEGV)", "memory"),
        ("SIGABRT", "crashed (SIGABRT)", "memory"),
        ("exit", "ended with status 9", "memory"),
    ],
)
def test_a_worker_that_is_gone_is_said_to_be_what_it_was(how, said, never):
    gone = _caught(how)
    assert isinstance(gone, AgrilapeError)
    assert said in str(gone)
    assert never not in str(gone)
    assert "the same command continues" in gone.remedy


def test_workers_print_no_traceback_on_ctrl_c_and_end_with_the_process(tmp_path: Path) -> None:
    script, pids = tmp_path / "pool.py", tmp_path / "pids"
    script.write_text(SCRIPT)
    pids.mkdir()
    process = subprocess.Popen(
        [sys.executable, script, pids],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=listen,
    )
    assert _waits_for(lambda: len(list(pids.iterdir())) == 2)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    said = process.communicate(timeout=30)[1]
    assert time.monotonic() - began < 20  # and not the minute that the work takes
    assert said.count("Traceback") <= 1  # the script's own; the command line says it in words
    assert "Process SpawnProcess" not in said
    workers = [int(path.name) for path in pids.iterdir()]
    assert _waits_for(lambda: not any(map(_runs, workers)), 10)


BEGINNING = """
import sys, time
from agrilape.prepare.worker_pool import WorkerPool

if __name__ == "__main__":
    try:
        with WorkerPool(2):
            time.sleep(float(sys.argv[1]))
            raise SystemExit(3)
    finally:
        print("home", flush=True)
"""


@pytest.mark.parametrize("seconds", [0.2, 1.5])
def test_workers_that_are_still_beginning_are_sent_home_without_a_word(tmp_path: Path, seconds) -> None:
    script = tmp_path / "pool.py"
    script.write_text(BEGINNING)
    done = subprocess.run([sys.executable, script, str(seconds)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (3, "home\n", "")


class LateProcess:
    """A process that ended, of which the thread of the pool has heard and this one not yet."""

    asked = 0

    @property
    def exitcode(self) -> int | None:
        self.asked += 1
        return 9 if self.asked > 3 else None

    def join(self, timeout: float | None = None) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


def test_a_status_that_another_thread_is_told_first_is_waited_for(monkeypatch):
    late = LateProcess()
    monkeypatch.setattr("agrilape.prepare.worker_pool.processes_of", lambda pool: [late])
    assert "ended with status 9" in str(_caught("exit"))

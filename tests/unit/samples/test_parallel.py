"""Work by several processes: nobody is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from agrilape.samples.parallel import Crew

SCRIPT = """
import os, sys, time
from pathlib import Path
from agrilape.samples.parallel import Crew

def work(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)

if __name__ == "__main__":
    with Crew(2) as crew:
        list(crew.map(work, [sys.argv[1]] * 2, print))
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
    script, pids = tmp_path / "crew.py", tmp_path / "pids"
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
    with Crew(2):
        assert len(multiprocessing.active_children()) == before + 2
    for crew in (Crew(1), Crew()):
        with crew:
            assert len(multiprocessing.active_children()) == before

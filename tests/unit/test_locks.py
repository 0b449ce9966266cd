"""One writer at a time, and no lock outlives its holder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agrilape.errors import AgrilapeError
from agrilape.locks import REPORT, locked, run_locked

HOLD = """
import sys, time
from pathlib import Path
from agrilape.locks import run_locked
with run_locked(Path(sys.argv[1])):
    {fork}
    print("held", flush=True)
    time.sleep(60)
"""


def holder(run: Path, fork: str = "") -> subprocess.Popen[str]:
    code = [sys.executable, "-c", HOLD.format(fork=fork), str(run)]
    process = subprocess.Popen(code, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_writer_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    other = holder(tmp_path)
    try:
        with (
            pytest.raises(AgrilapeError, match=f"process {other.pid} on .* since 2.*-c"),
            run_locked(tmp_path),
        ):
            pass
        with run_locked(tmp_path, REPORT):  # of what is there already
            pass
    finally:
        other.kill()
        other.wait()
    with run_locked(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def test_a_lock_goes_with_its_process_though_children_live_on(tmp_path: Path) -> None:
    says = "print(os.getpid(), file=sys.stderr, flush=True)"
    fork = f"import os; os.fork() or {says} or time.sleep(20) or os._exit(0)"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(fork=fork), str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout is not None
    assert other.stderr is not None
    child = int(other.stderr.readline())
    assert other.stdout.readline() == "held\n"
    other.kill()
    other.wait()
    try:
        os.kill(child, 0)
        with run_locked(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_whoever_holds_a_lock_may_take_it_again(tmp_path: Path) -> None:
    with run_locked(tmp_path):
        with run_locked(tmp_path):
            pass
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()


def test_processes_of_one_job_share_the_lock_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = holder(tmp_path)
    monkeypatch.setenv("RANK", "1")
    try:
        with run_locked(tmp_path):
            pass
    finally:
        other.kill()
        other.wait()


def test_without_a_word_for_it_a_lock_is_waited_for(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\nfrom agrilape.locks import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('got')"
    )
    with locked(tmp_path / "a.lock"):
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "a.lock")], stdout=subprocess.PIPE, text=True
        )
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1)
    assert other.communicate(timeout=20)[0] == "got\n"


def test_drafts_of_killed_processes_go_when_the_folder_is_held_again(tmp_path: Path) -> None:
    for name in (
        ".stage.json.0123abcd.json",
        ".a.gpkg.0123abcd.gpkg-journal",
        ".scene_0000.0123abcd.draft/a.tif",
    ):
        path = tmp_path / "deep" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    kept = {".hidden", ".notes.0123abcd.txt.bak", "stage.json", ".stage.json.mine.json", ".labels"}
    for name in kept:
        (tmp_path / "deep" / name).touch()
    with run_locked(tmp_path):
        pass
    assert set(os.listdir(tmp_path / "deep")) == kept

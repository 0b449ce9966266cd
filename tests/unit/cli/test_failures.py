"""How commands fail: a few lines, a status, a log; no traceback."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.interrupts import listen

from agrilape import logfile
from agrilape.cli.failures import KEPT, failure_of
from agrilape.cli.interrupt import Terminated
from agrilape.errors import DataError, doing


@pytest.fixture(autouse=True)
def log(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(logfile.FOLDER, str(tmp_path / "log"))
    monkeypatch.delenv("AGRILAPE_DEBUG", raising=False)
    return tmp_path / "log"


def command(code: str, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """The command line, after some lines that spoil it."""
    start = f"import sys\nsys.argv[1:] = {list(arguments)!r}\n{code}\nfrom agrilape.cli import main; main()"
    given = {"capture_output": True, "text": True, "timeout": 120} | options
    return subprocess.run([sys.executable, "-c", start], **given)


SPOILT = """
import agrilape.pipeline
from agrilape.errors import doing
def spoilt(*given, **more):
    with doing("cutting a chip of", "scene [a]"):
        {}
agrilape.pipeline.prepare_run = spoilt
"""


def spoilt(line: str, **options) -> subprocess.CompletedProcess[str]:
    return command(SPOILT.format(line), "prepare", "quickstart", **options)


def test_what_nobody_planned_is_three_lines_and_a_log(log):
    done = spoilt("{}['x [/x]']")
    assert done.returncode == 70
    first, second, third = done.stderr.splitlines()
    assert first == "error while cutting a chip of scene [a]"
    assert second == "  KeyError: 'x [/x]'"
    (file,) = log.iterdir()
    assert third == f"  -> the full log is {file}"
    content = file.read_text()
    assert "Traceback" in content
    assert "prepare quickstart" in content


@pytest.mark.parametrize(
    "line",
    [
        "class C(BaseException): pass\n        raise C('as torch checkpoints do')",
        "f = lambda: f()\n        f()",
        "raise ExceptionGroup('several', [ValueError(1)])",
        "class E(Exception):\n            def __str__(self): raise TypeError\n        raise E",
        "raise EOFError('in the middle')",
        "raise BrokenPipeError(32, 'to a worker')",
        "assert False",
    ],
)
def test_no_kind_of_exception_shows_a_traceback(line):
    done = spoilt(line)
    assert done.returncode == 70
    assert "Traceback" not in done.stderr
    assert "cutting a chip of scene [a]" in done.stderr
    assert "-> the full log is" in done.stderr


def test_a_thread_that_fails_is_one_line_and_a_log(log):
    line = "import threading; t = threading.Thread(target=dict().pop, args='x'); t.start(); t.join()"
    done = spoilt(line)
    assert "warning a background thread failed: KeyError; the full log is" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in next(log.iterdir()).read_text()


def test_a_traceback_is_shown_to_whoever_asks():
    done = spoilt("1 / 0", env={**os.environ, "AGRILAPE_DEBUG": "1"})
    assert "Traceback" in done.stderr
    assert done.returncode == 70


def test_without_a_place_for_the_log_it_still_fails_in_words(tmp_path):
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "x")
    names = (logfile.FOLDER, "XDG_STATE_HOME", "HOME", "TMPDIR")
    code = f"import tempfile; tempfile.tempdir = {nowhere!r}"
    done = command(
        code + SPOILT.format("1 / 0"),
        "prepare",
        "quickstart",
        env={**os.environ, **dict.fromkeys(names, nowhere)},
    )
    assert done.returncode == 70
    assert "no log could be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.modules['pydantic'] = None", "the package pydantic is missing\n  -> pip install agrilape\n"),
        ("sys.modules['rich.console'] = None", "the package rich is missing"),
        ("sys.modules['typer'] = None", "pip install agrilape"),
    ],
)
def test_a_dependency_that_is_missing_is_named_with_the_command(code, said):
    done = command(code, "--help")
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_extra_is_named_whole():
    missing = failure_of(ModuleNotFoundError("No module named 'rioxarray'", name="rioxarray"))
    assert missing.lines.endswith("-> pip install 'agrilape[cubes]'")
    broken = failure_of(ImportError("undefined symbol: x", name="rasterio._base"))
    assert "rasterio is installed, but cannot be used: undefined symbol: x" in broken.lines


@pytest.mark.parametrize(
    ("error", "said", "status"),
    [
        (DataError("[a] is torn", "copy it"), "error [a] is torn\n  -> copy it", 1),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.tif"), "a.tif: No such file", 1),
        (OSError(errno.EROFS, "Read-only file system", "out"), "name a place that can be written to", 1),
        (OSError(errno.ENOSPC, "No space left on device"), "there is no room on the disk", 1),
        (MemoryError(), "there is not enough memory", 1),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "there is not enough memory", 1),
        (KeyboardInterrupt(), "interrupted: no half-written file is left", 130),
        (Terminated(), "ended: no half-written file is left", 143),
    ],
)  # fmt: skip
def test_what_is_known_is_said_with_a_remedy(error, said, status):
    failure = failure_of(error)
    assert said in failure.lines
    assert "\n  -> " in failure.lines
    assert failure.status == status


def test_what_was_being_done_is_said_of_a_full_disk():
    with pytest.raises(OSError) as caught, doing("saving the checkpoint of step", 3):  # noqa: PT011
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "no room on the disk, while saving the checkpoint of step 3" in failure_of(caught.value).lines


def test_long_work_says_what_of_it_is_kept():
    assert set(KEPT) == {"quickstart", "simulate", "prepare", "train", "evaluate", "ablate"}
    for name, (kept, remedy) in KEPT.items():
        assert failure_of(KeyboardInterrupt(), name).lines == f"interrupted: {kept}\n  -> {remedy}"


def started(line: str) -> subprocess.Popen[str]:
    code = SPOILT.format(f"import time; print('ready', flush=True); {line}")
    start = (
        f"import sys\nsys.argv[1:] = ['prepare', 'quickstart']\n{code}\nfrom agrilape.cli import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", start],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listen,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended")]
)
def test_an_interruption_says_what_is_kept_and_how_to_go_on(number, status, word):
    process = started("time.sleep(60)")
    process.send_signal(number)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == status
    assert said == f"{word}: finished shards are kept\n  -> the same command goes on where it stopped\n"


def test_a_second_ctrl_c_ends_at_once():
    process = started("""
        try:
            time.sleep(60)
        finally:
            print('tidying', flush=True)
            time.sleep(60)""")
    time.sleep(0.5)  # it has got to its try
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "tidying\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT


def test_a_reader_that_has_gone_ends_it_quietly():
    process = subprocess.Popen(
        [sys.executable, "-m", "agrilape", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(20) != 0


def test_closed_streams_take_nothing_from_files(tmp_path):
    line = f"{sys.executable} -m agrilape inspect --hidden-size 8 {{}}; echo $? > {tmp_path / 'status'}"
    for streams in (">&-", "2>&-", ">&- 2>&-", "<&-", "> /dev/null 2>&- <&-"):
        subprocess.run(["bash", "-c", line.format(streams)], timeout=60)
        assert (tmp_path / "status").read_text() == "0\n", streams


def test_a_full_disk_behind_standard_output_is_said():
    with open("/dev/full", "w") as full:
        done = command(
            "", "inspect", "--hidden-size", "8", stdout=full, stderr=subprocess.PIPE, capture_output=False
        )
    assert done.returncode == 1
    assert "there is no room on the disk" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "changes",
    [
        {"TERM": "dumb"}, {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"}, {"HOME": "/nonexistent"},
    ],
)  # fmt: skip
def test_odd_surroundings_and_names(changes, tmp_path):
    for name in (b"[x] [/x].json", b"two\nlines.json", b"caf\xe9.json", "über.json".encode()):
        done = subprocess.run(
            [sys.executable, "-m", "agrilape", "score", os.path.join(os.fsencode(tmp_path), name)],
            env={**os.environ, **changes}, capture_output=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        assert b"Traceback" not in done.stderr
        assert b"->" in done.stderr
        assert os.fsencode(tmp_path) in done.stderr


def test_a_folder_that_is_gone_is_no_traceback(tmp_path):
    gone = tmp_path / "gone"
    line = f"mkdir -p {gone} && cd {gone} && rmdir {gone} && {sys.executable} -m agrilape {{}}"
    for arguments in ("inspect --hidden-size 8", "prepare quickstart"):
        done = subprocess.run(
            ["bash", "-c", line.format(arguments)], capture_output=True, text=True, timeout=100
        )
        assert "the folder in which this was started is gone" in done.stderr
        assert done.returncode == 1

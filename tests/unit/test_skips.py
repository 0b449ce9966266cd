"""One bad item never sinks the others."""

import errno

import pytest

from agrilape import logfile
from agrilape.errors import DataError, DiskError, RecipeError
from agrilape.skips import attempt


@pytest.fixture(autouse=True)
def log(tmp_path, monkeypatch):
    monkeypatch.setenv(logfile.FOLDER, str(tmp_path))
    monkeypatch.delenv("AGRILAPE_DEBUG", raising=False)
    return tmp_path


def spared(error):
    def read(given):
        raise given

    return attempt("reading", "a.tif", read, error)


def test_what_can_be_read_is_given():
    assert attempt("reading", "a", max, 1, 2) == 2


def test_a_planned_error_is_the_reason():
    error = DataError("a", "b")
    assert spared(error) is error


def test_an_unplanned_one_is_named_and_logged_with_its_traceback(log):
    reason = spared(KeyError("x"))
    assert reason.problem == "KeyError: 'x' while reading a.tif"
    (file,) = log.iterdir()
    assert str(file) in reason.remedy
    assert "in read" in file.read_text()


@pytest.mark.parametrize(
    "error", [OSError("torn"), MemoryError(), UnicodeDecodeError("utf8", b"x", 0, 1, "y")]
)
def test_whatever_reading_raises_leaves_the_others(error):
    assert isinstance(spared(error), DataError)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), DiskError("a", "b"), RecipeError("a", "b"), KeyboardInterrupt()]
)
def test_what_concerns_all_passes(error):
    with pytest.raises(type(error)):
        spared(error)


def test_whoever_looks_for_faults_sees_them(monkeypatch):
    monkeypatch.setenv("AGRILAPE_DEBUG", "1")
    with pytest.raises(KeyError):
        spared(KeyError("x"))
    assert spared(DataError("a", "b")).problem == "a"

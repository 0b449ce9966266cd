"""Files are written whole or not at all, and a full disk is said in plain words."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from agrilape.errors import DiskError
from agrilape.files import whole_file, whole_folder, write_json, write_text


def fill(disk: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(disk))


def hide_the_reason(disk: Path) -> None:
    """As rasterio does: the reason is behind the error."""
    try:
        fill(disk)
    except OSError as error:
        raise RuntimeError("Write failed. See previous exception for details.") from error


def write_half(path: Path) -> None:
    path.write_text("half")
    path.with_name(path.name + "-journal").write_text("of SQLite")
    raise KeyError


def test_a_file_is_replaced_only_when_all_is_written(tmp_path: Path) -> None:
    target = write_text(tmp_path / "new" / "a.txt", "old")
    with pytest.raises(KeyError), whole_file(target) as draft:
        write_half(draft)
    assert target.read_text() == "old"
    assert os.listdir(target.parent) == ["a.txt"]
    with whole_file(target) as draft:
        assert draft.suffix == target.suffix
        draft.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


def test_a_folder_is_replaced_only_when_all_is_written(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with whole_folder(target) as draft:
        write_json(draft / "a.json", {"a": 1})
    with pytest.raises(KeyError), whole_folder(target) as draft:
        write_half(draft / "b.json")
    assert os.listdir(target) == ["a.json"]
    with whole_folder(target) as draft:
        (draft / "c.json").touch()
    assert os.listdir(target) == ["c.json"]
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("write", [whole_file, whole_folder])
@pytest.mark.parametrize("fault", [fill, hide_the_reason])
def test_a_full_disk_is_said(tmp_path: Path, write: Callable[[Path], object], fault: object) -> None:
    with pytest.raises(DiskError, match=r"no room on the disk for .*result") as caught:  # noqa: SIM117
        with write(tmp_path / "result") as draft:
            fault(draft)
    assert "free some space" in caught.value.remedy
    assert os.listdir(tmp_path) == []


def test_other_faults_are_not_put_down_to_the_disk(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "result"):
        raise ZeroDivisionError
    with pytest.raises(FileNotFoundError), whole_file(Path("/proc/result")) as draft:
        draft.touch()  # this file system has no free bytes, ever


def test_a_disk_that_fills_up_is_found_out_where_the_reason_is_hidden(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=512))
    with pytest.raises(DiskError), whole_file(tmp_path / "result"):
        raise RuntimeError("sqlite3_exec(ROLLBACK) failed: cannot rollback - no transaction is active")

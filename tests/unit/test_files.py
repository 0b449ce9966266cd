"""Files are written whole or not at all, and a full disk is said in plain words."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from agrilape import files
from agrilape.errors import AgrilapeError, DataError, DiskError
from agrilape.files import (
    LISTED,
    check_name,
    path_inside,
    require_writable,
    whole_file,
    whole_folder,
    write_json,
    write_text,
)


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
    assert sorted(os.listdir(target)) == [LISTED, "a.json"]
    with whole_folder(target) as draft:
        (draft / "c.json").touch()
    assert sorted(os.listdir(target)) == [LISTED, "c.json"]
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


def write_models(folder: Path, text: str = "1") -> Path:
    with whole_folder(folder) as draft:
        write_text(draft / "deep" / "config.json", text)
    return folder


@pytest.mark.parametrize("foreign", ["notes.txt", "deep/notes.txt", ".hidden", "a/b/c", "deep/config.json"])
def test_a_folder_that_holds_other_files_is_never_replaced(tmp_path: Path, foreign: str) -> None:
    folder = write_models(tmp_path / "models")
    write_text(folder / foreign, "of the user")
    with pytest.raises(AgrilapeError, match=f"did not write there: {foreign}"):
        write_models(folder)
    assert (folder / foreign).read_text() == "of the user"
    assert os.listdir(tmp_path) == ["models"]


def test_a_folder_of_the_users_own_is_not_replaced_even_if_files_come_late(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    with pytest.raises(AgrilapeError, match="notes"), whole_folder(folder):
        write_text(folder / "notes.txt", "written meanwhile")
    assert os.listdir(folder) == ["notes.txt"]
    (folder / "notes.txt").unlink()
    write_models(folder)  # empty by now
    write_models(tmp_path / "models", "2")
    assert (folder / "deep" / "config.json").read_text() == "2"
    with pytest.raises(AgrilapeError, match="is a file"):
        write_models(folder / "deep" / "config.json")


def test_a_folder_behind_a_link_is_replaced_there(tmp_path: Path) -> None:
    folder = write_models(tmp_path / "models")
    (tmp_path / "link").symlink_to(folder)
    write_models(tmp_path / "link", "2")
    assert (folder / "deep" / "config.json").read_text() == "2"
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_interrupt_while_replacing_leaves_one_of_both(
    tmp_path: Path, monkeypatch, exchanges: bool, at: int
) -> None:
    """Ctrl-C at any rename leaves the old or the new one whole, and the next writer finds it."""
    folder = write_models(tmp_path / "models")
    renames, rename, exchange = [], os.rename, files._exchange

    def counted(call):
        def act(*arguments):
            renames.append(arguments)
            if len(renames) == at:
                raise KeyboardInterrupt
            return call(*arguments)

        return act

    monkeypatch.setattr(os, "rename", counted(rename))
    monkeypatch.setattr(files, "_exchange", counted(exchange) if exchanges else lambda one, other: False)
    interrupted = 0 < at <= (1 if exchanges else 2)
    try:
        write_models(folder, "2")
    except KeyboardInterrupt:
        assert interrupted
    assert (folder / "deep" / "config.json").read_text() == ("1" if interrupted else "2")
    assert os.listdir(tmp_path) == ["models"]


def test_a_replacement_that_was_killed_between_its_renames_is_repaired(tmp_path: Path) -> None:
    folder = write_models(tmp_path / "models")
    os.rename(folder, tmp_path / ".models.old")
    files.repair_folder(folder)
    assert (folder / "deep" / "config.json").read_text() == "1"
    shutil.copytree(folder, tmp_path / ".models.old")
    files.repair_folder(folder)
    assert os.listdir(tmp_path) == ["models"]


@pytest.mark.parametrize("name", ["a", "a/b.tif", "a/./b", "ä .tif", "..a", "a..", "ab:c", "x" * 255])
def test_names_of_files_in_a_folder_are_taken(tmp_path: Path, name: str) -> None:
    assert path_inside(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    "name",
    [
        "", " ", ".", "..", "../a", "a/../../b", "/etc/passwd", "//a", "C:/a", "c:a", r"a\..\b", r"\\host\a",
        "a\0b", "a\nb", "\ud800", "x" * 256, "ä" * 128, "a/" * 2100 + "a", None, 3, b"a", "link/a",
        "circle/a", "dangling",
    ],
)  # fmt: skip
def test_names_that_lead_out_of_a_folder_are_refused(tmp_path: Path, name: object) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "dangling").symlink_to(tmp_path / "nothing")
    with pytest.raises(DataError, match="the picture's name"):
        path_inside(folder, name, "the picture's name")


@pytest.mark.parametrize("name", ["a/b", ".hidden", "../a", "", "a\\b"])
def test_a_name_of_one_folder_is_one(name: str) -> None:
    assert check_name("fields_2", "the name", parts=1) == "fields_2"
    with pytest.raises(DataError, match="the name"):
        check_name(name, "the name", parts=1)


def test_a_file_of_the_users_is_replaced_only_when_told(tmp_path: Path) -> None:
    mine, ours = tmp_path / "mine.geojson", tmp_path / "ours.geojson"
    mine.write_text('{"type": "FeatureCollection"}')
    ours.write_text('{"type": "FeatureCollection", "generator": "agrilape"}')
    with pytest.raises(AgrilapeError, match=r"mine.geojson is there already(.|\n)*--overwrite"):
        require_writable(mine)
    with pytest.raises(AgrilapeError, match="is a folder"):
        require_writable(tmp_path)
    for path in (require_writable(mine, overwrite=True), require_writable(ours)):
        assert require_writable(path.with_name("new")) == tmp_path / "new"

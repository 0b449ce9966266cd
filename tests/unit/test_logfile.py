"""The log of what nobody planned."""

import os

import pytest

from agrilape import logfile


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(logfile.FOLDER, str(tmp_path / "log"))
    return tmp_path / "log"


def raised(text="what it was"):
    try:
        raise KeyError(text)
    except KeyError as error:
        return error


def test_it_holds_versions_the_command_and_the_traceback(folder, monkeypatch):
    monkeypatch.setattr("sys.argv", ["agrilape", "train", "r.yaml"])
    path = logfile.record(raised())
    content = path.read_text()
    assert path.parent == folder
    assert (path.stat().st_mode & 0o777) == 0o600
    for part in ("python 3.", "agrilape 0.", "torch ", "agrilape train r.yaml", "Traceback", "what it was"):
        assert part in content


def test_a_second_failure_joins_the_first(folder):
    assert logfile.record(raised("one")) == logfile.record(raised("two"))
    content = next(folder.iterdir()).read_text()
    assert content.count("python 3.") == 1
    assert content.index("one") < content.index("two")


def test_its_size_and_the_number_of_files_are_bounded(folder, monkeypatch):
    for number in range(logfile.MOST_FILES + 5):
        (folder / f"20200101-0000{number:02d}-1.log").parent.mkdir(exist_ok=True)
        (folder / f"20200101-0000{number:02d}-1.log").touch()
    for _ in range(10):
        path = logfile.record(raised("x" * 2_000_000))
    assert path.stat().st_size <= logfile.MOST_BYTES
    assert len(list(folder.iterdir())) == logfile.MOST_FILES


@pytest.mark.parametrize(
    "text",
    [
        "https://user:geheim42@host/a", "--token geheim42", "password=geheim42", "{'api_key': 'geheim42'}",
        "Authorization: Bearer geheim42", "https://x.blob/a.tif?sv=1&sig=geheim42", "hf_geheim42geheim42",
        "AWS_SECRET_ACCESS_KEY=geheim42", "my geheim42geheim",
    ],
)  # fmt: skip
def test_no_secret_is_written(text, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "geheim42geheim")
    assert "geheim42" not in logfile.without_secrets(text)


def test_what_is_no_secret_stays():
    text = "num_spatial_tokens=100, design: x, /data/keys.json, task=crop_box"
    assert logfile.without_secrets(text) == text


def test_where_no_log_can_be_written_another_place_is_taken(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(logfile.FOLDER, str(tmp_path / "file" / "log"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert logfile.record(raised()).parent == tmp_path / f"agrilape-log-{os.getuid()}"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    assert logfile.record(raised()) is None

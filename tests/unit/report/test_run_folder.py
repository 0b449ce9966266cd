"""Reading a run folder."""

from pathlib import Path

from agrilape.report.run_folder import read_run


def test_a_relative_path_finds_the_same_files(run_folder, monkeypatch):
    monkeypatch.chdir(run_folder.parent)
    relative = read_run(Path(run_folder.name))
    absolute = read_run(run_folder)
    assert relative.missing == absolute.missing == ()
    assert relative.stages == absolute.stages
    assert relative.manifests == absolute.manifests

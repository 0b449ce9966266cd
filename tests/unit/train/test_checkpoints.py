import os

from agrilape.train.checkpoints import MARKER, discard_incomplete, is_complete, latest, mark_complete


def checkpoint(folder, step):
    path = folder / f"checkpoint-{step}"
    (path / "inner").mkdir(parents=True)
    (path / "weights").write_bytes(b"w" * 100)
    (path / "inner" / "state").write_bytes(b"s" * 10)
    return path


def test_the_newest_complete_checkpoint_counts(tmp_path) -> None:
    old, new, newest = (checkpoint(tmp_path, step) for step in (9, 20, 100))
    assert latest(tmp_path) is None
    mark_complete(old)
    mark_complete(new)
    assert latest(tmp_path) == new
    mark_complete(newest)
    assert latest(tmp_path) == newest


def test_torn_checkpoints_are_recognised_and_removed(tmp_path) -> None:
    good, cut, lost, broken = (checkpoint(tmp_path, step) for step in (1, 2, 3, 4))
    for path in (good, cut, lost, broken):
        mark_complete(path)
    os.truncate(cut / "weights", 50)
    (lost / "inner" / "state").unlink()
    (broken / MARKER).write_text('{"files": {"wei')
    assert [is_complete(path) for path in (good, cut, lost, broken)] == [True, False, False, False]
    assert set(discard_incomplete(tmp_path)) == {cut, lost, broken}
    assert [path.name for path in tmp_path.iterdir()] == [good.name]

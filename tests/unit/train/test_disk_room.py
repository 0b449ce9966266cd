import shutil
from collections import namedtuple

import pytest

from agrilape.config import load_recipe
from agrilape.errors import DiskError
from agrilape.pipeline import train_run
from agrilape.train.disk_room import require_disk_room, stage_bytes

Usage = namedtuple("Usage", "total used free")


def recipe(folder, *settings):
    return load_recipe("quickstart", [f"output={folder / 'run'}", *settings])


@pytest.fixture
def room(monkeypatch):
    """Says how many bytes are free: `room(n)`."""
    return lambda free: monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, free))


def test_a_run_that_will_not_fit_is_refused_before_it_trains(tmp_path, room):
    room(20_000_000)
    with pytest.raises(
        DiskError, match=r"checkpoints in \S+ will take up to 0\.\d GB, .* has room for 0\.0 GB"
    ):
        train_run(recipe(tmp_path))
    assert not (tmp_path / "run" / "stages").exists()


def test_one_that_fits_is_not(tmp_path, room):
    room(1_000_000_000)
    require_disk_room(recipe(tmp_path), tmp_path / "run")


def test_what_is_there_already_needs_no_room(tmp_path, room):
    sizes = stage_bytes(recipe(tmp_path))
    room(sum(last for last, _ in sizes.values()))
    with pytest.raises(DiskError, match="while stage lape_warmup trains"):
        require_disk_room(recipe(tmp_path), tmp_path / "run")
    require_disk_room(recipe(tmp_path), tmp_path / "run", only=["align"])
    snapshots = tmp_path / "run" / "stages" / "3-domain" / "resume"
    snapshots.mkdir(parents=True)
    with (snapshots / "optimizer").open("wb") as file:
        file.truncate(sizes["domain"][1])
    require_disk_room(recipe(tmp_path), tmp_path / "run")
    room(0)
    for number, name in enumerate(sizes):
        done = tmp_path / "run" / "stages" / f"{number + 1}-{name}" / "stage.json"
        done.parent.mkdir(exist_ok=True)
        done.write_text("{}")
    require_disk_room(recipe(tmp_path), tmp_path / "run")


def test_sizes_follow_what_is_saved(tmp_path):
    plain = stage_bytes(recipe(tmp_path))
    lora = stage_bytes(recipe(tmp_path, "model.lora_rank=4", "stages.*.learning_rates={lora: 0.001}"))
    seldom = stage_bytes(recipe(tmp_path, "stages.domain.checkpoint_every=1000"))
    assert lora["domain"][0] < 0.2 * plain["domain"][0]
    assert seldom["domain"] == (plain["domain"][0], plain["domain"][0])
    assert plain["domain"][1] > 2 * plain["domain"][0]

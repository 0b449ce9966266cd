from datetime import date

import pytest
from affine import Affine

from agrilape.config.recipe import DatasetConfig, SimulateSource
from agrilape.dataset.digests import digest
from agrilape.dataset.manifest import Manifest, Origin, Shard, SplitCounts
from agrilape.dataset.store import write_rows
from agrilape.dataset.training_data import (
    NAME,
    TaughtWith,
    TrainingData,
    describe_data_set,
    read_training_data,
    write_training_data,
)
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.errors import ModelError
from agrilape.geo.georeference import Georeference

UTM = "EPSG:32632"


@pytest.fixture
def data_set(tmp_path):
    """Two chips of 2.5 and 3 m a pixel, and one without a place; the recipe says 10 m."""
    examples = []
    for number, gsd in enumerate((2.5, 3.0, None)):
        grid = gsd and Georeference(UTM, Affine(gsd, 0, 500_000, 0, -gsd, 5_500_000), 64, 64)
        chip = Chip(f"c{number}", "s", "simulate", (Picture(b"x", date(2022, 6, 1)),), grid or None)
        samples = (
            Sample(f"c{number}/count/0", chip.id, "count", ("How many?",), ("3",), {"crop": "maize"}),
            Sample(
                f"c{number}/crop_at_point/0", chip.id, "crop_at_point", ("What?",), ("rye",), {"crop": "rye"}
            ),
        )
        examples.append(Example(chip, samples))
    file = tmp_path / "train-00000.parquet"
    write_rows(file, examples)
    held = digest(file)
    config = DatasetConfig(
        source=SimulateSource(kind="simulate", gsd=10.0),
        tasks=("count", "crop_at_point"),
        chip=64,
        composite="ndvi",
    )
    shard = Shard(path=file.name, split="train", chips=3, bytes=held.bytes, sha256=held.sha256)
    counts = SplitCounts(
        chips=3, pictures=3, samples=6, tasks={"count": 3, "crop_at_point": 3}, groups=("s",)
    )
    Manifest(
        name="stills", key="k", version="0", config=config, shards=(shard,), splits={"train": counts},
        window=None,
        origins=(Origin(source="simulate", scenes=1, licence="CC0-1.0"),),
        skipped_scenes=(), skipped_chips={},
    ).write(tmp_path)  # fmt: skip
    return tmp_path


def test_the_size_of_pixels_is_read_from_the_chips(data_set):
    assert describe_data_set(data_set).gsd_m == pytest.approx((2.5, 3.0), rel=2e-3)


def test_what_is_described_is_what_a_question_must_be_asked_like(data_set):
    described = describe_data_set(data_set)
    assert (described.name, described.chip, described.composite) == ("stills", 64, "ndvi")
    assert described.tasks == {"count": 3, "crop_at_point": 3}
    assert described.crops == {"maize": 3, "rye": 3}
    assert [one.licence for one in described.origins] == ["CC0-1.0"]


def test_only_tasks_that_were_trained_count(data_set):
    described = describe_data_set(data_set, only=["count"])
    assert (described.tasks, described.crops) == ({"count": 3}, {"maize": 3})


def test_it_is_kept_beside_a_checkpoint(tmp_path):
    assert read_training_data(tmp_path) is None
    said = TrainingData(datasets=(TaughtWith(name="a", tasks={"count": 2}, chip=64, gsd_m=(2.5, 3.0)),))
    write_training_data(tmp_path, said)
    assert read_training_data(tmp_path) == said
    (tmp_path / NAME).write_text('{"datasets": 3}')
    with pytest.raises(ModelError, match="is not valid"):
        read_training_data(tmp_path)

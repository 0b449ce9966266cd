"""What a cut chip is told of before its questions."""

import random

import pytest

from agrilape.prepare.chips import ChipCutter
from agrilape.prepare.tasks import ask
from agrilape.sources.scene import PixelWindow


def test_a_cut_chip_asks_with_its_metadata(config, make_scene, maize):
    scene = make_scene(parcels=[maize], easting=500_000, meta={"sensor": "A {test} camera", "gsd_m": 10.0})
    settings = config(metadata=["sensor", "gsd", "location"], image_size=32)
    view = ChipCutter(scene, settings).cut(PixelWindow(0, 0, 128, 128))
    (one, *_) = ask(view, ["field_at_point"], 1, random.Random(0), metadata=settings.metadata)
    assert one.question[0].startswith("Sensor: A {test} camera. Resolution: 40 m. Location: 45.1")
    (plain, *_) = ask(view, ["field_at_point"], 1, random.Random(0))
    assert "Sensor" not in plain.question[0]
    assert view.chip.meta["bands"] == ["red", "green", "blue"]


@pytest.mark.parametrize("bad", ["crop", "gsd_m"])
def test_only_metadata_that_exist_can_be_asked_for(config, bad):
    with pytest.raises(ValueError, match="metadata"):
        config(metadata=[bad])

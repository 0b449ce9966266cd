"""What is told of an image before a question."""

from datetime import date

import pytest
from affine import Affine

from agrilape.dataset.metadata import told
from agrilape.dataset.prompt_templates import load_phrasings
from agrilape.dataset.types import Chip
from agrilape.geo.georeference import Georeference
from agrilape.geo.timewindow import TimeWindow
from agrilape.sources.scene import PixelWindow

EVERY = ("sensor", "gsd", "date", "location", "bands")
WORDS = load_phrasings()
META = {
    "sensor": "Sentinel-2 MSI",
    "gsd_m": 10.0,
    "acquired": "2021-07-18",
    "bands": ["red", "green", "blue"],
}
PLACE = Georeference("EPSG:32632", Affine(10, 0, 500_000, 0, -10, 5_500_000), 100, 100)


def test_all_facts_in_the_wanted_order():
    chip = Chip("c", "s", "fake", (), PLACE, meta=META)
    assert told(chip, EVERY, WORDS) == (
        "Sensor: Sentinel-2 MSI. Resolution: 10 m. Date: 2021-07-18. Location: 49.65° N, 9.01° E. "
        "Bands: red, green, blue. "
    )
    assert told(chip, ("date", "sensor"), WORDS) == "Date: 2021-07-18. Sensor: Sentinel-2 MSI. "


def test_what_is_not_known_is_left_out():
    assert told(Chip("c", "s", "fake", ()), EVERY, WORDS) == ""
    south = Chip("c", "s", "fake", (), meta={"latitude": -12.5, "longitude": -46.25})
    assert told(south, EVERY, WORDS) == "Location: 12.50° S, 46.25° W. "


def test_a_series_tells_its_calendar():
    window = TimeWindow(date(2021, 2, 1), date(2021, 10, 31))
    chip = Chip("c", "s", "fake", (), window=window, meta=META)
    assert told(chip, ("date",), WORDS) == "Date: 2021-02-01 - 2021-10-31. "


def test_a_cut_chip_knows_its_facts_and_asks_with_them(config, make_scene, maize):
    import random

    from agrilape.prepare.chips import ChipCutter
    from agrilape.prepare.tasks import ask

    scene = make_scene(parcels=[maize], easting=500_000, meta={"sensor": "A {test} camera", "gsd_m": 10.0})
    settings = config(metadata=["sensor", "gsd", "location"], picture_side=32)
    view = ChipCutter(scene, settings).cut(PixelWindow(0, 0, 128, 128))
    (one, *_) = ask(view, ["field_at_point"], 1, random.Random(0), metadata=settings.metadata)
    assert one.question[0].startswith("Sensor: A {test} camera. Resolution: 40 m. Location: 45.1")
    (plain, *_) = ask(view, ["field_at_point"], 1, random.Random(0))
    assert "Sensor" not in plain.question[0]
    assert view.chip.meta["bands"] == ["red", "green", "blue"]


@pytest.mark.parametrize("bad", ["crop", "gsd_m"])
def test_only_facts_that_exist_can_be_asked_for(config, bad):
    with pytest.raises(ValueError, match="metadata"):
        config(metadata=[bad])

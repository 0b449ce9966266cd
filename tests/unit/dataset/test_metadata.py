"""What is told of an image before a question."""

from datetime import date

from affine import Affine

from agrilape.dataset.metadata import metadata_sentence
from agrilape.dataset.prompt_templates import load_prompt_templates
from agrilape.dataset.types import Chip
from agrilape.geo.georeference import Georeference
from agrilape.geo.timewindow import TimeWindow

EVERY = ("sensor", "gsd", "date", "location", "bands")
WORDS = load_prompt_templates()
META = {
    "sensor": "Sentinel-2 MSI",
    "gsd_m": 10.0,
    "acquired": "2021-07-18",
    "bands": ["red", "green", "blue"],
}
PLACE = Georeference("EPSG:32632", Affine(10, 0, 500_000, 0, -10, 5_500_000), 100, 100)


def test_all_facts_in_the_wanted_order():
    chip = Chip("c", "s", "fake", (), PLACE, meta=META)
    assert metadata_sentence(chip, EVERY, WORDS) == (
        "Sensor: Sentinel-2 MSI. Resolution: 10 m. Date: 2021-07-18. Location: 49.65° N, 9.01° E. "
        "Bands: red, green, blue. "
    )
    assert metadata_sentence(chip, ("date", "sensor"), WORDS) == "Date: 2021-07-18. Sensor: Sentinel-2 MSI. "


def test_what_is_not_known_is_left_out():
    assert metadata_sentence(Chip("c", "s", "fake", ()), EVERY, WORDS) == ""
    south = Chip("c", "s", "fake", (), meta={"latitude": -12.5, "longitude": -46.25})
    assert metadata_sentence(south, EVERY, WORDS) == "Location: 12.50° S, 46.25° W. "


def test_a_series_tells_its_calendar():
    window = TimeWindow(date(2021, 2, 1), date(2021, 10, 31))
    chip = Chip("c", "s", "fake", (), window=window, meta=META)
    assert metadata_sentence(chip, ("date",), WORDS) == "Date: 2021-02-01 - 2021-10-31. "

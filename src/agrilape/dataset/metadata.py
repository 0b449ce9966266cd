"""Facts of a chip that may be told in a question: sensor, resolution, date, place, bands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agrilape.config.recipe import Fact
from agrilape.dataset.prompt_templates import PromptTemplates
from agrilape.dataset.types import Chip


def metadata_sentence(chip: Chip, wanted: Sequence[Fact], templates: PromptTemplates) -> str:
    """The wanted facts in words, ending in a blank; what is not known of the chip is skipped.

    `Sensor: Sentinel-2 MSI. Resolution: 10 m. Date: 2021-07-18. `

    Args:
        chip: The chip, with its facts in `meta`.
        wanted: Which facts, in this order.
        templates: The wording.
    """
    known = ((fact, _FACTS[fact](chip)) for fact in wanted)
    return "".join(f"{templates.metadata[fact].format(value=value)} " for fact, value in known if value)


def _sensor(chip: Chip) -> str | None:
    return chip.meta.get("sensor")


def _gsd(chip: Chip) -> str | None:
    """Side of a pixel of the picture that is shown, on the ground."""
    metres = chip.meta.get("gsd_m")
    return None if metres is None else f"{metres:.3g}"


def _date(chip: Chip) -> str | None:
    """The day of a still, the first and last day of a calendar."""
    if chip.window:
        return f"{chip.window.start} - {chip.window.end}"
    return chip.meta.get("acquired")


def _location(chip: Chip) -> str | None:
    """Latitude and longitude of the chip's centre, in degrees with two decimals: about a kilometre."""
    if chip.georeference:
        longitude, latitude = chip.georeference.centre_wgs84()
    elif {"latitude", "longitude"} <= set(chip.meta):
        longitude, latitude = chip.meta["longitude"], chip.meta["latitude"]
    else:
        return None
    north, east = "NS"[latitude < 0], "EW"[longitude < 0]
    return f"{abs(latitude):.2f}° {north}, {abs(longitude):.2f}° {east}"


def _bands(chip: Chip) -> str | None:
    bands = chip.meta.get("bands")
    return ", ".join(bands) if bands else None


_FACTS: Mapping[Fact, Callable[[Chip], str | None]] = {
    "sensor": _sensor, "gsd": _gsd, "date": _date, "location": _location, "bands": _bands,
}  # fmt: skip

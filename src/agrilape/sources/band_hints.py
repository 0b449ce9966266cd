"""What a raster says of its bands beside their names: sensor, colours, wavelengths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agrilape.sources.bands import BandHints
from agrilape.sources.scene_json import ReadOptions
from agrilape.sources.sensors import sensor_in, sensor_of_tags

FOLDERS = 2  # above a file, which may be called as the product is
_MICRON = 1000.0  # nanometres
_SMALLEST_NM = 100.0  # a lesser number without a unit is of micrometres
_KEYS = re.compile(r"(central|center|centre)?_?wavelengths?(_(nm|um))?", re.IGNORECASE)
# One wavelength, or the first and the last of a band.
_IN_TEXT = re.compile(
    r"(\d+(?:\.\d+)?)(?:\s*[-–]\s*(\d+(?:\.\d+)?))?\s*(nm|nanomet\w*|um|µm|μm|micromet\w*|microns?)\b",
    re.IGNORECASE,
)


def read_band_hints(
    path: Path, dataset: Any, reading: ReadOptions, beside: frozenset[str] = frozenset()
) -> BandHints:
    """What is known of an open raster's bands.

    Args:
        path: Its file; its name and those of the folders around it may name a product.
        dataset: The open raster.
        reading: What the user states.
        beside: Names of bands in the names of the files beside it.
    """
    stated = reading.bands if isinstance(reading.bands, Mapping) else {}
    sensor = sensor_in(reading.sensor, stated=True) or sensor_of_tags(tags_of(dataset))
    return BandHints(
        sensor=sensor or sensor_of_names(path, dataset.descriptions), stated=stated, beside=beside,
        colours=tuple(colour.name for colour in dataset.colorinterp),
        wavelengths=tuple(_wavelengths(dataset)),
    )  # fmt: skip


def tags_of(dataset: Any) -> dict[str, str]:
    """Tags of a raster, with those that GDAL's readers of satellite products keep apart."""
    return {**dataset.tags(ns="IMAGERY"), **dataset.tags()}


def sensor_of_names(path: Path, descriptions: tuple[str | None, ...] = ()) -> str | None:
    """The sensor that a file's name tells, else its bands' names, else the folders around it."""
    bands = " ".join(text for text in descriptions if text)
    folders = [folder.name for folder in list(path.parents)[:FOLDERS]]
    return next((sensor for text in (path.stem, bands, *folders) if (sensor := sensor_in(text))), None)


def _wavelengths(dataset: Any) -> Iterator[float | None]:
    """Central wavelength of each band in nanometres: from its tags, the header's list, or its description."""
    listed = [_number(text) for text in dataset.tags(ns="ENVI").get("wavelength", "").strip("{} ").split(",")]
    units = dataset.tags(ns="ENVI").get("wavelength_units", "")
    for number, description in enumerate(dataset.descriptions, start=1):
        tags = {**dataset.tags(number), **dataset.tags(number, ns="IMAGERY")}
        found = _in_tags(tags)
        if found is None and len(listed) == dataset.count:
            found = _in_nm(listed[number - 1], units)
        if found is None and (said := _IN_TEXT.search(description or "")):
            found = _in_nm((float(said[1]) + float(said[2] or said[1])) / 2, said[3])
        yield found


def _in_tags(tags: Mapping[str, str]) -> float | None:
    units = next((value for key, value in tags.items() if re.match("wavelength_?units?$", key, re.I)), "")
    for key, value in tags.items():
        if (match := _KEYS.fullmatch(key)) and (number := _number(value)) is not None:
            return _in_nm(number, match[3] or units)
    return None


def _number(text: str) -> float | None:
    found = re.match(r"\s*(\d+(?:\.\d+)?)", text)
    return float(found[1]) if found else None


def _in_nm(value: float | None, unit: str) -> float | None:
    """A wavelength in nanometres, whatever its unit; a number below 100 is of micrometres if none is said."""
    if not value:
        return None
    if unit.lower().startswith(("n",)):
        return value
    if unit.lower().startswith(("u", "µ", "μ", "m")) or value < _SMALLEST_NM:
        return value * _MICRON
    return value

"""What users state of their files in `scene.json`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from agrilape.config.base import Settings
from agrilape.errors import DataError
from agrilape.geo.timewindow import TimeWindow
from agrilape.io.json_text import read_json_object

FACTS_FILE = "scene.json"


class Reading(Settings):
    """How to read image files that do not say it themselves."""

    crs: str | None = Field(None, description="Coordinate reference system of files that state none.")
    pixels_only: bool = Field(False, description="Accept images without a coordinate reference system.")
    acquired: date | None = Field(None, description="Acquisition date of images that state none.")
    sensor: str | None = Field(
        None, description="Name of the sensor (Landsat 8): which band is B5, and what questions tell."
    )
    bands: tuple[str, ...] | dict[str, str] | None = Field(
        None, description='Names of the bands, in file order; or by the files\' own names: {"B5": "nir"}.'
    )
    scale: float | None = Field(None, gt=0, description="Physical value = number x scale + offset.")
    offset: float | None = Field(None, description="See `scale`.")
    nodata: float | None = Field(None, description="Stored number that means no data.")
    processing_baseline: str | None = Field(None, description="Of Sentinel-2 products, as 04.00.")
    boa_offset_applied: bool | None = Field(
        None, description="Was the offset of Sentinel-2 baseline 04.00 and later already taken off?"
    )


AS_THEY_SAY = Reading()


class SceneFacts(Reading):
    """A `scene.json`: how to read the images beside and below it, and facts about them of any name."""

    model_config = ConfigDict(extra="allow")

    window: TimeWindow | None = Field(None, description="Calendar of the season: start and end.")
    fully_labelled: bool = Field(
        True, description="Is every field of the images labelled? Points, masks and boxes need it said."
    )
    crop_column: str | None = Field(None, description="Column of the parcels that holds the crop.")

    @property
    def meta(self) -> dict[str, Any]:
        """All that was stated, JSON-ready."""
        return self.model_dump(mode="json", exclude_unset=True)


def read_facts(root: Path, folder: Path) -> SceneFacts:
    """What the `scene.json` of a folder and of those above it state, down from `root`; the nearest wins.

    Raises:
        DataError: One of them is no JSON object, or states something impossible.
    """
    stated: dict[str, Any] = {}
    path = root / FACTS_FILE
    for level in reversed([folder, *(root / parent for parent in folder.relative_to(root).parents)]):
        path = level / FACTS_FILE
        if path.is_file():
            stated |= _json_object(path)
    try:
        return SceneFacts.model_validate(stated)
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(str(part) for part in wrong["loc"])
        raise DataError(
            f"{path}: {key}: {wrong['msg']}",
            'write something like {"window": {"start": "2021-02-01", "end": "2021-10-31"}}',
        ) from error


def nearest(root: Path, folder: Path, names: tuple[str, ...]) -> Path | None:
    """The first of these files in a folder, else in one above it, up to `root`; None if there is none.

    The case of their names does not matter.
    """
    for level in [folder, *(root / parent for parent in folder.relative_to(root).parents)]:
        there = {path.name.lower(): path for path in sorted(level.iterdir(), reverse=True)}
        for name in names:
            if name in there and there[name].is_file():
                return there[name]
    return None


def _json_object(path: Path) -> dict[str, Any]:
    return read_json_object(path, DataError, 'correct it; write something like {"fully_labelled": false}')

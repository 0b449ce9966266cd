"""What users state of their files in `scene.json`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from agrilape.config.base import Settings
from agrilape.errors import DataError, did_you_mean
from agrilape.geo.timewindow import TimeWindow
from agrilape.io.json_text import read_json_object
from agrilape.sources.date_columns import DateOrder

SCENE_FILE = "scene.json"


class ReadOptions(Settings):
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


DEFAULT_OPTIONS = ReadOptions()


class SceneMetadata(ReadOptions):
    """A `scene.json`: how to read the images beside and below it, and what is known of them."""

    window: TimeWindow | None = Field(None, description="Calendar of the season: start and end.")
    exhaustively_labelled: bool | None = Field(
        None, description="Is every field of the images labelled? Only then are fields counted, or absent."
    )
    crop_column: str | None = Field(None, description="Column of the parcels that holds the crop.")
    date_order: DateOrder | None = Field(
        None, description="Order of dates such as 05/06/2021: day_first, month_first or year_first."
    )
    layer: str | None = Field(None, description="Layer of the vector files that holds the parcels.")
    clipped: bool | None = Field(
        None,
        description="Were parcels cut at the edge of the image? Those that end there have no known area.",
    )
    clear: dict[str, tuple[int, ...]] | None = Field(
        None, description='Values of mask bands that mean clear sky, such as {"scl": [4, 5]}.'
    )
    labelled_area: Literal["image", "parcels"] | None = Field(
        None, description="Where labels hold: in all of the image, or within the parcels alone."
    )
    label: str | None = Field(None, description="What an image shows as a whole, for the task `scene`.")
    gsd_m: float | None = Field(None, gt=0, description="Side of a pixel on the ground in metres.")
    latitude: float | None = Field(None, ge=-90, le=90, description="Of images without a place; degrees.")
    longitude: float | None = Field(None, ge=-180, le=360, description="Likewise.")
    region: str | None = Field(None, description="Name of the region, told in questions.")
    year: int | None = Field(None, description="Of the season, told in questions.")
    season: str | None = Field(None, description="Name of the season, told in questions.")
    group: str | None = Field(None, description="Scenes of one group never lie in different splits.")
    split: str | None = Field(None, description="Published split, for `split_by: published`.")
    licence: str | None = Field(None, description="Licence of the images and labels.")
    citation: str | None = Field(None, description="Whom to cite for them.")
    version: str | None = Field(None, description="Version of the simulator that made the scene.")
    seed: int | None = Field(None, description="Its seed.")
    index: int | None = Field(None, description="Number of the scene among those of the seed.")
    metadata: dict[str, Any] | None = Field(None, description="Anything else, kept with the scene.")

    @property
    def meta(self) -> dict[str, Any]:
        """All that was stated, JSON-ready."""
        said = self.model_dump(mode="json", exclude_unset=True)
        more = said.pop("metadata", None) or {}
        return {**more, **said}


def read_scene_metadata(root: Path, folder: Path) -> SceneMetadata:
    """What the `scene.json` of a folder and of those above it state, down from `root`; the nearest wins.

    Raises:
        DataError: One of them is no JSON object, or states something impossible.
    """
    stated: dict[str, Any] = {}
    path = root / SCENE_FILE
    for level in reversed([folder, *(root / parent for parent in folder.relative_to(root).parents)]):
        path = level / SCENE_FILE
        if path.is_file():
            stated |= _json_object(path)
    return check_metadata(stated, str(path))


def check_metadata(stated: dict[str, Any], origin: str) -> SceneMetadata:
    """What is stated of images, as settings.

    Raises:
        DataError: It is impossible; `origin` says where it stands.
    """
    try:
        return SceneMetadata.model_validate(stated)
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(str(part) for part in wrong["loc"])
        if wrong["type"] == "extra_forbidden":
            known = ", ".join(SceneMetadata.model_fields)
            remedy = did_you_mean(key, SceneMetadata.model_fields, f"its keys are {known}")
            raise DataError(
                f"{origin}: unknown key {key!r}",
                f"{remedy}; what is not among its keys belongs into `metadata`",
            ) from error
        raise DataError(
            f"{origin}: {key}: {wrong['msg']}",
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
    return read_json_object(
        path, DataError, 'correct it; write something like {"exhaustively_labelled": false}'
    )

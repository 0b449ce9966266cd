"""A scene: imagery of one place with what is known about it. Every source yields these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from shapely import Geometry

from agrilape.geo.georeference import Georeference
from agrilape.geo.timewindow import TimeWindow


class PixelWindow(NamedTuple):
    """A rectangle of whole pixels of a scene."""

    column: int
    row: int
    width: int
    height: int


class Frame(Protocol):
    """One acquisition, read by window; band roles are names (blue, green, red, nir, ndvi), not numbers."""

    @property
    def acquired(self) -> date | None:
        """Acquisition date; None if unknown."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Roles of the bands that can be read."""

    def read(self, window: PixelWindow, bands: tuple[str, ...]) -> NDArray[np.float32]:
        """Physical values (reflectance in 0-1), `[bands, height, width]`; NaN where no data or cloud."""

    def picture(self, window: PixelWindow, composite: str) -> NDArray[np.uint8]:
        """8-bit RGB `[height, width, 3]` of a window, with the scene's one stated stretch."""


@dataclass(frozen=True)
class Parcel:
    """A field with what is known about it.

    Attributes:
        id: Unique within the scene.
        outline: Polygon in pixel coordinates of the scene (x = column, y = row, pixel edges).
        crop: Crop name in plain English lower case (`winter wheat`); None if unknown.
        area_ha: Area on the ground in hectares; None without georeference.
        sowing: Sowing date, if known; likewise emergence, peak (greenest) and harvest.
        attributes: Anything else, JSON-ready.
    """

    id: str
    outline: Geometry
    crop: str | None = None
    area_ha: float | None = None
    sowing: date | None = None
    emergence: date | None = None
    peak: date | None = None
    harvest: date | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Zone:
    """Ground that is no field of its own: a stressed part of one, a wood, a road.

    Attributes:
        kind: `stress` or `landcover`.
        name: What it is: a cause (`drought`), a cover (`wood`).
        outline: Polygon in pixel coordinates of the scene.
        parcel: Id of the parcel that it is a part of; None for none.
        share: Share of that parcel's area, in 0-1.
        since: Date from which it shows.
    """

    kind: str
    name: str
    outline: Geometry
    parcel: str | None = None
    share: float | None = None
    since: date | None = None


@dataclass(frozen=True)
class Observation:
    """Something known of one point: a land-use label, a growth stage at a date, a labelled season.

    Attributes:
        x: Column in pixel edges.
        y: Row in pixel edges.
        kind: `land_use`, `crop`, `bbch` (growth stage), `leaf_area_index`, `rotation`, `sowing`, `harvest`.
        value: Its value; of `sowing` and `harvest` the crop, if known, else an empty text.
        observed: Date, or first date of the period.
        until: Last date of the period.
    """

    x: float
    y: float
    kind: str
    value: str | float
    observed: date | None = None
    until: date | None = None


@dataclass(frozen=True)
class Scene:
    """Imagery of one place and its labels.

    Attributes:
        id: Unique within the source.
        source: Name of the source (`simulate`, a folder's name, that of a published format).
        frames: Acquisitions in order of date, all on one pixel grid.
        width: Columns.
        height: Rows.
        georeference: Where the grid lies; None for pixels only.
        window: Calendar of the season; None for a still.
        parcels: Fields.
        observations: Labelled points.
        label: Class of the whole scene (`pasture`); None if unknown.
        exhaustively_labelled: Is every field of the scene in `parcels`? If not, unlabelled ground is never a
            negative and nothing is counted.
        region: Pixel polygon in which the labels hold; None for everywhere.
        meta: Sensor, gsd_m, licence, citation and the like, JSON-ready.
        zones: Stressed parts of fields, and what lies between fields.
    """

    id: str
    source: str
    frames: tuple[Frame, ...]
    width: int
    height: int
    georeference: Georeference | None = None
    window: TimeWindow | None = None
    parcels: tuple[Parcel, ...] = ()
    observations: tuple[Observation, ...] = ()
    label: str | None = None
    exhaustively_labelled: bool = True
    region: Geometry | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    zones: tuple[Zone, ...] = ()

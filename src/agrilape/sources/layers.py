"""What image files hold: pixel grids, and bands with the way from stored numbers to physical values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from affine import Affine

from agrilape.geo.georeference import Georeference


@dataclass(frozen=True)
class Band:
    """One band of a file: physical value = number x scale + offset, none where number is `nodata`.

    Attributes:
        path: The file, or the address of a remote one.
        number: Number of the band in the file, from 1; unused in a cube.
        scale: Factor of the stored number.
        offset: What is added to it after.
        nodata: Stored number that means no data.
        variable: Variable of a NetCDF or Zarr cube; None for an image file.
        at: Index on each of the variable's dimensions other than y and x.
    """

    path: str
    number: int = 1
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    variable: str | None = None
    at: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Grid:
    """The pixel grid that every frame of a scene is read on; `crs` is None for pixels only."""

    width: int
    height: int
    transform: Affine
    crs: str | None

    @property
    def georeference(self) -> Georeference | None:
        """Where the grid lies; None for pixels only."""
        return Georeference(self.crs, self.transform, self.width, self.height) if self.crs else None

    @property
    def pixel_size(self) -> float:
        """Side of a pixel: in metres where the grid lies on a map, else in its own units."""
        if (georeference := self.georeference) is not None:
            return georeference.gsd_m
        return float(abs(self.transform.determinant) ** 0.5)


@dataclass(frozen=True)
class SiblingFiles:
    """What the names of the files of its folder tell of a file.

    Attributes:
        bands: Names of bands in them, without separators and in lower case, which may tell the sensor.
        acquired: The file's own date, where day and month could stand in either order.
    """

    bands: frozenset[str] = frozenset()
    acquired: date | None = None


ALONE = SiblingFiles()


@dataclass(frozen=True)
class RasterFile:
    """What the header of an image file says.

    Attributes:
        path: The file.
        grid: Its own pixel grid.
        acquired: Acquisition date of the whole file; None if unknown or if every band has its own.
        layers: Bands by role; empty for a stack of dates.
        dated: For a stack of dates: its bands with their dates and roles, in file order.
        eight_bit: Are the numbers 8-bit brightness, not physical values?
        notes: What was assumed in reading it, for people.
        sensor: Key in `sensors.SENSORS`, if it is known.
    """

    path: Path
    grid: Grid
    acquired: date | None
    layers: Mapping[str, Band]
    dated: tuple[tuple[date, str, Band], ...] = ()
    eight_bit: bool = False
    notes: tuple[str, ...] = ()
    sensor: str | None = None

"""Imagery and parcels, read from ordinary files into scenes."""

from __future__ import annotations

from collections.abc import Iterator

from agrilape import console
from agrilape.config.recipe import FolderSource, KitSource
from agrilape.errors import DataError
from agrilape.sources.folder import Home, Opened, find_homes, open_folder, open_home, read_raster
from agrilape.sources.kits import KITS, open_kit
from agrilape.sources.observations import PointSeries, read_observations, read_point_series
from agrilape.sources.parcels import ParcelTable, read_parcels
from agrilape.sources.places import Problem
from agrilape.sources.scene import Frame, Observation, Parcel, PixelWindow, Scene, Zone

__all__ = [
    "KITS", "Frame", "Home", "Observation", "Opened", "Parcel", "ParcelTable", "PixelWindow", "PointSeries",
    "Problem", "Scene", "Zone", "find_homes", "load_scenes", "open_folder", "open_home", "open_kit",
    "read_observations", "read_parcels", "read_point_series", "read_raster",
]  # fmt: skip


def load_scenes(source: FolderSource | KitSource) -> Iterator[Scene]:
    """The scenes of a source; what was repaired or left out is said.

    Raises:
        DataError: The source does not exist, or nothing in it can be used.
    """
    if isinstance(source, KitSource):
        yield from open_kit(source.name)
        return
    opened = open_folder(source.path, source.images, source.parcels)
    for note in opened.notes:
        console.say(note)
    for problem in opened.problems:
        console.warn(f"left out {problem.path}: {problem.reason}")
    if not opened.scenes:
        raise DataError(f"no scene in {source.path} can be used", "mend what is listed above")
    yield from opened.scenes

"""Imagery and parcels, read from ordinary files into scenes.

The names below are imported when they are first used: training on prepared samples has no need of GDAL.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from agrilape import console
from agrilape.config.recipe import FolderSource
from agrilape.errors import DataError
from agrilape.sources.scene import Frame, Observation, Parcel, PixelWindow, Scene, Zone

if TYPE_CHECKING:
    from agrilape.sources.folder import (
        FolderContents,
        ImageFolder,
        find_image_folders,
        open_folder,
        open_image_folder,
        read_raster,
    )
    from agrilape.sources.grouping import Problem
    from agrilape.sources.observations import PointSeries, read_observations, read_point_series
    from agrilape.sources.parcels import ParcelTable, read_parcels

__all__ = [
    "FolderContents", "Frame", "ImageFolder", "Observation", "Parcel", "ParcelTable", "PixelWindow",
    "PointSeries", "Problem", "Scene", "Zone", "find_image_folders", "load_scenes", "open_folder",
    "open_image_folder", "read_observations", "read_parcels", "read_point_series", "read_raster",
]  # fmt: skip

_MODULES = {
    "folder": (
        "FolderContents", "ImageFolder", "find_image_folders", "open_folder", "open_image_folder",
        "read_raster",
    ),
    "observations": ("PointSeries", "read_observations", "read_point_series"),
    "parcels": ("ParcelTable", "read_parcels"),
    "grouping": ("Problem",),
}  # fmt: skip


def load_scenes(source: FolderSource) -> Iterator[Scene]:
    """The scenes of a source; what was repaired or skipped is said.

    Raises:
        DataError: The source does not exist, or nothing in it can be used.
    """
    from agrilape.sources.folder import open_folder

    opened = open_folder(source.path, source.images, source.parcels, source.exhaustively_labelled)
    for note in opened.notes:
        console.say(note)
    for problem in opened.problems:
        console.warn(f"skipped {problem.path}: {problem.reason}")
    if not opened.scenes:
        raise DataError(f"no scene in {source.path} can be used", "mend what is listed above")
    yield from opened.scenes


def __getattr__(name: str) -> Any:
    for images, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"agrilape.sources.{images}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

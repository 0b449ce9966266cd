"""Readers of published formats that hold imagery with labels, or labelled points.

Each takes the folder of a release as it was unpacked, and an `SkippedRows` that it tells what it skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from agrilape.config.recipe import FormatSource
from agrilape.sources.formats import coco, cropharvest, eurocrops, ftw, pastis
from agrilape.sources.formats.release_files import SkippedRows
from agrilape.sources.grouping import Problem
from agrilape.sources.observations import PointSeries
from agrilape.sources.scene import Scene

__all__ = ["SCENE_FORMATS", "SERIES_FORMATS", "SceneReader", "SeriesReader", "SkippedRows", "open_format"]

SceneReader: TypeAlias = Callable[..., Iterator[Scene]]
SeriesReader: TypeAlias = Callable[[Path, SkippedRows], Iterator[PointSeries]]

SCENE_FORMATS: dict[str, SceneReader] = {
    "coco_fields": coco.read,
    "eurocrops": eurocrops.read,
    "fields_of_the_world": ftw.read,
    "pastis": pastis.read,
}
SERIES_FORMATS: dict[str, SeriesReader] = {"cropharvest": cropharvest.read}


def open_format(source: FormatSource) -> Iterator[Scene | Problem | str]:
    """The scenes of a release of labelled imagery, what was skipped, and how much of each kind."""
    omissions = SkippedRows()
    pictures = () if source.images is None else (source.images,)
    yield from SCENE_FORMATS[source.name](source.path, omissions, *pictures)
    yield from omissions.problems
    for reason, count in sorted(omissions.counts.items()):
        yield f"skipped {count} x {reason}"

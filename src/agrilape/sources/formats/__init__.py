"""Readers of published formats that hold imagery with labels, or labelled points.

Each takes the folder of a release as it was unpacked, and an `Omissions` that it tells what it left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from agrilape.sources.formats import coco, cropharvest, eurocrops, ftw, pastis
from agrilape.sources.formats.common import Omissions
from agrilape.sources.observations import PointSeries
from agrilape.sources.scene import Scene

__all__ = ["SCENE_FORMATS", "SERIES_FORMATS", "Omissions", "SceneReader", "SeriesReader"]

SceneReader: TypeAlias = Callable[[Path, Omissions], Iterator[Scene]]
SeriesReader: TypeAlias = Callable[[Path, Omissions], Iterator[PointSeries]]

SCENE_FORMATS: dict[str, SceneReader] = {
    "coco_fields": coco.read,
    "eurocrops": eurocrops.read,
    "fields_of_the_world": ftw.read,
    "pastis": pastis.read,
}
SERIES_FORMATS: dict[str, SeriesReader] = {"cropharvest": cropharvest.read}

"""What is known of scenes, laid down on disk and read back by place.

A country has millions of parcels. Each scene's labels are written to one GeoParquet file, sorted along a
Hilbert curve so that a bounding box finds them without reading the rest; whoever cuts chips reads those that
their windows touch. Only the scene itself (frames, grid, calendar) stays in memory and travels to workers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import geopandas
import numpy as np
import shapely
from shapely import Geometry

from agrilape.sources.scene import Observation, Parcel, PixelWindow, Scene, Zone

ROWS = 1024  # of a row group, the least that is read
_KINDS: Final[Mapping[str, type[Any]]] = {"parcels": Parcel, "observations": Observation, "zones": Zone}
_NAMES = {kind: tuple(one.name for one in fields(kind)) for kind in _KINDS.values()}
_DATES = {kind: {one.name for one in fields(kind) if "date" in str(one.type)} for kind in _KINDS.values()}


@dataclass(frozen=True)
class LabelledScene:
    """A scene whose labels lie in a file.

    Attributes:
        scene: The scene without parcels, observations and zones.
        file: Where those are; None if it has none.
        crops: Crops of the whole scene, by name.
    """

    scene: Scene
    file: Path | None
    crops: tuple[str, ...]

    def near(self, windows: Sequence[PixelWindow]) -> Scene:
        """The scene with the labels that touch any of the windows, in their own order."""
        if self.file is None or not windows:
            return self.scene
        boxes = shapely.box(*np.array([_edges(window) for window in windows], float).T)
        table = geopandas.read_parquet(self.file, bbox=tuple(shapely.total_bounds(boxes).tolist()))
        touched = np.unique(shapely.STRtree(table.geometry.array).query(boxes, predicate="intersects")[1])
        table = table.iloc[touched].sort_values("number")
        found: dict[str, list[Any]] = {name: [] for name in _KINDS}
        for name, facts, shape in zip(table["kind"], table["facts"], table.geometry.array, strict=True):
            found[name].append(_label(_KINDS[name], json.loads(facts), shape))
        return replace(
            self.scene,
            parcels=tuple(found["parcels"]),
            observations=tuple(found["observations"]),
            zones=tuple(found["zones"]),
        )


def write_label_index(scene: Scene, file: Path) -> LabelledScene:
    """Write the labels of a scene to a file, and keep the rest.

    Args:
        scene: The scene.
        file: A file that may be replaced; its folder exists.
    """
    crops = tuple(sorted({parcel.crop for parcel in scene.parcels if parcel.crop}))
    bare = replace(scene, parcels=(), observations=(), zones=())
    rows = [(name, *_row(label)) for name in _KINDS for label in getattr(scene, name)]
    if not rows:
        return LabelledScene(bare, None, crops)
    kinds, facts, shapes = zip(*rows, strict=True)
    table = geopandas.GeoDataFrame(
        {"number": range(len(rows)), "kind": kinds, "facts": facts}, geometry=list(shapes)
    )
    if len(rows) > ROWS:
        table = table.iloc[np.argsort(table.hilbert_distance(), kind="stable")]
    table.to_parquet(file, index=False, write_covering_bbox=True, row_group_size=ROWS)
    return LabelledScene(bare, file, crops)


def _edges(window: PixelWindow) -> tuple[int, int, int, int]:
    return window.column, window.row, window.column + window.width, window.row + window.height


def _row(label: Parcel | Observation | Zone) -> tuple[str, Geometry]:
    """A label as JSON, and where it is."""
    facts = {name: getattr(label, name) for name in _NAMES[type(label)]}
    shape = facts.pop("outline", None) or shapely.Point(facts["x"], facts["y"])
    return json.dumps(facts, default=_plain, ensure_ascii=False), shape


def _plain(value: Any) -> Any:
    """A date, a mapping or a number of NumPy's as JSON has it."""
    if isinstance(value, date):
        return value.isoformat()
    return dict(value) if isinstance(value, Mapping) else value.item()


def _label(kind: type[Any], facts: dict[str, Any], shape: Geometry) -> Any:
    for name in _DATES[kind]:
        facts[name] = facts[name] and date.fromisoformat(facts[name])
    return kind(**facts) if kind is Observation else kind(outline=shape, **facts)

"""What every adapter writes: copies of files, `scene.json`, and tables."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pyproj import Transformer

from agrilape.sources import open_folder


def copy(source: Path, target: Path) -> None:
    """Copy a file, its folder made where there is none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def write_facts(folder: Path, **facts: Any) -> None:
    """Write the `scene.json` of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    (folder / "scene.json").write_text(text, encoding="utf-8")


def pixels_of(folder: Path) -> Callable[[float, float], dict[str, float]]:
    """From longitude and latitude to `column` and `row` on the grid of a scene, pixel edges from 0.

    Figures were recorded with points placed in this way; from degrees they differ in the last digit.
    """
    (scene,) = open_folder(folder).scenes
    grid = scene.georeference
    assert grid is not None
    to_map = Transformer.from_crs("OGC:CRS84", grid.crs, always_xy=True)

    def place(longitude: float, latitude: float) -> dict[str, float]:
        at = grid.to_normalised(*to_map.transform(longitude, latitude))
        return {"column": at.x * grid.width, "row": at.y * grid.height}

    return place


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV table; its columns are those of the first row. Floats keep all their digits."""
    rows = list(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)

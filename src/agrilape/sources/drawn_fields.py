"""Fields drawn on plain pictures, in tables with a line per field: `boxes.csv` and `outlines.csv`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import shapely

from agrilape.errors import DataError
from agrilape.io.csv_text import read_csv
from agrilape.sources.columns import known_column, read_number
from agrilape.sources.crop_names import plain_crop
from agrilape.sources.layers import Grid
from agrilape.sources.scene import Parcel

BOXES_FILE, OUTLINES_FILE = "boxes.csv", "outlines.csv"
SLACK = 0.02  # share of the image by which a box may reach over its edge, where it is cut
_EDGES = ("left", "top", "right", "bottom")
# What a column is called, and what else it may be called.
_NAMES = {
    **{edge: (edge,) for edge in _EDGES},
    "image": ("image", "file_name"),
    "outline": ("outline", "polygon", "wkt"),
    "crop": ("crop",),
    "id": ("id", "parcel_id"),
}


@dataclass(frozen=True)
class DrawnFields:
    """The table of one folder.

    Attributes:
        path: The table.
        lines: Of each picture, by its file name, the lines on it: their numbers and cells.
        notes: What was assumed in reading it.
    """

    path: Path
    lines: Mapping[str, Sequence[tuple[int, Mapping[str, str]]]]
    notes: tuple[str, ...] = ()

    def parcels(
        self, picture: str, grid: Grid, crops: Mapping[str, str] | None = None
    ) -> tuple[tuple[Parcel, ...], list[str]]:
        """The fields of one picture, and notes on lines that were skipped.

        Of a box the true outline is not known, which is noted as `box_only`. Outlines that cross themselves,
        as drawing by hand leaves some, are repaired.

        Args:
            picture: File name of the picture.
            grid: Grid of the picture; boxes are cut at its edges.
            crops: Crop names by code.

        Raises:
            DataError: Two fields have one id.
        """
        found: list[Parcel] = []
        wrong: list[str] = []
        boxes = self.path.name == BOXES_FILE
        for line, cells in self.lines.get(picture, ()):
            shape, reason = _box(cells, grid) if boxes else _outline(cells["outline"], grid)
            if shape is None:
                wrong.append(f"line {line}: {reason}")
                continue
            name = cells.get("id", "").strip() or str(len(found))
            crop = plain_crop(cells.get("crop"), crops)
            found.append(Parcel(name, shape, crop, attributes={"box_only": True} if boxes else {}))
        if len({parcel.id for parcel in found}) < len(found):
            raise DataError(
                f"{self.path}: two fields of {picture} have one id", "give each its own id, or none of them"
            )
        notes = list(self.notes)
        if wrong:
            notes.append(f"{self.path.name}: skipped {len(wrong)} {self.path.stem} of {picture} ({wrong[0]})")
        return tuple(found), notes


def read_drawn_fields(path: Path) -> DrawnFields:
    """Read `boxes.csv` (`image,left,top,right,bottom,crop`) or `outlines.csv` (`image,outline,crop`).

    Pixels are counted from the upper left corner of the picture, x to the right and y down; an outline is a
    polygon as well-known text. A column `id` names the fields.

    Raises:
        DataError: It cannot be read, or a column is missing.
    """
    wanted = (*_EDGES, "image") if path.name == BOXES_FILE else ("outline", "image")
    table = read_csv(path)
    columns = {name: known_column(table.columns, names) for name, names in _NAMES.items()}
    if lacking := [name for name in wanted if columns[name] is None]:
        raise DataError(
            f"{path} lacks the columns {', '.join(lacking)}",
            "write image,left,top,right,bottom,crop in pixels"
            if path.name == BOXES_FILE
            else 'write image,outline,crop, an outline as "POLYGON ((3 4, 80 4, 80 60, 3 4))" in pixels',
        )
    lines: dict[str, list[tuple[int, Mapping[str, str]]]] = defaultdict(list)
    for number, row in table:
        cells = {name: row[column] for name, column in columns.items() if column is not None}
        lines[Path(cells["image"].strip()).name].append((number, cells))
    return DrawnFields(path, lines, table.notes)


def _outline(text: str, grid: Grid) -> tuple[shapely.Geometry | None, str]:
    """A valid polygon that shows in the picture, or why there is none."""
    try:
        shape = shapely.from_wkt(text)
    except shapely.errors.ShapelyError:
        return None, "the outline is no well-known text"
    if shape is None or shape.geom_type not in {"Polygon", "MultiPolygon"}:
        return None, "the outline is no polygon"
    shape = shapely.make_valid(shape)
    seen = shapely.intersection(shape, shapely.box(0, 0, grid.width, grid.height))
    return (shape, "") if seen.area > 0 else (None, "the outline has no area in the picture")


def _box(cells: Mapping[str, str], grid: Grid) -> tuple[shapely.Geometry | None, str]:
    """A box cut at the edges of the image, or why there is none."""
    edges = [read_number(cells[edge]) for edge in _EDGES]
    if any(edge is None for edge in edges):
        return None, "an edge is no number"
    left, top, right, bottom = (edge or 0.0 for edge in edges)
    if left >= right or top >= bottom:
        return None, "the box has no area: are its edges swapped?"
    slack_x, slack_y = SLACK * grid.width, SLACK * grid.height
    if left < -slack_x or top < -slack_y or right > grid.width + slack_x or bottom > grid.height + slack_y:
        return None, f"the box reaches out of the image of {grid.width} x {grid.height} pixels"
    box = shapely.box(max(left, 0), max(top, 0), min(right, grid.width), min(bottom, grid.height))
    return (box, "") if box.area > 0 else (None, "the box has no area")

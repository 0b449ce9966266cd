"""DOTA: objects in aerial images as outlines of four corners (Xia et al. 2018, captain-whu.github.io/DOTA).

`labelTxt*/<image>.txt` has perhaps the lines `imagesource:...` and `gsd:...`, then one object per line: `x1
y1 x2 y2 x3 y3 x4 y4 class difficult`, in pixels. `labelTxt` lies in `train` or `val`, which is the split; the
test images have no labels. Images reach 20,000 pixels a side, so they are cut into tiles.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from agrilape.dataset.types import Example
from agrilape.io.gdal import open_raster
from agrilape.io.pictures import orientation
from agrilape.io.text import lines, read_text
from agrilape.prepare.formats.coordinate_conventions import Size, pixels
from agrilape.prepare.formats.example_rows import dated_chip, with_questions
from agrilape.prepare.formats.objects import AnnotatedObject, ask_objects, plain_name
from agrilape.sources.formats.release_files import (
    PICTURE_SUFFIXES,
    PictureFolder,
    Row,
    SkippedRows,
    published,
    stated_split,
)
from agrilape.sources.scene import PixelWindow
from agrilape.sources.tiling import encode_png, plan_windows

SIDE = 1024  # pixels of a tile
OVERLAP = 0.2  # share that its neighbours repeat
SEEN = 0.7  # share of an object that lies in a tile, or it is only partly seen


class LabelledObject(NamedTuple):
    """An object of the whole image; `difficult` ones are not asked about."""

    name: str
    outline: shapely.Polygon
    difficult: bool


def read(folder: Path, omissions: SkippedRows, images: Path | None = None) -> Iterator[Example]:
    """Examples, one per tile with an object, the pictures anywhere below the folder."""
    pictures = PictureFolder(images or folder)
    for path in published(folder, "labelTxt*/*.txt", "*/labelTxt*/*.txt"):
        try:
            gsd, things = _labels(path, omissions)
            split = stated_split(*path.relative_to(folder).parent.parts)
            yield from _tiles(pictures.find(path.stem), path, gsd, things, split)
        except Exception as error:
            omissions.add(path, error)


def _labels(path: Path, omissions: SkippedRows) -> tuple[float | None, list[LabelledObject]]:
    """Ground sampling distance in metres, if it is stated, and all objects."""
    gsd, things = None, []
    for number, line in enumerate(lines(read_text(path)), start=1):
        key, _, value = line.partition(":")
        if key in {"imagesource", "gsd"}:
            gsd = float(value) if key == "gsd" and value.strip() not in {"", "null", "None"} else gsd
            continue
        words = line.split()
        if not words:
            continue
        try:
            outline = shapely.Polygon(np.array(words[:8], float).reshape(4, 2))
            if not outline.is_valid or outline.area <= 0:
                raise ValueError("an outline crosses itself or has no area")
            things.append(LabelledObject(plain_name(words[8]), outline, words[9:10] not in ([], ["0"])))
        except Exception as error:
            omissions.add(path, error, number)
    return gsd, things


def _tiles(
    picture: Path, path: Path, gsd: float | None, things: Sequence[LabelledObject], split: str | None
) -> Iterator[Example]:
    if picture.suffix.lower() in PICTURE_SUFFIXES - {".tif", ".tiff"} and orientation(picture) != 1:
        raise ValueError("its EXIF orientation turns the picture: store it upright (mogrify -auto-orient)")
    tree = shapely.STRtree([thing.outline for thing in things])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with open_raster(picture) as image:
            for window in plan_windows(image.width, image.height, SIDE, OVERLAP):
                near = [things[index] for index in tree.query(_area(window), predicate="intersects")]
                if not near:
                    continue
                pixel = np.moveaxis(image.read(_bands(image.count), window=Window(*window)), 0, -1)
                name = f"dota/{path.stem}/{window.column}_{window.row}"
                chip = dated_chip(name, path.stem, "dota", (encode_png(np.ascontiguousarray(pixel)),))
                chip = replace(chip, meta={"gsd_m": gsd}) if gsd else chip
                asked = ask_objects([_thing(thing, window) for thing in near], split)
                if example := with_questions(chip, ((Row(path, 1, {}), one) for one in asked)):
                    yield example


def _bands(count: int) -> list[int]:
    return [1, 2, 3] if count >= 3 else [1, 1, 1]


def _area(window: PixelWindow) -> shapely.Polygon:
    left, top, width, height = window
    return shapely.box(left, top, left + width, top + height)


def _thing(labelled: LabelledObject, window: PixelWindow) -> AnnotatedObject:
    """An object in a tile's own coordinates."""
    share = labelled.outline.intersection(_area(window)).area / labelled.outline.area
    if labelled.difficult or share < SEEN:
        return AnnotatedObject(labelled.name, None)
    corners = shapely.get_coordinates(labelled.outline.exterior)[:-1] - (window.column, window.row)
    size = Size(window.width, window.height)
    return AnnotatedObject(labelled.name, pixels(size).outline((float(x), float(y)) for x, y in corners))

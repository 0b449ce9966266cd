"""Fields annotated in COCO's form: categories are crops, or just fields (cocodataset.org/#format-data).

JSON files with `images` (`id`, `file_name`, `width`, `height`), `categories` (`id`, `name`) and
`annotations` (`image_id`, `category_id`, `segmentation`, `bbox`). A segmentation is a list of rings, `[x1,
y1, x2, y2, ...]` in pixels; where it is missing or a run-length mask, the box of left, top, width and height
stands for the field. The file's name states the split (`instances_val2017.json`), if anything does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely import affinity

from agrilape.errors import DataError
from agrilape.io.pictures import picture_size
from agrilape.sources.crop_names import plain_crop
from agrilape.sources.folder import picture_scene
from agrilape.sources.formats.release_files import (
    UNUSABLE,
    PictureFolder,
    Row,
    SkippedRows,
    annotated_size,
    published,
    read_object,
    stated_split,
)
from agrilape.sources.scene import Parcel, Scene

FIELDS = {"field", "fields", "parcel", "agricultural field", "crop field", "plot"}  # of no stated crop


def read(folder: Path, omissions: SkippedRows, images: Path | None = None) -> Iterator[Scene]:
    """A scene for each annotated image, its fields as parcels; pictures anywhere below the folder."""
    pictures = PictureFolder(images or folder)
    for path in published(folder, "*.json", "annotations/*.json"):
        try:
            rows = list(annotated_images(path, omissions))
        except DataError as error:
            omissions.add(path, error)
            continue
        for row in rows:
            try:
                picture = pictures.find(row.value["file_name"])
                name = picture.relative_to(pictures.root).with_suffix("").as_posix()
                parcels = tuple(_parcels(row, picture_size(picture), omissions))
                meta = {"group": name, "split": stated_split(path.stem)}
                yield picture_scene(picture, name, folder.name, parcels=parcels, meta=meta)
            except Exception as error:
                omissions.add(path, error, row.number)


def annotated_images(path: Path, omissions: SkippedRows) -> Iterator[Row]:
    """The images of a file, each with its annotations as `objects`, and these with the `name` of their kind.

    Raises:
        DataError: The file is not of this form.
    """
    content = read_object(path)
    try:
        names = {kind["id"]: kind["name"] for kind in content["categories"]}
        objects: dict[Any, list[Mapping[str, Any]]] = {image["id"]: [] for image in content["images"]}
        annotations = content["annotations"]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} is not in COCO's form: {error}", "export it again as COCO JSON") from error
    for number, thing in enumerate(annotations, start=1):
        try:
            objects[thing["image_id"]].append({**thing, "name": names[thing["category_id"]]})
        except UNUSABLE:
            omissions.add(path, "an annotation is of no listed image or category", number)
    for number, image in enumerate(content["images"], start=1):
        yield Row(path, number, {**image, "objects": objects[image["id"]]})


def _parcels(row: Row, size: tuple[int, int], omissions: SkippedRows) -> Iterator[Parcel]:
    """The fields of an image in pixels of the picture that is there."""
    width, height = annotated_size(row.value.get("width"), row.value.get("height"), size)
    for number, thing in enumerate(row.value["objects"]):
        try:
            outline, box_only = _outline(thing)
        except Exception as error:
            omissions.add(row.path, error, f"{row.number}, object {number}")
            continue
        name = str(thing["name"])
        crop = None if name.lower() in FIELDS else plain_crop(name)
        outline = affinity.scale(outline, size[0] / width, size[1] / height, origin=(0, 0))
        facts = {"box_only": True} if box_only else {}
        yield Parcel(str(thing.get("id", number)), outline, crop, attributes=facts)


def _outline(thing: Mapping[str, Any]) -> tuple[shapely.Geometry, bool]:
    """The outline of a field in pixels, and whether it is only a box."""
    rings = thing.get("segmentation")
    if isinstance(rings, list) and rings:
        parts = [shapely.Polygon(np.array(ring, float).reshape(-1, 2)) for ring in rings]
        outline, box_only = shapely.union_all(shapely.make_valid(parts)), False
    else:
        left, top, width, height = (float(number) for number in thing["bbox"])
        outline, box_only = shapely.box(left, top, left + width, top + height), True
    if outline.area <= 0:
        raise ValueError("a field has no area")
    return outline, box_only

"""COCO: objects of any kind as boxes (Lin et al. 2014, cocodataset.org/#format-data).

JSON files with `images` (`id`, `file_name`, `width`, `height`), `categories` (`id`, `name`) and
`annotations` (`image_id`, `category_id`, `bbox` of left, top, width and height in pixels, `iscrowd`). The
file's name states the split, `instances_val2017.json`, if anything does. Where the categories are crops or
fields, `coco_fields` reads them as scenes, which all tasks can be asked about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agrilape.dataset.types import Example
from agrilape.errors import DataError
from agrilape.prepare.formats.coordinate_conventions import Size, pixels
from agrilape.prepare.formats.example_rows import RowImages, RowQuestion, picture_examples
from agrilape.prepare.formats.objects import AnnotatedObject, ask_objects, plain_name
from agrilape.sources.formats.coco import annotated_images
from agrilape.sources.formats.release_files import (
    PictureFolder,
    Row,
    SkippedRows,
    annotated_size,
    published,
    stated_split,
)


def read(folder: Path, omissions: SkippedRows, images: Path | None = None) -> Iterator[Example]:
    """Examples of all annotation files in a folder and in `annotations`, pictures anywhere below it."""
    yield from picture_examples(
        "coco", _rows(folder, omissions), PictureFolder(images or folder), omissions, _shown, _ask
    )


def _rows(folder: Path, omissions: SkippedRows) -> Iterator[Row]:
    for path in published(folder, "*.json", "annotations/*.json"):
        split = stated_split(path.stem)
        try:
            for row in annotated_images(path, omissions):
                yield row._replace(value={**row.value, "split": split})
        except DataError as error:
            omissions.add(path, error)


def _shown(row: Mapping[str, Any]) -> RowImages:
    return RowImages((row["file_name"],))


def _ask(row: Mapping[str, Any], size: Size) -> Iterator[RowQuestion]:
    size = Size(*annotated_size(row.get("width"), row.get("height"), size))
    return ask_objects([_thing(thing, size) for thing in row["objects"]], row["split"])


def _thing(thing: Mapping[str, Any], size: Size) -> AnnotatedObject:
    name = plain_name(thing["name"])
    if thing.get("iscrowd"):
        return AnnotatedObject(name, None)
    left, top, width, height = thing["bbox"]
    return AnnotatedObject(name, pixels(size).box(left, top, left + width, top + height))

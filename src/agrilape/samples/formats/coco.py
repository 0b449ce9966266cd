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

from agrilape.errors import DataError
from agrilape.samples.formats.common import Asked, Shown, picture_examples
from agrilape.samples.formats.conventions import Size, pixels
from agrilape.samples.formats.objects import Thing, ask_objects, plain_name
from agrilape.samples.types import Example
from agrilape.sources.formats.coco import annotated_images
from agrilape.sources.formats.common import (
    Omissions,
    PictureFolder,
    Row,
    annotated_size,
    published,
    stated_split,
)


def read(folder: Path, omissions: Omissions, images: Path | None = None) -> Iterator[Example]:
    """Examples of all annotation files in a folder and in `annotations`, pictures anywhere below it."""
    yield from picture_examples(
        "coco", _rows(folder, omissions), PictureFolder(images or folder), omissions, _shown, _ask
    )


def _rows(folder: Path, omissions: Omissions) -> Iterator[Row]:
    for path in published(folder, "*.json", "annotations/*.json"):
        split = stated_split(path.stem)
        try:
            for row in annotated_images(path, omissions):
                yield row._replace(value={**row.value, "split": split})
        except DataError as error:
            omissions.add(path, error)


def _shown(row: Mapping[str, Any]) -> Shown:
    return Shown((row["file_name"],))


def _ask(row: Mapping[str, Any], size: Size) -> Iterator[Asked]:
    size = Size(*annotated_size(row.get("width"), row.get("height"), size))
    return ask_objects([_thing(thing, size) for thing in row["objects"]], row["split"])


def _thing(thing: Mapping[str, Any], size: Size) -> Thing:
    name = plain_name(thing["name"])
    if thing.get("iscrowd"):
        return Thing(name, None)
    left, top, width, height = thing["bbox"]
    return Thing(name, pixels(size).box(left, top, left + width, top + height))

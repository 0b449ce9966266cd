"""DIOR-RSVG: one described object per question (Zhan et al. 2023, github.com/ZhanYang-nwpu/RSVG-pytorch).

`Annotations/*.xml` in Pascal VOC's form, with the `size` of the picture and each `object` with `name`,
`bndbox` (pixels) and `description`; `JPEGImages/*.jpg`. `train.txt`, `val.txt` and `test.txt` hold no file
names but running numbers of objects: 0 is the first object of the first XML file in order of name, and the
count goes on through all files.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agrilape.dataset.types import Example
from agrilape.errors import DataError
from agrilape.io.text import read_text
from agrilape.prepare.formats.coordinate_conventions import Size, pixels
from agrilape.prepare.formats.example_rows import RowImages, RowQuestion, picture_examples
from agrilape.sources.formats.release_files import PictureFolder, Row, SkippedRows, annotated_size, published

SPLITS = ("train", "val", "test")
EDGES = ("xmin", "ymin", "xmax", "ymax")


def read(folder: Path, omissions: SkippedRows, images: Path | None = None) -> Iterator[Example]:
    """Examples, one per picture and split: objects of one picture may be in several splits."""
    splits = _splits(folder)
    rows: dict[str, list[Row]] = {}
    for row in _objects(folder, omissions):
        rows.setdefault(splits.pop(row.value["number"], "none"), []).append(row)
    if splits:
        number, split = max(splits.items())
        raise DataError(
            f"{folder} holds {sum(map(len, rows.values()))} objects, but {split}.txt names no. {number}",
            "unpack all of Annotations: numbers count through all files",
        )
    pictures = PictureFolder(images or folder)
    for split, group in rows.items():
        for example in picture_examples("dior_rsvg", group, pictures, omissions, _shown, _ask):
            yield _of_split(example, split)


def _splits(folder: Path) -> dict[int, str]:
    """The split of each running number.

    Raises:
        DataError: A split file holds something else, or two hold the same number.
    """
    found: dict[int, str] = {}
    for split in SPLITS:
        path = folder / f"{split}.txt"
        if path.is_file():
            try:
                numbers = {int(word) for word in read_text(path).split()}
            except ValueError as error:
                raise DataError(
                    f"{path} does not hold running numbers of objects", "download it again"
                ) from error
            if twice := numbers & set(found):
                number = min(twice)
                raise DataError(
                    f"{folder}: object no. {number} is in {found[number]} and {split}", "download both again"
                )
            found |= dict.fromkeys(numbers, split)
    return found


def _objects(folder: Path, omissions: SkippedRows) -> Iterator[Row]:
    """All objects with their running numbers. A file that cannot be read would shift all that follow.

    Raises:
        DataError: An XML file cannot be read.
    """
    number = 0
    for path in published(folder, "Annotations/*.xml"):
        try:
            root = ElementTree.parse(path).getroot()  # noqa: S314 - expat limits entities by itself
        except (ElementTree.ParseError, OSError) as error:
            raise DataError(
                f"{path} is not readable XML, and numbers of objects count through all files: {error}",
                "download it again",
            ) from error
        for at, thing in enumerate(root.findall("object"), start=1):
            value = {
                "image": root.findtext("filename") or f"{path.stem}.jpg",
                "name": thing.findtext("name"),
                "description": thing.findtext("description"),
                "size": [root.findtext(f"size/{side}") for side in ("width", "height")],
                "edges": [thing.findtext(f"bndbox/{edge}") for edge in EDGES],
                "number": number,
            }
            yield Row(path, at, value)
            number += 1


def _shown(row: Mapping[str, Any]) -> RowImages:
    return RowImages((row["image"],))


def _ask(row: Mapping[str, Any], size: Size) -> Iterator[RowQuestion]:
    if not row["description"]:
        raise ValueError("an object has no description")
    width, height = row["size"]
    box = pixels(Size(*annotated_size(width, height, size))).box(*(float(edge) for edge in row["edges"]))
    question = f"Where is this: {row['description'].strip()}"
    yield RowQuestion("refer", (question,), (box,), {"object": row["name"]}, {"object": row["number"]})


def _of_split(example: Example, split: str) -> Example:
    chip = replace(example.chip, id=f"{example.chip.id}/{split}")
    samples = tuple(
        replace(
            sample,
            id=sample.id.replace(example.chip.id, chip.id, 1),
            chip=chip.id,
            provenance={**sample.provenance, "split": split},
        )
        for sample in example.samples
    )
    return Example(chip, samples)

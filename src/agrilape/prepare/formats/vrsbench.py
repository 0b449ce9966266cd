"""VRSBench: captions, referring boxes and questions on tiles of DOTA and DIOR.

Source: huggingface.co/datasets/xiang709/VRSBench.

- `VRSBench_train.json`: LLaVA's rows with the tags `[caption]`, `[refer]`, `[vqa]`;
- `VRSBench_EVAL_{referring,vqa,Cap}.json`: rows of `image_id`, `question`, `ground_truth`, `type`,
  `dataset`;
- `Annotations_{train,val}/<tile>.json`, read where the files above are not there: `caption`, `objects` with
  `referring_sentence` and `obj_coord` (fractions), `qa_pairs`.

Boxes in text are `{<left><top><right><bottom>}`, integers 0-100. Tiles are named `<image>_<number>.png`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agrilape.dataset.types import Example, Sample
from agrilape.errors import DataError
from agrilape.prepare.formats.box_text import VRSBENCH
from agrilape.prepare.formats.conversations import plain, turns
from agrilape.prepare.formats.coordinate_conventions import UNIT, Size
from agrilape.prepare.formats.example_rows import RowImages, RowQuestion, picture_examples
from agrilape.prepare.formats.llava_json import place_tag, write_conversations
from agrilape.sources.formats.release_files import (
    PictureFolder,
    Row,
    SkippedRows,
    published,
    read_object,
    read_rows,
)

FILE, PICTURES = "VRSBench_train.json", "Images_train"
CAPTION = "Describe the image in detail."


def read(folder: Path, omissions: SkippedRows, images: Path | None = None) -> Iterator[Example]:
    """Examples of the training and evaluation files; provenance has the split."""
    rows = _rows(folder, omissions)
    yield from picture_examples(
        "vrsbench", rows, PictureFolder(images or folder), omissions, _shown, _ask, tile_scene
    )


def tile_scene(name: str) -> str:
    """The image that a tile was cut from: tiles of one image never lie on both sides of a split."""
    return name.rsplit("_", 1)[0]


def _rows(folder: Path, omissions: SkippedRows) -> Iterator[Row]:
    found = published(folder, FILE, "VRSBench_EVAL_*.json", "Annotations_*/*.json")
    whole = {_split(path) for path in found if path.parent == folder}
    for path in found:
        split = _split(path)
        if path.parent == folder:
            yield from (
                row._replace(value={**row.value, "split": split}) for row in read_rows(path, omissions)
            )
        elif split not in whole:
            try:
                yield Row(path, 1, {"image": f"{path.stem}.png", **read_object(path), "split": split})
            except DataError as error:
                omissions.add(path, error)


def _split(path: Path) -> str:
    return "val" if "EVAL" in path.name or path.parent.name.endswith("val") else "train"


def _shown(row: Mapping[str, Any]) -> RowImages:
    return RowImages((row["image_id"] if "image_id" in row else row["image"],))


def _ask(row: Mapping[str, Any], size: Size) -> Iterator[RowQuestion]:
    origin = {key: row[key] for key in ("id", "question_id", "dataset", "split") if key in row}
    if "conversations" in row:
        yield from turns(row["conversations"], VRSBENCH, size, origin=origin)
    elif "ground_truth" in row:
        yield _evaluated(row, size, origin)
    else:
        yield from _annotated(row, origin)


def _evaluated(row: Mapping[str, Any], size: Size, origin: Mapping[str, Any]) -> RowQuestion:
    answer = VRSBENCH.parse(plain(row["ground_truth"]), size)
    question = plain(row.get("question") or CAPTION)
    truth = {"type": row["type"]} if "type" in row else {}
    if any(not isinstance(part, str) for part in answer):
        return RowQuestion("refer", (f"Where is this: {question}",), answer, truth, origin)
    return RowQuestion(
        "caption" if row.get("type", "caption") == "caption" else "vqa", (question,), answer, truth, origin
    )


def _annotated(row: Mapping[str, Any], origin: Mapping[str, Any]) -> Iterator[RowQuestion]:
    if row.get("caption"):
        yield RowQuestion("caption", (CAPTION,), (plain(row["caption"]),), {}, origin)
    for thing in row.get("objects", ()):
        if thing.get("referring_sentence"):
            question = f"Where is this: {plain(thing['referring_sentence'])}"
            truth = {"object": thing.get("obj_cls"), "unique": thing.get("is_unique")}
            yield RowQuestion("refer", (question,), (UNIT.box(*thing["obj_coord"]),), truth, origin)
    for pair in row.get("qa_pairs", ()):
        truth = {"type": pair.get("type")}
        yield RowQuestion("vqa", (plain(pair["question"]),), (plain(str(pair["answer"])),), truth, origin)


def write(examples: Iterable[Example], folder: Path, omissions: SkippedRows, nearest: bool = False) -> int:
    """Write `VRSBench_train.json` and its pictures; the number of rows."""
    return write_conversations(
        examples, folder / FILE, PICTURES, replace(VRSBENCH, nearest=nearest), omissions, _tag
    )


def _tag(sample: Sample) -> str:
    """The release has these three tags alone, not GeoChat's."""
    if sample.task == "caption":
        return "[caption] "
    return "[refer] " if place_tag(sample) == "[refer] " else "[vqa] "

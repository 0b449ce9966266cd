"""Published formats of instruction data, read and written.

`FORMATS` holds every reader by name: of examples (instruction data), of scenes (imagery with labels, which
the project's own tasks are asked about) or of series at points. `WRITERS` writes examples for other
systems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from agrilape.config.recipe import FormatSource
from agrilape.dataset.types import Example
from agrilape.errors import RecipeError, did_you_mean
from agrilape.prepare.formats import (
    agromind,
    coco,
    dior_rsvg,
    dota,
    earthdial,
    geochat,
    geochat_bench,
    llava,
    rsvqa,
    teochatlas,
    vrsbench,
)
from agrilape.sources.formats import SCENE_FORMATS, SERIES_FORMATS, SkippedRows
from agrilape.sources.observations import PointSeries
from agrilape.sources.scene import Scene

__all__ = [
    "CITATIONS",
    "EXAMPLE_FORMATS",
    "FORMATS",
    "WRITERS",
    "ExampleReader",
    "Reader",
    "SkippedRows",
    "Writer",
    "check_format",
    "read_examples",
]  # fmt: skip

ExampleReader: TypeAlias = Callable[..., Iterator[Example]]
"""Takes the folder, an `SkippedRows` and, but for those of `SELF_CONTAINED`, perhaps a folder of pictures."""
Reader: TypeAlias = Callable[..., Iterator[Example] | Iterator[Scene] | Iterator[PointSeries]]
Writer: TypeAlias = Callable[[Iterable[Example], Path, SkippedRows], int]

EXAMPLE_FORMATS: dict[str, ExampleReader] = {
    "agromind": agromind.read,
    "coco": coco.read,
    "dior_rsvg": dior_rsvg.read,
    "dota": dota.read,
    "earthdial": earthdial.read,
    "geochat": geochat.read,
    "geochat_bench": geochat_bench.read,
    "llava": llava.read,
    "rsvqa": rsvqa.read,
    "teochatlas": teochatlas.read,
    "vrsbench": vrsbench.read,
}
FORMATS: dict[str, Reader] = {**EXAMPLE_FORMATS, **SCENE_FORMATS, **SERIES_FORMATS}
SELF_CONTAINED = {"earthdial", "eurocrops", "fields_of_the_world", "pastis"}
"""Formats whose images are part of the release, or are found in its folder without being named."""
CITATIONS: dict[str, str] = {
    "agromind": "Li et al. (2025) AgroMind",
    "coco": "Lin et al. (2014) Microsoft COCO, ECCV",
    "dior_rsvg": "Zhan, Xiong, Yuan (2023) RSVG, IEEE TGRS",
    "dota": "Xia et al. (2018) DOTA, CVPR",
    "earthdial": "Soni et al. (2025) EarthDial, CVPR",
    "geochat": "Kuckreja et al. (2024) GeoChat, CVPR",
    "geochat_bench": "Kuckreja et al. (2024) GeoChat, CVPR",
    "llava": "Liu et al. (2023) Visual Instruction Tuning, NeurIPS",
    "rsvqa": "Lobry et al. (2020) RSVQA, IEEE TGRS",
    "teochatlas": "Irvin et al. (2025) TEOChat, ICLR",
    "vrsbench": "Li, Ding, Elhoseiny (2024) VRSBench, NeurIPS",
}
"""Whom to cite for a release of questions; its licence is the publishers' to say."""
WRITERS: dict[str, Writer] = {
    "geochat": geochat.write,
    "geochat_bench": geochat_bench.write,
    "llava": llava.write,
    "vrsbench": vrsbench.write,
}


def check_format(source: FormatSource) -> None:
    """Refuse a format that does not exist, has no images, or has no use for a folder of pictures.

    Raises:
        RecipeError: As said.
    """
    usable = {**EXAMPLE_FORMATS, **SCENE_FORMATS}
    if source.name in SERIES_FORMATS:
        raise RecipeError(
            f"{source.name} holds labelled points without images",
            "copy its labels beside imagery of your own and use `source: {kind: folder}`",
        )
    if source.name not in usable:
        hint = did_you_mean(source.name, usable, f"use one of: {', '.join(sorted(usable))}")
        raise RecipeError(f"there is no format {source.name!r}", hint)
    if source.images is not None and source.name in SELF_CONTAINED:
        raise RecipeError(f"{source.name} holds its images itself", "leave `images` out")
    if source.boxes != "fractions" and source.name != "llava":
        raise RecipeError(f"{source.name} states itself what its boxes run to", "leave `boxes` out")


def read_examples(source: FormatSource, omissions: SkippedRows) -> Iterator[Example]:
    """The examples of a release of questions."""
    pictures = () if source.images is None else (source.images,)
    scale = {"boxes": source.boxes} if source.name == "llava" else {}
    return EXAMPLE_FORMATS[source.name](source.path, omissions, *pictures, **scale)

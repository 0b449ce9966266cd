"""Published formats of instruction data, read and written.

`FORMATS` holds every reader by name: of examples (instruction data), of scenes (imagery with labels, which
the project's own tasks are asked about) or of series at points. `WRITERS` writes examples for other
systems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from agrilape.samples.formats import (
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
from agrilape.samples.types import Example
from agrilape.sources.formats import SCENE_FORMATS, SERIES_FORMATS, Omissions
from agrilape.sources.observations import PointSeries
from agrilape.sources.scene import Scene

__all__ = ["EXAMPLE_FORMATS", "FORMATS", "WRITERS", "ExampleReader", "Omissions", "Reader", "Writer"]

ExampleReader: TypeAlias = Callable[[Path, Omissions], Iterator[Example]]
Reader: TypeAlias = Callable[[Path, Omissions], Iterator[Example] | Iterator[Scene] | Iterator[PointSeries]]
Writer: TypeAlias = Callable[[Iterable[Example], Path, Omissions], int]

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
WRITERS: dict[str, Writer] = {"geochat": geochat.write, "llava": llava.write, "vrsbench": vrsbench.write}

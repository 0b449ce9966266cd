"""What a shard holds, read back from the file itself: counts, its hash, and what could leak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agrilape.samples.leaks import Trace, trace
from agrilape.samples.manifest import hash_file
from agrilape.samples.store import Store, read_facts


@dataclass(frozen=True)
class Digest:
    """What a shard holds.

    Attributes:
        sha256: Of the file.
        bytes: Its size.
        pictures: Number of pictures.
        tasks: Samples of each task.
        traces: One of each chip.
        facts: What was written with it.
    """

    sha256: str
    bytes: int
    pictures: int
    tasks: Counter[str]
    traces: tuple[Trace, ...]
    facts: Mapping[str, Any]


def digest(file: Path) -> Digest:
    """Read a shard.

    Raises:
        DataError: It cannot be read.
    """
    tasks: Counter[str] = Counter()
    traces = []
    for example in Store([file]):
        tasks.update(sample.task for sample in example.samples)
        traces.append(trace(example))
    return Digest(
        sha256=hash_file(file),
        bytes=file.stat().st_size,
        pictures=sum(len(one.pictures) for one in traces),
        tasks=tasks,
        traces=tuple(traces),
        facts=read_facts(file),
    )

"""What a shard holds: counts, its hash, and what could leak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agrilape.dataset.leakage import LeakageKeys, leakage_keys
from agrilape.dataset.manifest import hash_file
from agrilape.dataset.store import Store, read_shard_metadata
from agrilape.dataset.types import Example


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
    traces: tuple[LeakageKeys, ...]
    facts: Mapping[str, Any]


class Digester:
    """Learns what a shard holds while its chips pass by."""

    def __init__(self) -> None:
        self._tasks: Counter[str] = Counter()
        self._traces: list[LeakageKeys] = []

    def observe(self, examples: Iterable[Example]) -> Iterator[Example]:
        """The same chips, in order."""
        for example in examples:
            self._tasks.update(sample.task for sample in example.samples)
            self._traces.append(leakage_keys(example))
            yield example

    def digest(self, file: Path) -> Digest:
        """What the shard of these chips holds, now that it is written."""
        return Digest(
            sha256=hash_file(file),
            bytes=file.stat().st_size,
            pictures=sum(len(one.pictures) for one in self._traces),
            tasks=self._tasks,
            traces=tuple(self._traces),
            facts=read_shard_metadata(file),
        )


def digest(file: Path) -> Digest:
    """Read a shard.

    Raises:
        DataError: It cannot be read.
    """
    digester = Digester()
    for _ in digester.observe(Store([file])):
        pass
    return digester.digest(file)

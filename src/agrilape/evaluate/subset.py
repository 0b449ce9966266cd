"""The samples that are evaluated: of each task at most so many, spread evenly over a data set."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

import numpy as np

from agrilape.dataset.lazy import LazyExamples
from agrilape.dataset.types import Example


class Subset(LazyExamples):
    """Chips of a data set with the samples that are asked; ids of both begin with the data set's name.

    Args:
        name: Name of the data set.
        examples: All its chips; read one at a time.
        limit: Most samples per task; None for all.
        tasks: Only samples of these; None for all.
    """

    def __init__(
        self,
        name: str,
        examples: Sequence[Example],
        limit: int | None = None,
        tasks: Container[str] | None = None,
    ) -> None:
        self._name = name
        self._examples = examples
        places: dict[str, list[tuple[int, int]]] = {}
        for chip, example in enumerate(examples):
            for number, sample in enumerate(example.samples):
                if tasks is not None and sample.task not in tasks:
                    continue
                places.setdefault(sample.task, []).append((chip, number))
        chosen = sorted(place for task in places.values() for place in _spread(task, limit))
        samples: dict[int, list[int]] = {}
        for chip, number in chosen:
            samples.setdefault(chip, []).append(number)
        self._chosen = list(samples.items())

    def __len__(self) -> int:
        """Number of chips with at least one sample."""
        return len(self._chosen)

    def make(self, position: int) -> Example:
        """One chip with its chosen samples."""
        chip, numbers = self._chosen[position]
        example = self._examples[chip]
        named = replace(example.chip, id=f"{self._name}/{example.chip.id}")
        samples = (example.samples[number] for number in numbers)
        return Example(
            named, tuple(replace(one, id=f"{self._name}/{one.id}", chip=named.id) for one in samples)
        )


def _spread(places: list[tuple[int, int]], limit: int | None) -> list[tuple[int, int]]:
    if limit is None or len(places) <= limit:
        return places
    return [places[i] for i in np.linspace(0, len(places) - 1, limit).round().astype(int)]

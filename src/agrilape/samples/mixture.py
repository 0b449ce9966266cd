"""Deterministic weighted sampling of chips and questions for training.

A draw is a function of the seed and its index alone, so a resumed run continues exactly where it stopped.
Entries take their turns in fixed shares, exact over every `PERIOD` draws; within an entry every chip comes
once before any comes again.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from agrilape.config.recipe import MixtureEntry
from agrilape.errors import DataError
from agrilape.samples.store import Store
from agrilape.samples.types import Example, Sample

PERIOD = 200  # draws; shares are exact to half a percent


class Mixture:
    """The training data of a stage.

    Args:
        entries: The mixture by name.
        stores: Training chips of each data set.
        seed: Decides every draw.
        questions: Most questions per draw.

    Raises:
        DataError: An entry has no chip with one of its tasks.
    """

    def __init__(
        self, entries: Mapping[str, MixtureEntry], stores: Mapping[str, Store], seed: int, questions: int
    ) -> None:
        self.entries, self.stores, self.seed, self.questions = dict(entries), stores, seed, questions
        self.names = tuple(self.entries)
        listed = {name: store.tasks() for name, store in stores.items()}
        self._chips = {name: _chips(name, entry, listed) for name, entry in self.entries.items()}
        weights = np.array([entry.weight for entry in self.entries.values()])
        self._slots = _slots(weights / weights.sum())
        self._orders: dict[tuple[str, int], NDArray[np.int64]] = {}

    def draw(self, index: int) -> tuple[Example, tuple[Sample, ...]]:
        """The chip of a draw and the questions to ask about it, tasks taking turns."""
        name, turn = self._place(index)
        entry, chips = self.entries[name], self._chips[name]
        epoch, position = divmod(turn, len(chips))
        dataset, row = chips[int(self._order(name, epoch)[position])]
        example = self.stores[dataset][row]
        rng = random.Random(f"{self.seed}/{index}")  # noqa: S311 - not for secrets
        return example, _pick(example.samples, entry.tasks, self.questions, rng)

    def entry(self, index: int) -> str:
        """The entry that a draw comes from."""
        return self._place(index)[0]

    def shares(self, draws: int) -> dict[str, float]:
        """Achieved share of each entry in the first so many draws."""
        counts = np.zeros(len(self.names))
        full, rest = divmod(draws, PERIOD)
        counts += full * np.bincount(self._slots, minlength=len(self.names))
        counts += np.bincount(self._turns(full)[:rest], minlength=len(self.names))
        return dict(zip(self.names, (counts / max(draws, 1)).tolist(), strict=True))

    def sizes(self) -> dict[str, int]:
        """Number of chips of each entry."""
        return {name: len(chips) for name, chips in self._chips.items()}

    def _place(self, index: int) -> tuple[str, int]:
        """Entry of a draw, and how many draws of this entry come before it."""
        period, slot = divmod(index, PERIOD)
        turns = self._turns(period)
        number = int(turns[slot])
        before = period * int((self._slots == number).sum()) + int((turns[:slot] == number).sum())
        return self.names[number], before

    def _turns(self, period: int) -> NDArray[np.int64]:
        """Entry number of each draw of a period."""
        return _rng(self.seed, "period", period).permutation(self._slots)

    def _order(self, name: str, epoch: int) -> NDArray[np.int64]:
        """Order of an entry's chips in one epoch; the last few are kept, since draws come nearly in order."""
        if (name, epoch) not in self._orders:
            if len(self._orders) >= 2 * len(self.names):
                self._orders.clear()
            self._orders[name, epoch] = _rng(self.seed, name, epoch).permutation(len(self._chips[name]))
        return self._orders[name, epoch]


def _chips(
    name: str, entry: MixtureEntry, listed: Mapping[str, list[frozenset[str]]]
) -> list[tuple[str, int]]:
    """Data set and row of every chip that holds a wanted task."""
    wanted = None if entry.tasks is None else frozenset(entry.tasks)
    chips = [
        (dataset, row)
        for dataset in entry.datasets
        for row, tasks in enumerate(listed[dataset])
        if (tasks if wanted is None else tasks & wanted)
    ]
    if not chips:
        raise DataError(
            f"mixture entry {name!r}: no training chip of {', '.join(entry.datasets)} holds "
            + (", ".join(entry.tasks) if entry.tasks else "a question"),
            "name tasks that these data sets are prepared with",
        )
    return chips


def _slots(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Entry number of each slot of a period, by largest remainder, every entry at least once."""
    exact = shares * PERIOD
    counts = np.maximum(np.floor(exact), 1).astype(int)
    while counts.sum() < PERIOD:
        counts[int((exact - counts).argmax())] += 1
    while counts.sum() > PERIOD:
        counts[int((counts - exact).argmax())] -= 1
    return np.repeat(np.arange(len(shares)), counts)


def _pick(
    samples: Sequence[Sample], tasks: Sequence[str] | None, count: int, rng: random.Random
) -> tuple[Sample, ...]:
    """Up to `count` samples: one of each task in turn, both in random order."""
    queues: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if tasks is None or sample.task in tasks:
            queues[sample.task].append(sample)
    order = list(queues.values())
    rng.shuffle(order)
    for queue in order:
        rng.shuffle(queue)
    deepest = max((len(queue) for queue in order), default=0)
    return tuple([queue[turn] for turn in range(deepest) for queue in order if turn < len(queue)][:count])


def _rng(seed: int, name: str, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, *name.encode(), number])

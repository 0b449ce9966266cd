"""Deterministic weighted sampling of chips and questions for training.

A draw is a function of the seed and its index alone, so a resumed run continues exactly where it stopped.
Entries take their turns in fixed shares, exact over every `PERIOD` draws; within an entry every chip comes
once before any comes again. In an entry that is balanced, the crops and sizes take turns: each draw shows a
chip with the one whose turn it is, and asks about that first.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agrilape.config.recipe import MixtureEntry
from agrilape.dataset.round_robin import shuffle_interleaved
from agrilape.dataset.store import Store
from agrilape.dataset.tasks import refuse_unknown_tasks
from agrilape.dataset.types import Example, Sample
from agrilape.errors import DataError

Class: TypeAlias = tuple[str, ...]
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
        RecipeError: An entry names what is no task.
    """

    def __init__(
        self, entries: Mapping[str, MixtureEntry], stores: Mapping[str, Store], seed: int, questions: int
    ) -> None:
        self.entries, self.stores, self.seed, self.questions = dict(entries), stores, seed, questions
        self.names = tuple(self.entries)
        listed = {name: store.tasks() for name, store in stores.items()}
        self._chips = {name: _chips(name, entry, listed) for name, entry in self.entries.items()}
        self._classes = {
            name: _classes(name, entry, stores) for name, entry in self.entries.items() if entry.balance
        }
        weights = np.array([entry.weight for entry in self.entries.values()])
        self._slots = _slots(weights / weights.sum())
        self._orders: dict[tuple[str, int], NDArray[np.int64]] = {}

    def draw(self, index: int) -> tuple[Example, tuple[Sample, ...]]:
        """The chip of a draw and the questions to ask about it, tasks taking turns."""
        name, turn = self._place(index)
        rng = random.Random(f"{self.seed}/{index}")  # noqa: S311 - not for secrets
        if name in self._classes:
            return self._draw_balanced(name, turn, rng)
        chips = self._chips[name]
        epoch, position = divmod(turn, len(chips))
        dataset, row = chips[int(self._order(name, epoch, len(chips))[position])]
        example = self.stores[dataset][row]
        wanted = _wanted(example.samples, self.entries[name])
        return example, tuple(shuffle_interleaved(wanted, lambda one: one.task, rng)[: self.questions])

    def _draw_balanced(self, name: str, turn: int, rng: random.Random) -> tuple[Example, tuple[Sample, ...]]:
        """A chip with the class whose turn it is, first a question about that, then the classes by turns."""
        entry, classes = self.entries[name], self._classes[name]
        each, number = divmod(turn, len(classes))
        kind, chips = classes[number]
        epoch, position = divmod(each, len(chips))
        dataset, row = chips[int(self._order(f"{name}/{number}", epoch, len(chips))[position])]
        example = self.stores[dataset][row]
        wanted = _wanted(example.samples, entry)
        first = rng.choice([one for one in wanted if _class(one.truth, entry) == kind])
        rest = [one for one in wanted if one is not first]
        others = shuffle_interleaved(rest, lambda one: _class(one.truth, entry), rng)
        return example, (first, *others)[: self.questions]

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

    def _order(self, name: str, epoch: int, count: int) -> NDArray[np.int64]:
        """Order of an entry's chips in one epoch; the last few are kept, since draws come nearly in order."""
        if (name, epoch) not in self._orders:
            if len(self._orders) >= 2 * (len(self.names) + sum(map(len, self._classes.values()))):
                self._orders.clear()
            self._orders[name, epoch] = _rng(self.seed, name, epoch).permutation(count)
        return self._orders[name, epoch]


def _chips(
    name: str, entry: MixtureEntry, listed: Mapping[str, list[frozenset[str]]]
) -> list[tuple[str, int]]:
    """Data set and row of every chip that holds a wanted task."""
    held = {task for dataset in entry.datasets for tasks in listed[dataset] for task in tasks}
    refuse_unknown_tasks(f"mixture entry {name!r}", entry.tasks or (), held)
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


def _classes(
    name: str, entry: MixtureEntry, stores: Mapping[str, Store]
) -> list[tuple[Class, list[tuple[str, int]]]]:
    """The classes that an entry is balanced over, in order, each with the chips that hold one.

    Raises:
        DataError: No sample says what they are.
    """
    found: dict[Class, list[tuple[str, int]]] = defaultdict(list)
    for dataset in entry.datasets:
        for row, samples in enumerate(stores[dataset].truths()):
            held = {_class(truth, entry) for task, truth in samples if _is_wanted(task, entry)}
            for kind in held:
                if kind is not None:
                    found[kind].append((dataset, row))
    if not found:
        raise DataError(
            f"mixture entry {name!r} cannot be balanced: no sample says its {' and '.join(entry.balance)}",
            "leave `balance` out, or name tasks about fields",
        )
    return sorted(found.items())


def _class(truth: Mapping[str, Any], entry: MixtureEntry) -> Class | None:
    """What an entry is balanced over; None for a sample that does not say all of it."""
    values = tuple(truth.get(fact) for fact in entry.balance)
    return None if None in values else tuple(map(str, values))


def _wanted(samples: Sequence[Sample], entry: MixtureEntry) -> list[Sample]:
    return [one for one in samples if _is_wanted(one.task, entry)]


def _is_wanted(task: str, entry: MixtureEntry) -> bool:
    return entry.tasks is None or task in entry.tasks


def _rng(seed: int, name: str, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, *name.encode(), number])

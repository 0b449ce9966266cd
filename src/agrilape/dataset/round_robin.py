"""Taking turns, so that no kind of thing is crowded out."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import TypeVar

T = TypeVar("T")


def interleave(queues: Collection[Sequence[T]]) -> list[T]:
    """One item of each queue in every round, until all are empty."""
    deepest = max(map(len, queues), default=0)
    return [queue[turn] for turn in range(deepest) for queue in queues if turn < len(queue)]


def shuffle_interleaved(items: Sequence[T], kind: Callable[[T], Hashable], rng: random.Random) -> list[T]:
    """Items in random order, their kinds taking turns.

    Args:
        items: The items.
        kind: What must not be crowded out.
        rng: Decides the order within a kind and of the kinds.
    """
    queues: dict[Hashable, list[T]] = defaultdict(list)
    for item in rng.sample(items, len(items)):
        queues[kind(item)].append(item)
    order = list(queues.values())
    rng.shuffle(order)
    return interleave(order)

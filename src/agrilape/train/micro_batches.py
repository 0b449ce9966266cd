"""A batch in parts of like length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from agrilape.errors import DataError
from agrilape.tokens import Collator, TrainingItem
from agrilape.tokens.packing import IGNORED

Collate = Callable[[Sequence[TrainingItem]], dict[str, Any]]
PART_ROWS = 16
NO_LIMIT = 2**62
STARTS = 2e12  # operations that an accelerator does while a pass is started: 30 ms at 70 TFLOP/s


class TokenLimit:
    """Most tokens of a part, which sinks where it proves too high, also for processes that make batches.

    Args:
        most: Padding included; None: any number.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = torch.tensor(NO_LIMIT if most is None else most)
        self._most.share_memory_()  # type: ignore[no-untyped-call]

    @property
    def most(self) -> int | None:
        """The limit now; None without one."""
        return None if self._most == NO_LIMIT else int(self._most)

    def lower(self, most: int) -> None:
        """Let it be at most this from now on."""
        self._most.clamp_(max=max(most, 1))


@dataclass(frozen=True)
class MicroBatchItems:
    """What a part was made of, to make it again in smaller ones; no list, so that nobody looks into it."""

    items: Sequence[TrainingItem]

    @property
    def questions(self) -> int:
        """How many they ask."""
        return sum(len(item.samples) for item in self.items)


@dataclass
class _Made:
    """What became of some items.

    Attributes:
        parts: Batches.
        items: What each was made of.
        asked: Questions in them.
        too_long: Questions that did not fit.
        left_out: Why chips are missing.
        task_tokens: Tokens of the questions and answers in them, by task.
    """

    parts: list[dict[str, Any]] = field(default_factory=list)
    items: list[MicroBatchItems] = field(default_factory=list)
    asked: int = 0
    too_long: int = 0
    left_out: list[str] = field(default_factory=list)
    task_tokens: dict[str, int] = field(default_factory=dict)


def in_micro_batches(
    collator: Collator,
    collate: Collate | None = None,
    spare: int = 0,
    most: TokenLimit | int | None = None,
) -> Collate:
    """Let a batch be several, of rows alike in length, since a short row is padded to the longest beside it.

    A series of five images is five times as long as a still. The parts' gradients add up to the whole
    batch's. A chip that cannot be read, or none of whose questions fits, is skipped.

    Args:
        collator: Knows how long a row becomes, and counts questions that do not fit.
        collate: Makes one part; None: the collator does.
        spare: Tokens of padding that cost less than one part more, see `spare_tokens`.
        most: Tokens of a part that the device has room for, padding included; a single question may have
            more.

    Returns:
        Makes a batch: `parts`; `items`, what each was made of; `asked`, the number of questions in them;
        `too_long`, that of questions that did not fit; `left_out`, why chips are missing; `task_tokens`,
        tokens of the questions and answers by task.
    """
    make = collate or collator
    limit = most if isinstance(most, TokenLimit) else TokenLimit(most)

    def make_batch(items: Sequence[TrainingItem]) -> dict[str, Any]:
        made, most = _Made(), limit.most
        for part in group_by_length(_measured(collator, items, made, most), spare, most, collator.rows):
            try:
                _add(made, collator, make, part)
            except DataError:
                _add(made, collator, make, _usable(collator, part, made))
        return vars(made)

    return make_batch


def _add(made: _Made, collator: Collator, make: Collate, items: Sequence[TrainingItem]) -> None:
    """Make a part of items."""
    if items:
        before, told = collator.dropped, collator.task_tokens.copy()
        part = make(items)
        made.parts.append({**part, **answer_positions(part["labels"])})
        made.items.append(MicroBatchItems(tuple(items)))
        too_long = collator.dropped - before
        made.too_long += too_long
        made.asked += sum(len(item.samples) for item in items) - too_long
        made.task_tokens = dict(Counter(made.task_tokens) + (collator.task_tokens - told))


def _measured(
    collator: Collator, items: Sequence[TrainingItem], made: _Made, most: int | None
) -> list[tuple[int, TrainingItem]]:
    """Items with the lengths of their rows in tokens; those whose images cannot be opened are skipped."""
    measured = []
    for item in items:
        try:
            measured += _pieces(collator, item, most)
        except DataError as error:
            made.left_out.append(f"{item.example.chip.id}: {error.problem}")
    return measured


def _pieces(collator: Collator, item: TrainingItem, most: int | None) -> list[tuple[int, TrainingItem]]:
    """A chip with its questions; several times, with some of them, where all are too long together."""
    length, questions = collator.length(item), len(item.samples)
    if most is None or questions < 2 or collator.rows(item) * length <= most:
        return [(length, item)]
    halves = item.samples[: questions // 2], item.samples[questions // 2 :]
    return [piece for half in halves for piece in _pieces(collator, item._replace(samples=half), most)]


def _usable(collator: Collator, items: Sequence[TrainingItem], made: _Made) -> list[TrainingItem]:
    """Items of which each makes a batch by itself; what is wrong with the others is noted."""
    good = []
    for item in items:
        before = collator.dropped
        try:
            collator([item])
            good.append(item)
        except DataError as error:
            made.left_out.append(f"{item.example.chip.id}: {error.problem}")
            made.too_long += collator.dropped - before
    return good


def without_answers(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a batch from which nothing is learnt, for a pass that must be made all the same."""
    kept = {name: value for name, value in part.items() if name != "cover"}
    none = {name: part[name][:0] for name in ("scored", "answered")}
    return {**kept, "labels": torch.full_like(part["labels"], IGNORED), **none}


def answer_positions(labels: Tensor) -> dict[str, Tensor]:
    """Where the answers are, found before the labels go to a device that would have to be waited for.

    Args:
        labels: `[B, L]`, -100 outside answers.

    Returns:
        `scored`, the places whose next token belongs to an answer in any row, `[S]`; `answered`, which of
        them do, row by row, as indices into the flattened `[B, S]`.
    """
    answers = labels[:, 1:] != IGNORED
    scored = answers.any(0).nonzero().squeeze(1)
    return {"scored": scored, "answered": answers[:, scored].flatten().nonzero().squeeze(1)}


def group_by_length(
    measured: Sequence[tuple[int, TrainingItem]],
    spare: int = 0,
    most: int | None = None,
    rows_of: Callable[[TrainingItem], int] = lambda _: 1,
) -> list[list[TrainingItem]]:
    """Divide items into parts of at most `PART_ROWS`, none more than half as long again as the shortest.

    Args:
        measured: Items with the lengths of their rows in tokens, visual tokens included.
        spare: A part may be larger, and its rows less alike, as long as it holds fewer tokens of padding.
        most: Tokens that a part of several items may have, padding included; None: any number.
        rows_of: How many rows an item becomes.
    """
    parts: list[list[TrainingItem]] = []
    shortest = total = rows = 0
    for length, item in sorted(measured, key=lambda pair: pair[0]):
        more = rows_of(item)
        like = bool(parts) and len(parts[-1]) < PART_ROWS and length <= 1.5 * shortest
        fits = most is None or (rows + more) * length <= most
        if parts and fits and (like or rows * length - total < spare):
            parts[-1].append(item)
            total, rows = total + more * length, rows + more
        else:
            parts.append([item])
            shortest, total, rows = length, more * length, more
    return parts


def spare_tokens(parameters: int, on_cpu: bool) -> int:
    """Tokens of padding that cost less than one part more.

    An accelerator computes a small model faster than Python can start its kernels: more parts cost time, and
    padding costs none, until it takes as long as the starts of a whole pass would.

    Args:
        parameters: How many the model has; a token costs 6 operations for each (Kaplan et al. 2020,
            arXiv:2001.08361, section 2.1).
        on_cpu: Whether it trains on a CPU, which starts as fast as it computes.

    Returns:
        None on a CPU, some 100,000 for a model of 4 million parameters, 50 for one of 7 billion.
    """
    return 0 if on_cpu else int(STARTS // (6 * parameters))

"""What a stage draws, by index: the same for the same index, in any process and after any interruption."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2s
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from agrilape.errors import DataError, RecipeError
from agrilape.samples.augment import dihedral, recolour
from agrilape.samples.mixture import Mixture
from agrilape.samples.types import Example
from agrilape.tokens import Collator, TrainingItem
from agrilape.tokens.packing import IGNORED

Collate = Callable[[Sequence[TrainingItem]], dict[str, Any]]
SYMMETRIES = 8
PART_ROWS = 16


class Draws(Dataset[TrainingItem]):
    """The draws of a stage, in order.

    Args:
        mixture: Where from.
        length: How many chips the whole stage draws.
        seed: Seed of the augmentation.
        augment: Turn and mirror chips with their coordinates.
        recolour: How strongly brightness and tint vary, see `agrilape.samples.augment.recolour`.
    """

    def __init__(
        self, mixture: Mixture, length: int, seed: int, augment: bool, recolour: float = 0.0
    ) -> None:
        self.mixture, self.length, self.seed = mixture, length, seed
        self.augment, self.recolour = augment, recolour

    def __len__(self) -> int:
        """Chips in the stage."""
        return self.length

    def __getitem__(self, index: int) -> TrainingItem:
        """Draw a chip and its questions."""
        example, picked = self.mixture.draw(index)
        asked = Example(example.chip, picked)
        with suppress(OSError):  # a picture that cannot be decoded is left out, and named, by `in_parts`
            if self.augment:
                asked = dihedral(asked, symmetry_of(self.seed, index))
            if self.recolour:
                asked = recolour(asked, np.random.default_rng([self.seed, index]), self.recolour)
        return TrainingItem(asked, asked.samples)


def symmetry_of(seed: int, index: int) -> int:
    """Which symmetry of the square a draw gets, 0 to 7."""
    return blake2s(f"{seed}/{index}".encode(), digest_size=1).digest()[0] % SYMMETRIES


def require_words_only(mixture: Mixture, stage: str, probes: int = 64) -> None:
    """Refuse places and times in a stage whose model has no tokens for them.

    Raises:
        RecipeError: One of the first draws holds a place or a time.
    """
    for index in range(probes):
        for sample in mixture.draw(index)[1]:
            if not all(isinstance(part, str) for part in (*sample.question, *sample.answer)):
                raise RecipeError(
                    f"stage {stage} has LAPE off, but its task {sample.task} speaks of places or times",
                    f"set stages.{stage}.enable_lape=true, or take the task out of the mixture",
                )


@dataclass
class _Made:
    """What became of some items.

    Attributes:
        parts: Batches.
        asked: Questions in them.
        too_long: Questions that did not fit.
        left_out: Why chips are missing.
    """

    parts: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    too_long: int = 0
    left_out: list[str] = field(default_factory=list)


def in_parts(collator: Collator, collate: Collate | None = None) -> Collate:
    """Let a batch be several, of rows alike in length, since a short row is padded to the longest beside it.

    A series of five images is five times as long as a still. The parts' gradients add up to the whole
    batch's. A chip that cannot be read, or none of whose questions fits, is left out.

    Args:
        collator: Knows how long a row becomes, and counts questions that do not fit.
        collate: Makes one part; None: the collator does.

    Returns:
        Makes a batch: `parts`; `asked`, the number of questions in them; `too_long`, that of questions that
        did not fit; `left_out`, why chips are missing.
    """
    make = collate or collator

    def make_batch(items: Sequence[TrainingItem]) -> dict[str, Any]:
        made = _Made()
        for part in alike(_measured(collator, items, made)):
            try:
                _add(made, collator, make, part)
            except DataError:
                _add(made, collator, make, _usable(collator, part, made))
        return vars(made)

    return make_batch


def _add(made: _Made, collator: Collator, make: Collate, items: Sequence[TrainingItem]) -> None:
    """Make a part of items."""
    if items:
        before = collator.dropped
        made.parts.append(make(items))
        too_long = collator.dropped - before
        made.too_long += too_long
        made.asked += sum(len(item.samples) for item in items) - too_long


def _measured(
    collator: Collator, items: Sequence[TrainingItem], made: _Made
) -> list[tuple[int, TrainingItem]]:
    """Items with the lengths of their rows in tokens; those whose images cannot be opened are left out."""
    measured = []
    for item in items:
        try:
            measured.append((collator.length(item), item))
        except DataError as error:
            made.left_out.append(f"{item.example.chip.id}: {error.problem}")
    return measured


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
    return {**kept, "labels": torch.full_like(part["labels"], IGNORED)}


def alike(measured: Sequence[tuple[int, TrainingItem]]) -> list[list[TrainingItem]]:
    """Divide items into parts of at most `PART_ROWS`, none more than half as long again as the shortest.

    Args:
        measured: Items with the lengths of their rows in tokens, visual tokens included.
    """
    parts: list[list[TrainingItem]] = []
    shortest = 0
    for length, item in sorted(measured, key=lambda pair: pair[0]):
        if parts and len(parts[-1]) < PART_ROWS and length <= 1.5 * shortest:
            parts[-1].append(item)
        else:
            parts.append([item])
            shortest = length
    return parts

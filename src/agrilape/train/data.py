"""What a stage draws, by index: the same for the same index, in any process and after any interruption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2s
from typing import Any

import torch
from torch.utils.data import Dataset

from agrilape.errors import DataError, RecipeError
from agrilape.samples.augment import dihedral
from agrilape.samples.mixture import Mixture
from agrilape.samples.types import Example
from agrilape.tokens import TrainingItem

SYMMETRIES = 8
PART_ROWS = 16


class Draws(Dataset[TrainingItem]):
    """The draws of a stage, in order.

    Args:
        mixture: Where from.
        length: How many chips the whole stage draws.
        seed: Seed of the augmentation.
        augment: Turn and mirror chips with their coordinates.
    """

    def __init__(self, mixture: Mixture, length: int, seed: int, augment: bool) -> None:
        self.mixture, self.length, self.seed, self.augment = mixture, length, seed, augment

    def __len__(self) -> int:
        """Chips in the stage."""
        return self.length

    def __getitem__(self, index: int) -> TrainingItem:
        """Draw a chip and its questions."""
        example, picked = self.mixture.draw(index)
        asked = Example(example.chip, picked)
        if self.augment:
            with suppress(OSError):  # a picture that cannot be decoded is left out, and named, by `in_parts`
                asked = dihedral(asked, symmetry_of(self.seed, index))
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


def in_parts(
    collate: Callable[[Sequence[TrainingItem]], dict[str, Any]],
) -> Callable[[Sequence[TrainingItem]], dict[str, Any]]:
    """Let a batch be several, of rows alike in length, since a short row is padded to the longest beside it.

    A series of five images is three times as long as a still. The parts' gradients add up to the whole
    batch's. A chip that cannot be read, or none of whose questions fits, is left out.

    Args:
        collate: Makes one part.

    Returns:
        Makes a batch: `parts`, each with `asked`, its number of samples, and `left_out`, why chips are
        missing.
    """

    def make_batch(items: Sequence[TrainingItem]) -> dict[str, Any]:
        parts: list[dict[str, Any]] = []
        reasons: list[str] = []
        for part in alike(items):
            try:
                parts.append(_counted(collate, part))
            except DataError:
                good, bad = _separated(collate, part)
                parts += [_counted(collate, good)] if good else []
                reasons += bad
        if not parts:
            raise DataError(
                f"no chip of a batch can be used: {reasons[0]}", "see the reason, and prepare the data again"
            )
        return {"parts": parts, "left_out": reasons}

    return make_batch


def _separated(
    collate: Callable[[Sequence[TrainingItem]], dict[str, Any]], items: Sequence[TrainingItem]
) -> tuple[list[TrainingItem], list[str]]:
    """Items that can be collated, and what is wrong with the others."""
    good, bad = [], []
    for item in items:
        try:
            collate([item])
            good.append(item)
        except DataError as error:
            bad.append(f"{item.example.chip.id}: {error.problem}")
    return good, bad


def _counted(
    collate: Callable[[Sequence[TrainingItem]], dict[str, Any]], items: Sequence[TrainingItem]
) -> dict[str, Any]:
    return {**collate(items), "asked": torch.tensor(sum(len(item.samples) for item in items))}


def alike(items: Sequence[TrainingItem]) -> list[list[TrainingItem]]:
    """Divide items into parts of at most `PART_ROWS`, of nearly as many images and of similar text length."""
    parts: list[list[TrainingItem]] = []
    for item in sorted(items, key=lambda item: (_pictures(item), _text_length(item))):
        fits = parts and len(parts[-1]) < PART_ROWS and _pictures(item) <= 1.5 * _pictures(parts[-1][0])
        if fits:
            parts[-1].append(item)
        else:
            parts.append([item])
    return parts


def _pictures(item: TrainingItem) -> int:
    return len(item.example.chip.pictures)


def _text_length(item: TrainingItem) -> int:
    """Rough length of an item's questions and answers in characters; a place counts as two short words."""
    return sum(
        len(part) if isinstance(part, str) else 10
        for sample in item.samples
        for part in (*sample.question, *sample.answer)
    )

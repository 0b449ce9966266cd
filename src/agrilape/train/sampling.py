"""What a stage draws, by index: the same for the same index, in any process and after any interruption."""

from __future__ import annotations

from contextlib import suppress
from hashlib import blake2s

import numpy as np
from torch.utils.data import Dataset

from agrilape.dataset.augmentation import colour_jitter, dihedral
from agrilape.dataset.mixture import Mixture
from agrilape.dataset.types import Example
from agrilape.errors import DataError, RecipeError
from agrilape.tokens import TrainingItem

SYMMETRIES = 8


class TrainingSamples(Dataset[TrainingItem]):
    """The draws of a stage, in order.

    Args:
        mixture: Where from.
        length: How many chips the whole stage draws.
        seed: Seed of the augmentation.
        augment: Turn and mirror chips with their coordinates.
        colour_jitter: How strongly brightness and tint vary, see `dataset.augmentation.colour_jitter`.
    """

    def __init__(
        self, mixture: Mixture, length: int, seed: int, augment: bool, colour_jitter: float = 0.0
    ) -> None:
        self.mixture, self.length, self.seed = mixture, length, seed
        self.augment, self.colour_jitter = augment, colour_jitter

    def __len__(self) -> int:
        """Chips in the stage."""
        return self.length

    def __getitem__(self, index: int) -> TrainingItem:
        """Draw a chip and its questions."""
        example, picked = self.mixture.draw(index)
        asked = Example(example.chip, picked)
        with suppress(DataError):  # `in_micro_batches` skips and names what cannot be decoded
            if self.augment:
                asked = dihedral(asked, symmetry_of(self.seed, index))
            if self.colour_jitter:
                asked = colour_jitter(asked, np.random.default_rng([self.seed, index]), self.colour_jitter)
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

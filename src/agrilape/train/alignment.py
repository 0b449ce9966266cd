"""Word alignment: in stage `align`, a visual token is drawn towards the word for the ground that it shows.

Next-token loss alone teaches a model trained from scratch to copy the last cell of a description long before
it looks at the image. Where the cover of every part of a chip is known (samples of the task `layout`),
projected visual features are therefore also classified directly against the language model's own input
embeddings. A token that resembles the word `maize` can then be read by anything that attends to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from agrilape.tokens import TrainingItem
from agrilape.tokens.packing import IGNORED
from agrilape.train.micro_batches import Collate

TEMPERATURE = 0.1  # of cosines, as wide as those of contrastive image-text training at its start


class AlignmentTargets:
    """Adds to a batch which words its visual tokens show: `cover`, `[images, rows, columns]` token ids.

    Args:
        collate: Makes the batch.
        tokenizer: Spells the words; of a word with several tokens the first counts.
    """

    def __init__(self, collate: Collate, tokenizer: Any) -> None:
        self.collate, self.tokenizer = collate, tokenizer
        self._ids: dict[str, int] = {}

    def __call__(self, items: Sequence[TrainingItem]) -> dict[str, Any]:
        """Make a batch; `cover` is skipped unless every chip is a still with a described cover."""
        batch = self.collate(items)
        grids = [_grid(item) for item in items]
        if all(grids) and len(batch["pixel_values"]) == len(items):
            batch["cover"] = torch.tensor([[[self._id(name) for name in row] for row in g] for g in grids])
        return batch

    def _id(self, name: str) -> int:
        if name not in self._ids:
            self._ids[name] = self.tokenizer(f" {name}", add_special_tokens=False)["input_ids"][0]
        return self._ids[name]


def _grid(item: TrainingItem) -> Sequence[Sequence[str]]:
    """The described cover of an item's chip, row by row; empty if none of its samples describes it."""
    return next((s.truth["grid"] for s in item.samples if s.truth.get("grid")), ())


def word_alignment(features: Tensor, cover: Tensor, embeddings: Tensor) -> Tensor:
    """Cross-entropy of visual tokens against the words that they show, by cosine over all words.

    Args:
        features: Projected visual features, `[images * G, D]` or `[images, G, D]`, G a square number.
        cover: Token ids of what is shown, `[images, rows, columns]`; each token takes the cell at its centre.
        embeddings: Input embeddings, `[V, D]`.
    """
    images, rows, columns = cover.shape
    features = features.reshape(images, -1, features.shape[-1])
    side = round(features.shape[1] ** 0.5)
    centres = (torch.arange(side, device=cover.device) + 0.5) / side
    wanted = cover[:, (centres * rows).long()][:, :, (centres * columns).long()]
    cosines = F.normalize(features.float(), dim=-1) @ F.normalize(embeddings.detach().float(), dim=-1).T
    return F.cross_entropy(cosines.flatten(0, 1) / TEMPERATURE, wanted.flatten(), ignore_index=IGNORED)

"""Sequences of a batch: padded rows, or several questions about the same images in one row.

In a packed row `[prefix][question 1][answer 1][question 2]...` each question sees the prefix and itself only,
and its positions go on from the prefix's, so that it is answered exactly as in a row of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

IGNORED = -100  # label that the losses of transformers leave out
_PACKABLE = frozenset(
    {
        "llava", "llava_next", "llava_onevision", "internvl", "smolvlm", "idefics3",
        "qwen2_vl", "qwen2_5_vl", "qwen3_vl",
    }
)  # fmt: skip


def packing_of(model: Any) -> torch.dtype | None:
    """Type of the 4-D attention mask with which a model takes packed rows.

    Left out are models with attention both ways between image tokens (PaliGemma, Gemma 3), and attention
    kernels without arbitrary masks.

    Returns:
        `torch.bool` for SDPA, the model's own type for eager attention, which adds the mask to the scores;
        None where each question needs a row of its own.
    """
    if model.config.model_type not in _PACKABLE:
        return None
    attention = model.config.get_text_config()._attn_implementation
    return {"sdpa": torch.bool, "eager": model.dtype}.get(attention)


def shares_prefixes(model: Any) -> bool:
    """May what a model computed of images serve several questions about them?

    Not where image tokens see the question (PaliGemma, Gemma 3), nor with other positions (Qwen-VL).
    """
    return model.config.model_type in _PACKABLE


@dataclass
class PackedSequence:
    """One sequence under construction.

    Attributes:
        ids: Vocabulary ids.
        labels: Wanted ids, -100 where there is nothing to learn.
        positions: Exact continuous index behind each position token among the labels, else NaN.
        segments: 0 for the prefix, k for the k-th question.
    """

    ids: list[int]
    labels: list[int] = field(init=False)
    positions: list[float] = field(init=False)
    segments: list[int] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the prefix, from which nothing is learnt."""
        self.labels = [IGNORED] * len(self.ids)
        self.positions = [math.nan] * len(self.ids)
        self.segments = [0] * len(self.ids)

    def ask(self, question: Sequence[int], answer: Sequence[int], positions: Sequence[float]) -> None:
        """Append a question with its answer; only the answer is learnt."""
        self.segments += [self.segments[-1] + 1] * (len(question) + len(answer))
        self.ids += [*question, *answer]
        self.labels += [*[IGNORED] * len(question), *answer]
        self.positions += [*[math.nan] * len(question), *positions]


def pad(rows: Sequence[Sequence[float]], value: float, multiple: int = 8, left: bool = False) -> torch.Tensor:
    """Stack rows of unequal length, `[B, L]` with L a multiple of a round number.

    Args:
        rows: Numbers of one type.
        value: What fills the rest, of the same type; decides between int64 and float32.
        multiple: L is rounded up to a multiple of this.
        left: Fill before the row (generation) instead of after it (training).
    """
    length = -(-max(map(len, rows)) // multiple) * multiple
    stacked = np.full((len(rows), length), value, dtype=np.float32 if isinstance(value, float) else np.int64)
    for target, row in zip(stacked, rows, strict=True):
        target[length - len(row) if left else 0 :][: len(row)] = row
    return torch.from_numpy(stacked)


def question_positions(segments: torch.Tensor) -> torch.Tensor:
    """Position ids: the prefix counts from 0, and each question on from the prefix's end.

    Args:
        segments: `[B, L]`, 0 for the prefix, k for the k-th question, -1 for padding.

    Returns:
        int64 `[B, L]`; 0 at padding.
    """
    here = torch.arange(segments.shape[1]).expand_as(segments)
    starts = torch.ones_like(segments, dtype=torch.bool)
    starts[:, 1:] = segments[:, 1:] != segments[:, :-1]
    since_start = here - torch.where(starts, here, 0).cummax(dim=1).values
    prefix = (segments == 0).sum(dim=1, keepdim=True)
    return torch.where(segments < 0, 0, since_start + prefix * (segments > 0))


def grid_positions(
    segments: torch.Tensor, prefixes: Sequence[Sequence[int]], image_token: int, grids: torch.Tensor
) -> torch.Tensor:
    """Position ids of Qwen-VL (M-RoPE): time, row and column of visual tokens, thrice the same for text.

    An image takes as many places as its longer side has tokens; see Wang et al. 2024, arXiv:2409.12191,
    section 2.1. Questions go on from the prefix's end, as in `question_positions`.

    Args:
        segments: `[B, L]`, 0 for the prefix, k for the k-th question, -1 for padding.
        prefixes: Vocabulary ids of each row's prefix.
        image_token: Id of the image placeholder.
        grids: Visual tokens of each image along time, height and width, `[images, 3]`, in order.

    Returns:
        int64 `[3, B, L]`; 0 at padding.
    """
    left = iter(grids.tolist())
    positions = question_positions(segments).repeat(3, 1, 1)
    for row, ids in enumerate(prefixes):
        placed, end = _prefix_positions(ids, image_token, left)
        positions[:, row, : len(ids)] = torch.from_numpy(placed)
        positions[:, row][:, segments[row] > 0] += end - len(ids)
    return positions


def _prefix_positions(
    ids: Sequence[int], image_token: int, grids: Iterator[list[int]]
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], int]:
    """Positions of a prefix, `[3, n]`, and the first one after it."""
    pieces, place, end = list[Any](), 0, 0
    while place < len(ids):
        if ids[place] == image_token:
            time, height, width = next(grids)
            pieces.append(np.indices((time, height, width)).reshape(3, -1) + end)
            place, end = place + time * height * width, end + max(height, width)
        else:
            pieces.append(np.full((3, 1), end))
            place, end = place + 1, end + 1
    return np.concatenate(pieces, axis=1), end


def question_mask(segments: torch.Tensor, dtype: torch.dtype = torch.bool) -> torch.Tensor:
    """Attention mask in which questions see the prefix and themselves, all causally.

    Nothing sees padding but padding, which must see something: attention to nothing at all is NaN.

    Args:
        segments: `[B, L]`, 0 for the prefix, k for the k-th question, -1 for padding.
        dtype: bool (True is seen) or a floating type (0 is seen, the type's minimum is not).

    Returns:
        `[B, 1, L, L]`.
    """
    length = segments.shape[1]
    segments = segments.to(torch.int16)  # narrow, because this is the largest tensor of the batch
    query, key = segments[:, None, :, None], segments[:, None, None, :]
    seen = (query == key).logical_or_(key == 0)
    seen &= torch.ones(length, length, dtype=torch.bool).tril()
    if dtype == torch.bool:
        return seen
    return torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min)

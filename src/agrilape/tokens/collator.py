"""Batches for training and for generation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch

from agrilape.dataset.types import Chip, Example, Sample
from agrilape.errors import DataError
from agrilape.tokens.chat import Chat, image_times
from agrilape.tokens.grammar import Coordinates
from agrilape.tokens.image_prefix import FEWER, Prefixes, distinct_chips, picture_sizes, read_prefixes
from agrilape.tokens.packing import (
    IGNORED,
    PackedSequence,
    grid_positions,
    pad,
    question_mask,
    question_positions,
)
from agrilape.tokens.position_codec import PositionCodec

Batch: TypeAlias = dict[str, Any]  # tensors, by the name of the model's argument
_Asked: TypeAlias = tuple[Chip, Sequence[Sample]]


class TrainingItem(NamedTuple):
    """A chip and the questions about it that one batch asks.

    Attributes:
        example: The chip with all its samples.
        samples: Those picked.
    """

    example: Example
    samples: Sequence[Sample]


class Collator:
    """Makes a batch of chips and questions.

    Args:
        processor: Hugging Face processor, with position tokens if `coordinates` says so.
        codec: Position tokens.
        coordinates: Notation of places and times.
        packing: Type of the 4-D mask, see `packing_of`: all questions about a chip in one row; None gives
            each question a row of its own.
        max_length: Longest row in tokens. A question that does not fit is skipped whole, never cut.
        share_images: Where each question needs a row of its own, give the images of a chip once all the same,
            and `chip_of_row`, for `agrilape.model.shared_images`.

    Attributes:
        chat: How chips and questions are written.
        dropped: Questions skipped so far because they did not fit (by this process).
        task_tokens: Tokens of the questions and answers written so far, by task (likewise).
    """

    def __init__(
        self,
        processor: Any,
        codec: PositionCodec,
        coordinates: Coordinates = "position_tokens",
        packing: torch.dtype | None = torch.bool,
        max_length: int = 4096,
        share_images: bool = False,
    ) -> None:
        self.chat = Chat(processor, codec, coordinates)
        self.packing = packing
        self.max_length = min(max_length, self.chat.context or max_length)
        self.share_images = share_images
        self.dropped = 0
        self.task_tokens: Counter[str] = Counter()
        self._prefix_lengths: dict[Any, int] = {}

    def length(self, item: tuple[Example, Sequence[Sample]]) -> int:
        """Tokens of the longest row that a chip and its questions become, visual tokens included.

        How many visual tokens there are is found out once for images of one size, so that it costs little.
        Dates in numerals may be a digit longer or shorter than counted.

        Raises:
            DataError: If an image cannot be opened.
        """
        example, samples = item
        chip = example.chip
        key = picture_sizes(chip), sum(t is not None for t in image_times(chip))
        if key not in self._prefix_lengths:
            self._prefix_lengths[key] = len(read_prefixes(self.chat, [chip]).ids[0])
        texts = [len(self.chat.question(s).ids) + len(self.chat.answer(s).ids) for s in samples]
        return self._prefix_lengths[key] + (max(texts, default=0) if self.packing is None else sum(texts))

    def rows(self, item: tuple[Example, Sequence[Sample]]) -> int:
        """Rows that a chip and its questions become: one, or one per question where they cannot share it."""
        return 1 if self.packing is not None else len(item[1])

    def __call__(self, items: Iterable[tuple[Example, Sequence[Sample]]]) -> Batch:
        """Make a training batch, padded on the right to a multiple of 8 tokens.

        Args:
            items: Chips and their picked questions.

        Returns:
            `input_ids` `[B, L]`; `labels` `[B, L]`, -100 outside answers, to be shifted by the model;
            `position_targets` float32 `[B, L]`, the exact index in bins behind each position token among the
            labels, else NaN; `attention_mask` `[B, L]`, or packed `[B, 1, L, L]` together with `position_ids`
            `[B, L]` (Qwen-VL: `[3, B, L]`, with either mask); `chip_of_row` `[B]`, which of the distinct
            chips each row shows, if images are shared; `image_times` float32 `[images]` in [0, 1], NaN for a
            still; `pixel_values` and whatever
            else the processor makes of the images.

        Raises:
            DataError: If no question fits.
        """
        asked: list[_Asked] = [(example.chip, samples) for example, samples in items if samples]
        if self.packing is None:
            asked = [(chip, (sample,)) for chip, samples in asked for sample in samples]
        rows, prefixes, chips = self._fitting_rows(asked)
        segments = pad([row.segments for row in rows], -1)
        return {
            "input_ids": pad([row.ids for row in rows], _pad_id(self.chat)),
            "labels": pad([row.labels for row in rows], IGNORED),
            "position_targets": pad([row.positions for row in rows], math.nan),
            **self._attention(segments),
            **self._positions(segments, prefixes, chips),
            **_per_token(self.chat, prefixes, rows),
            **prefixes.visual,
        }

    def _fitting_rows(self, asked: list[_Asked]) -> tuple[list[PackedSequence], Prefixes, list[Chip]]:
        """Rows of the questions that fit; a chip of which none does is skipped with its images."""
        prefixes = self._prefixes(asked)
        rows = [PackedSequence(list(ids)) for ids in prefixes.ids]
        fitting: list[_Asked] = []
        for row, (chip, samples) in zip(rows, asked, strict=True):
            fits = [sample for sample in samples if self._ask(row, sample)]
            if fits:
                fitting.append((chip, fits))
        self.dropped += sum(len(samples) for _, samples in asked) - sum(
            len(samples) for _, samples in fitting
        )
        if not fitting:
            longest, shown = max(map(len, prefixes.ids)), max(len(chip.pictures) for chip, _ in asked)
            raise DataError(
                f"no question of a batch fits into a row of {self.max_length:,} tokens: the images alone "
                f"take up to {longest:,}, {shown} of them",
                FEWER,
            )
        chips = [chip for chip, _ in fitting]
        if len(fitting) == len(asked):
            return rows, prefixes, chips
        rows = [row for row in rows if row.segments[-1] > 0]
        return rows, self._prefixes(fitting), chips

    def _prefixes(self, asked: Sequence[_Asked]) -> Prefixes:
        return read_prefixes(self.chat, [chip for chip, _ in asked], self.share_images)

    def _ask(self, row: PackedSequence, sample: Sample) -> bool:
        question, answer = self.chat.question(sample), self.chat.answer(sample)
        length = len(question.ids) + len(answer.ids)
        if len(row.ids) + length > self.max_length:
            return False
        self.task_tokens[sample.task] += length
        row.ask(question.ids, answer.ids, answer.positions)
        return True

    def _attention(self, segments: torch.Tensor) -> Batch:
        if self.packing is None:
            return {"attention_mask": (segments >= 0).long()}
        return {"attention_mask": question_mask(segments, self.packing)}

    def _positions(self, segments: torch.Tensor, prefixes: Prefixes, chips: Sequence[Chip]) -> Batch:
        """Position ids where the model would find others, and which images rows share."""
        found: Batch = {}
        distinct = distinct_chips(chips)
        number = {id(chip): i for i, chip in enumerate(distinct)}
        of_row = [number[id(chip)] for chip in chips]
        shared = self.share_images and len(distinct) < len(chips)
        if shared:
            found["chip_of_row"] = torch.tensor(of_row)
        if "image_grid_thw" in prefixes.visual:
            pictures = [len(chip.pictures) for chip in (distinct if shared else chips)]
            shown = of_row if shared else range(len(chips))
            found["position_ids"] = self._grid_positions(segments, prefixes, pictures, shown)
        elif self.packing is not None:
            found["position_ids"] = question_positions(segments)
        return found

    def _grid_positions(
        self, segments: torch.Tensor, prefixes: Prefixes, pictures: list[int], shown: Sequence[int]
    ) -> torch.Tensor:
        """Position ids of Qwen-VL, of chips with so many `pictures`, of which rows show the ones `shown`."""
        processor = self.chat.processor
        merge = processor.image_processor.merge_size
        grids = (prefixes.visual["image_grid_thw"] // torch.tensor([1, merge, merge])).split(pictures)
        by_row = torch.cat([grids[entry] for entry in shown])
        return grid_positions(segments, prefixes.ids, processor.image_token_id, by_row)


def prompt_batch(chat: Chat, items: Iterable[tuple[Example, Sequence[Sample]]]) -> Batch:
    """Make a batch for `generate`: one row per question, without answers, padded on the left.

    Pass `eos_token_id=chat.stop_id` to `generate` as well.

    Args:
        chat: How chips and questions are written; `Collator.chat`, or one's own.
        items: Chips and their questions.

    Returns:
        `input_ids` and `attention_mask` `[B, L]`, `image_times`, `pixel_values` and whatever else the
        processor makes of the images; rows in the order of the questions.
    """
    asked = [(example.chip, sample) for example, samples in items for sample in samples]
    prefixes = read_prefixes(chat, [chip for chip, _ in asked])
    rows = [PackedSequence(list(ids)) for ids in prefixes.ids]
    for row, (_, sample) in zip(rows, asked, strict=True):
        row.ask(chat.question(sample).ids, (), ())
    return {
        "input_ids": pad([row.ids for row in rows], _pad_id(chat), left=True),
        "attention_mask": pad([[1] * len(row.ids) for row in rows], 0, left=True),
        **_per_token(chat, prefixes, rows, left=True),
        **prefixes.visual,
    }


class SharedPrompts(NamedTuple):
    """Prompts of several questions about each of several chips, the part before the questions once per chip.

    Attributes:
        prefixes: What a model's `forward` takes of the chips: `[chips, P]` tokens, padded on the left.
        questions: `input_ids` and `attention_mask` `[questions, P + Q]` for `generate`: a chip's prefix and a
            question, each padded on the left.
        owners: Of each question, the number of its chip.
    """

    prefixes: Batch
    questions: Batch
    owners: list[int]


def shared_prompts(chat: Chat, asked: Sequence[tuple[Example, Sample]]) -> SharedPrompts:
    """As `prompt_batch`, for a model that keeps what it computed of a chip's images for all its questions.

    Args:
        chat: How chips and questions are written.
        asked: Questions, each with its chip; those about one chip with the same object.
    """
    chips = {id(example): example.chip for example, _ in asked}
    numbers = {key: number for number, key in enumerate(chips)}
    owners = [numbers[id(example)] for example, _ in asked]
    prefixes = read_prefixes(chat, list(chips.values()))
    rows = [PackedSequence(list(ids)) for ids in prefixes.ids]
    questions = [chat.question(sample).ids for _, sample in asked]
    pad_id = _pad_id(chat)
    images = pad([row.ids for row in rows], pad_id, left=True)
    seen = pad([[1] * len(row.ids) for row in rows], 0, left=True)
    words, said = pad(questions, pad_id, left=True), pad([[1] * len(ids) for ids in questions], 0, left=True)
    return SharedPrompts(
        {
            "input_ids": images,
            "attention_mask": seen,
            **_per_token(chat, prefixes, rows, left=True),
            **prefixes.visual,
        },
        {
            "input_ids": torch.cat([images[owners], words], dim=1),
            "attention_mask": torch.cat([seen[owners], said], dim=1),
        },
        owners,
    )


def _pad_id(chat: Chat) -> int:
    """What fills up rows; never attended to, so any token but the image placeholder will do."""
    pad_id = chat.tokenizer.pad_token_id
    return chat.stop_id if pad_id is None else int(pad_id)


def _per_token(chat: Chat, prefixes: Prefixes, rows: Sequence[PackedSequence], left: bool = False) -> Batch:
    """Extend what the processor said of the prefix's tokens to the text that follows.

    Questions are 0, plain text; answers are what the family calls them.
    """
    answer = {"token_type_ids": chat.format.answer_type}
    return {
        name: pad(
            [
                [*said, *(answer.get(name, 0) * (label != IGNORED) for label in row.labels[len(said) :])]
                for said, row in zip(values, rows, strict=True)
            ],
            0,
            left=left,
        )
        for name, values in prefixes.per_token.items()
    }

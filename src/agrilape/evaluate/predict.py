"""Answers of a checkpoint to samples, in batches of alike questions."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any, NamedTuple, cast

import torch

from agrilape.config.lape import LapeConfig
from agrilape.evaluate.rows import Prediction
from agrilape.model import Checkpoint
from agrilape.samples.types import Example, Sample
from agrilape.tokens import Chat, Coordinates, PositionCodec, parse, prompt_batch

MAX_NEW_TOKENS = 128  # a layout of 16 cells takes about 60, eight boxes take 48


class Question(NamedTuple):
    """One question, by where it stands, with what makes it like another in length.

    Attributes:
        pictures: Images of its chip.
        task: Its task, which decides how long answers are.
        chip: Index of the example.
        sample: Index of the sample in the example.
    """

    pictures: int
    task: str
    chip: int
    sample: int


def predict_samples(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    *,
    batch_size: int = 64,
    max_new_tokens: int = MAX_NEW_TOKENS,
    done: Container[str] = (),
) -> Iterator[list[Prediction]]:
    """Answer every sample, greedily.

    Questions with as many images and of one task share a batch, so that little is padded and answers end
    together; within a task those about one chip stay together, so that its image is decoded once.

    Args:
        checkpoint: Model and processor.
        examples: Chips and questions; only those of a batch are held at once.
        batch_size: Questions per batch.
        max_new_tokens: Longest answer in tokens; longer ones are cut and read as far as they go.
        done: Ids of samples to leave out.

    Yields:
        The answers of each batch.
    """
    chat = chat_of(checkpoint)
    checkpoint.model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    questions = sorted(
        Question(len(example.chip.pictures), sample.task, chip, number)
        for chip, example in enumerate(examples)
        for number, sample in enumerate(example.samples)
        if sample.id not in done
    )
    for batch in _alike(questions, batch_size):
        asked = _fetch(examples, batch)
        texts = generate(checkpoint.model, chat, asked, max_new_tokens)
        yield [
            _row(chat, example, sample, text) for (example, sample), text in zip(asked, texts, strict=True)
        ]


def chat_of(checkpoint: Checkpoint) -> Chat:
    """How a checkpoint's model is spoken to; one without LAPE knows numerals only."""
    config = checkpoint.config or LapeConfig()
    coordinates = cast(Coordinates, checkpoint.coordinates) if checkpoint.config else "numerals"
    return Chat(checkpoint.processor, PositionCodec(config), coordinates)


@torch.inference_mode()
def generate(
    model: Any, chat: Chat, asked: Sequence[tuple[Example, Sample]], max_new_tokens: int = MAX_NEW_TOKENS
) -> list[str]:
    """Texts that a model answers to questions, in one batch."""
    batch = prompt_batch(chat, [(example, (sample,)) for example, sample in asked])
    inputs = {name: value.to(model.device) for name, value in batch.items()}
    output = model.generate(
        **inputs,
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=chat.stop_id,
        pad_token_id=chat.stop_id,
    )
    answers = output[:, inputs["input_ids"].shape[1] :].tolist()
    return [
        chat.tokenizer.decode(_until(answer, chat.stop_id), skip_special_tokens=True) for answer in answers
    ]


def _alike(questions: Sequence[Question], size: int) -> Iterator[Sequence[Question]]:
    """Batches that never mix tasks or numbers of images."""
    start = 0
    for end in range(1, len(questions) + 1):
        full = end - start == size
        if end == len(questions) or full or questions[end][:2] != questions[start][:2]:
            yield questions[start:end]
            start = end


def _fetch(examples: Sequence[Example], batch: Sequence[Question]) -> list[tuple[Example, Sample]]:
    chips = {index: examples[index] for index in dict.fromkeys(question.chip for question in batch)}
    return [(chips[question.chip], chips[question.chip].samples[question.sample]) for question in batch]


def _row(chat: Chat, example: Example, sample: Sample, text: str) -> Prediction:
    read = parse(text, chat.codec, chat.coordinates)
    return Prediction.of(example.chip, sample, read.parts, text.strip(), read.problems)


def _until(ids: list[int], stop: int) -> list[int]:
    return ids[: ids.index(stop)] if stop in ids else ids

"""Answers of a checkpoint to samples, in batches of alike questions."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, cast

import torch

from agrilape.config.lape import LapeConfig
from agrilape.config.recipe import EvaluationConfig
from agrilape.dataset.types import Example, Sample
from agrilape.evaluate.confidence import AnswerScores, confidences, read_coordinate
from agrilape.evaluate.metrics.calibration import interval_ends
from agrilape.evaluate.predictions import Intervals, Prediction
from agrilape.model import Checkpoint, lape_of
from agrilape.model.attach import context_of
from agrilape.tokens import (
    Chat,
    Coordinates,
    ParsedMessage,
    PositionCodec,
    PositionIds,
    prompt_batch,
    shared_prompts,
    shares_prefixes,
)
from agrilape.tokens.collator import Batch
from agrilape.tokens.decode import (
    CoordinateGrammar,
    expected_positions,
    read_answers,
    read_positions,
    token_probabilities,
)
from agrilape.tokens.grammar import coordinates_of
from agrilape.tokens.library_errors import explained, name_and_width

MAX_NEW_TOKENS = 128  # a layout of 16 cells takes about 60, eight boxes take 48


class Question(NamedTuple):
    """One question, by where it stands, with what makes it like another in length.

    Attributes:
        pictures: Images of its chip.
        task: Its task, which decides how long answers are.
        chip: Index of the example.
        sample: Index of the sample in the example.
        id: Id of the sample.
    """

    pictures: int
    task: str
    chip: int
    sample: int
    id: str


class Decoding(NamedTuple):
    """How answers are generated and read.

    Attributes:
        max_new_tokens: Longest answer in tokens; longer ones are cut and read as far as they go.
        soft_argmax: Read each position from the distribution over its axis instead of its likeliest token,
            and how sure the model is of each answer.
        constrained_decoding: Write only well-formed coordinates.
        outlines: May an outline be among them?
    """

    max_new_tokens: int = MAX_NEW_TOKENS
    soft_argmax: bool = False
    constrained_decoding: bool = False
    outlines: bool = True

    @classmethod
    def of(cls, settings: EvaluationConfig) -> Decoding:
        """As an evaluation asks for."""
        return cls(soft_argmax=settings.soft_argmax, constrained_decoding=settings.constrained_decoding)


GREEDY = Decoding()


class BatchShare(NamedTuple):
    """Every `step`-th batch from the `first` on: what one process of several answers."""

    first: int = 0
    step: int = 1


ALL = BatchShare()


def predict_samples(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    *,
    batch_size: int = 64,
    decoding: Decoding = GREEDY,
    done: Container[str] = (),
    share: BatchShare = ALL,
    device: torch.device | None = None,
) -> Iterator[list[Prediction]]:
    """Answer every sample, greedily.

    Questions with as many images and of one task share a batch, so that little is padded and answers end
    together; within a task those about one chip stay together, so that its image is decoded once. No answer
    depends on what is done or on the share: batches are composed of all questions, and one of which some are
    done is answered whole once more.

    Args:
        checkpoint: Model and processor.
        examples: Chips and questions; only those of a batch are held at once.
        batch_size: Questions per batch.
        decoding: How answers are generated and read.
        done: Ids of samples to leave out.
        share: Which of the batches to answer.
        device: Where the model computes; None: on the GPU if there is one.

    Yields:
        The answers of each batch.
    """
    answerer = Answerer(checkpoint, decoding, device)
    answerer.settle(examples)
    questions = sorted(
        Question(len(example.chip.pictures), sample.task, chip, number, sample.id)
        for chip, example in enumerate(examples)
        for number, sample in enumerate(example.samples)
    )
    batches = (b for b in _alike(questions, batch_size) if any(one.id not in done for one in b))
    for batch in islice(batches, share.first, None, share.step):
        asked = _fetch(examples, batch)
        yield [
            Prediction.of(
                example.chip,
                sample,
                one.read.parts,
                one.text,
                one.read.problems,
                one.intervals,
                one.confidence,
            )
            for (example, sample), one in zip(asked, answerer(asked), strict=True)
            if sample.id not in done
        ]


class Answer(NamedTuple):
    """What a model answered.

    Attributes:
        text: As it wrote it.
        read: What that says.
        intervals: How sure it was of each coordinate of each shape, see `Prediction.intervals`.
        confidence: How sure it was of each shape or of its words, see `Prediction.confidence`.
    """

    text: str
    read: ParsedMessage
    intervals: Intervals = ()
    confidence: tuple[float, ...] = ()


class Answerer:
    """Asks a checkpoint's model, on the GPU if there is one and nothing else is said.

    Args:
        checkpoint: Model and processor; without LAPE, places are written as text.
        decoding: How answers are generated and read.
        device: Where the model computes.
    """

    def __init__(
        self, checkpoint: Checkpoint, decoding: Decoding = GREEDY, device: torch.device | None = None
    ) -> None:
        self.model = checkpoint.model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()
        config = checkpoint.config or LapeConfig()
        coordinates = cast(Coordinates, checkpoint.coordinates) if checkpoint.config else "text"
        self.chat = Chat(checkpoint.processor, PositionCodec(config), coordinates, context_of(self.model))
        self.decoding = decoding
        self._positions = None
        if coordinates == "position_tokens" and config.token_ids is not None:
            self._positions = PositionIds(config.token_ids)
        self._rules = None
        if decoding.constrained_decoding and self._positions is not None:
            corners = {} if decoding.outlines else {"max_vertices": 0}
            self._rules = CoordinateGrammar(self.chat.tokenizer, self._positions, **corners)

    def settle(self, examples: Sequence[Example]) -> None:
        """Let LAPE see the first example, if it never saw an image.

        The first features that it sees fix the scale of its injection. Those of a checkpoint without training
        would else be those of whatever a process is asked first, and every answer would depend on them.
        """
        lape = lape_of(self.model)
        if lape is not None and lape.injects and not lape.calibrated:
            first = next((example for example in examples if example.samples), None)
            if first is not None:
                self([(first, first.samples[0])])

    @torch.no_grad()  # not inference_mode: a model that is asked during training goes on training
    def __call__(self, asked: Sequence[tuple[Example, Sample]]) -> list[Answer]:
        """The answer to each question, all in one batch."""
        with explained(*name_and_width(self.model)):
            inputs = self._inputs(asked)
            length = inputs["input_ids"].shape[1]
            output = self.model.generate(
                **inputs,
                do_sample=False,
                max_new_tokens=self.decoding.max_new_tokens,
                eos_token_id=self.chat.stop_id,
                pad_token_id=self.chat.stop_id,
                logits_processor=self._grammar(length),
                return_dict_in_generate=True,
                output_scores=self.decoding.soft_argmax,
            )
        answers = output.sequences[:, length:]
        if not self.decoding.soft_argmax:
            return [Answer(*one) for one in read_answers(self.chat, answers)]
        return self._read(answers, output.scores)

    def _inputs(self, asked: Sequence[tuple[Example, Sample]]) -> dict[str, Any]:
        """What `generate` is given; of a chip that is asked about several times, images are seen once."""
        chips = {id(example) for example, _ in asked}
        if len(chips) == len(asked) or not shares_prefixes(self.model):
            return self._on_device(prompt_batch(self.chat, [(one, (sample,)) for one, sample in asked]))
        prompts = shared_prompts(self.chat, asked)
        prefixes = self._on_device(prompts.prefixes)
        positions = (prefixes["attention_mask"].cumsum(dim=-1) - 1).clamp(min=0)
        seen = self.model(**prefixes, position_ids=positions, use_cache=True, logits_to_keep=1)
        owners = torch.tensor(prompts.owners, device=self.model.device)
        seen.past_key_values.batch_select_indices(owners)
        return {**self._on_device(prompts.questions), "past_key_values": seen.past_key_values}

    def _on_device(self, batch: Batch) -> Batch:
        if lape_of(self.model) is None:
            batch = {name: value for name, value in batch.items() if name != "image_times"}  # LAPE's alone
        return {name: value.to(self.model.device) for name, value in batch.items()}

    def _read(self, answers: torch.Tensor, scores: Sequence[torch.Tensor]) -> list[Answer]:
        """Answers `[B, T]` with what their scores, T tensors `[B, V]`, say of places and of certainty."""
        tokens = [
            row[:length]
            for row, length in zip(
                token_probabilities(answers, scores).tolist(), self._lengths(answers), strict=True
            )
        ]
        if self._positions is None:
            return [
                Answer(text, read, confidence=confidences(read, AnswerScores(row, (), ())))
                for (text, read), row in zip(read_answers(self.chat, answers), tokens, strict=True)
            ]
        expected = expected_positions(answers, scores, self._positions)
        ends = read_positions(answers, scores, self._positions, _interval_ends)
        drawn = read_positions(answers, scores, self._positions, _coordinates)
        axes, _ = self._positions.lookup(answers)
        steps = [row.nonzero()[:, 0].tolist() for row in axes >= 0]
        return [
            Answer(text, read, _intervals(read, own_ends), confidences(read, AnswerScores(*own_scores)))
            for (text, read), own_ends, *own_scores in zip(
                read_answers(self.chat, answers, expected), ends, tokens, steps, drawn, strict=True
            )
        ]

    def _lengths(self, answers: torch.Tensor) -> list[int]:
        """Tokens of each answer, the one that ends it included."""
        ended = answers == self.chat.stop_id
        lengths = torch.where(ended.any(dim=1), ended.int().argmax(dim=1) + 1, answers.shape[1])
        return list(lengths.tolist())

    def _grammar(self, length: int) -> list[CoordinateGrammar]:
        """What holds answers to prompts of so many tokens to well-formed coordinates, if anything does."""
        return [] if self._rules is None else [self._rules.until(length + self.decoding.max_new_tokens)]


def _interval_ends(scores: torch.Tensor) -> torch.Tensor:
    """Ends of the central intervals of distributions over an axis `[n, N]`, as fractions of the axis."""
    ends = interval_ends(scores.float().softmax(dim=-1).cpu().numpy())
    return torch.from_numpy(ends / (scores.shape[-1] - 1)).round(decimals=4)


def _coordinates(scores: torch.Tensor) -> torch.Tensor:
    """What confidences are made of, from scores over an axis `[n, N]`."""
    return torch.from_numpy(read_coordinate(scores.float().softmax(dim=-1).cpu().numpy()))


def _intervals(read: ParsedMessage, ends: Sequence[Sequence[float]]) -> Intervals:
    """The intervals of those coordinates that belong to well-formed shapes."""
    return tuple(
        tuple(tuple(ends[first + number]) for number in range(len(coordinates_of(shape))))
        for first, shape in zip(read.firsts, read.shapes, strict=True)
    )


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

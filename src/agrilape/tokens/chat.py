"""Chats about a chip, in the words of any processor's own chat template.

A prompt has two pieces. The *prefix* is what all questions about a chip share: the start of the conversation
and the images, each preceded by its date. The *question* follows: the words, and the end of the user's turn.
A third piece is the *answer* with the token that ends the turn. Each is tokenised on its own, in training and
in generation alike, so that a label can never slip by a token.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from transformers import PaliGemmaProcessor

from agrilape.dataset.types import Chip, Sample
from agrilape.errors import ModelError
from agrilape.geo.shapes import Instant, Part
from agrilape.tokens.grammar import Coordinates, render, spell
from agrilape.tokens.library_errors import rendered
from agrilape.tokens.position_codec import PositionCodec
from agrilape.tokens.vocabulary import tokenizer_of

_QUESTION, _ANSWER = "QQQuestionQQ", "AAAnswerAA"  # stand-ins that show where a template puts the words
_NO_LIMIT = 10**9  # what tokenizers that know no limit say is far beyond
_MOST_TEXTS = 65536  # tokenised texts kept in memory; questions repeat, so nearly all are found there
# PaliGemma's prompt is images and words; its processor puts the marks between and after them.
_PALIGEMMA_TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
)


class Tokens(NamedTuple):
    """A tokenised piece.

    Attributes:
        ids: Vocabulary ids.
        positions: For each, the exact continuous index u behind a position token; NaN for any other token.
    """

    ids: list[int]
    positions: list[float]


@dataclass(frozen=True)
class ChatFormat:
    """What a chat template puts around the words of one question and its answer.

    Attributes:
        head: Before the first image.
        image: One image, as the template spells it.
        gap: Between the last image and the question.
        middle: From the end of the question to where the model begins to write.
        lead: Between there and the answer's first word, often a blank.
        end: After the answer.
        appended: What the processor itself writes after a text that ends with an image.
        answer_type: What `token_type_ids` says of an answer's tokens, where the processor makes any.
    """

    head: str
    image: str
    gap: str
    middle: str
    lead: str
    end: str
    appended: str = ""
    answer_type: int = 0


def read_chat_format(processor: Any) -> ChatFormat:
    """Learn a processor's chat format by rendering its template around known words.

    PaliGemma needs no template. Its processor writes the token that begins a text between images and words,
    and a line break after the words; `token_type_ids` tell the prompt, which is seen both ways, from the
    answer.

    Raises:
        ModelError: If there is no template, or it does not place the images before the text.
    """
    is_paligemma = isinstance(processor, PaliGemmaProcessor)
    if getattr(processor, "chat_template", None) is None and not is_paligemma:
        raise ModelError(
            f"{type(processor).__name__} has no chat template",
            "Set processor.chat_template to the one the model was trained with, then try again.",
        )
    if not getattr(processor, "image_token", None) or not hasattr(processor, "image_processor"):
        raise ModelError(
            f"{type(processor).__name__} does not prepare images",
            "Take a vision-language model's processor: preprocessor_config.json lies beside the tokenizer.",
        )
    one, middle = _render(processor, images=1)
    two, _ = _render(processor, images=2)
    head, image, gap = _around_image(one, two, processor.image_token)
    _, rest = _render(processor, images=1, answer=_ANSWER)
    between, end = _parted(rest, _ANSWER, "answer")
    lead = between[len(middle) :] if between.startswith(middle) else ""
    form = ChatFormat(head, image, gap, middle, lead, end)
    if not is_paligemma:
        return form
    start = processor.tokenizer.bos_token
    return replace(form, gap=start + gap, middle=f"{middle}\n", appended=f"{start}\n", answer_type=1)


def _around_image(one: str, two: str, image_token: str) -> tuple[str, str, str]:
    """Split a prompt with one image into what is before, of and after the image, by one with two images.

    The image is what the second prompt repeats. White space that may belong before or after it goes after.
    """
    length = len(two) - len(one)
    for start in range(len(one)):
        end = start + length
        image = one[start:end]
        if image_token in image and not image[0].isspace() and one[:end] + image + one[end:] == two:
            return one[:start], image, one[end:]
    raise ModelError(
        "the chat template does not place images one after the other before the text",
        "Use a chat template that does; LLaVA's is a good example.",
    )


def _render(processor: Any, images: int, answer: str | None = None) -> tuple[str, str]:
    """Text before and after the question, up to the answer that is to be written or with the one given."""
    content = [{"type": "image"}] * images + [{"type": "text", "text": _QUESTION}]
    turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if answer is not None:
        turns.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    text = rendered(
        processor,
        lambda: processor.apply_chat_template(
            turns,
            chat_template=None if processor.chat_template else _PALIGEMMA_TEMPLATE,
            add_generation_prompt=answer is None,
            tokenize=False,
        ),
    )
    return _parted(text, _QUESTION, "question")


def _parted(text: str, words: str, what: str) -> tuple[str, str]:
    """What a template puts before and after some words, which it must repeat once as they are."""
    parts = text.split(words)
    if len(parts) != 2:
        raise ModelError(
            f"the chat template shows the {what} {len(parts) - 1} times, instead of once as it is",
            "Use a chat template that writes each message's text as it is; LLaVA's is a good example.",
        )
    return parts[0], parts[1]


class Chat:
    """Writes chips, questions and answers as a processor's model reads them.

    Args:
        processor: Hugging Face processor with a tokenizer, an image processor and a chat template.
        codec: Position tokens; in the tokenizer already, if that is how coordinates are spelled.
        coordinates: Notation of places and times.
        context: Most tokens that the model takes; None: as the tokenizer says, if it does.

    Attributes:
        context: Most tokens of a prompt; None for any number.
        stop_id: Vocabulary id that ends an answer.
        image_id: Vocabulary id of the image placeholder.

    Raises:
        ModelError: If the processor lacks any of these.
    """

    def __init__(
        self,
        processor: Any,
        codec: PositionCodec,
        coordinates: Coordinates = "position_tokens",
        context: int | None = None,
    ) -> None:
        self.processor = processor
        self.tokenizer = tokenizer_of(processor)
        self.coordinates: Coordinates = coordinates
        self.codec = codec
        known = (context, getattr(self.tokenizer, "model_max_length", None))
        self.context = min((limit for limit in known if limit and limit < _NO_LIMIT), default=None)
        self.format = read_chat_format(processor)
        self._image_token: str = processor.image_token
        self.image_id = int(self.tokenizer.convert_tokens_to_ids(self._image_token))
        # Plain dictionaries, not lru_cache, so that a collator can be sent to data-loader processes.
        self._text_ids: dict[str, tuple[int, ...]] = {}
        self._position_ids: dict[str, int] = {}
        self.stop_id = self._stop_id()
        self.appended_ids = self._encode(self.format.appended) if self.format.appended else ()
        # What the template writes between the last image's placeholder and the question.
        self._after_image = self.format.image.rpartition(self._image_token)[2] + self.format.gap

    def prefix(self, chip: Chip) -> str:
        """Text up to the last image's placeholder, one placeholder per image.

        Each dated image of a chip with a time window is preceded by its instant.
        """
        dates = [
            "" if t is None else render((Instant(t),), self.codec, self.coordinates)
            for t in image_times(chip)
        ]
        text = self.format.head + "".join(date + self.format.image for date in dates)
        return text[: text.rindex(self._image_token) + len(self._image_token)]

    def question(self, sample: Sample) -> Tokens:
        """What follows the last image, up to where the model begins to write."""
        return self._tokenise((self._after_image, *self._clean(sample.question), self.format.middle))

    def answer(self, sample: Sample) -> Tokens:
        """The answer and the token that ends it."""
        ids, positions = self._tokenise((self.format.lead, *self._clean(sample.answer)))
        return Tokens([*ids, self.stop_id], [*positions, math.nan])

    def _clean(self, parts: Iterable[Part]) -> list[Part]:
        """Words that happen to spell the image placeholder must not ask for an image."""
        return [part.replace(self._image_token, "") if isinstance(part, str) else part for part in parts]

    def _tokenise(self, parts: Iterable[Part]) -> Tokens:
        """Tokenise text between coordinates as a whole, and each coordinate on its own."""
        result, text = Tokens([], []), ""
        for piece in spell(parts, self.codec, self.coordinates):
            if piece.axis is None or piece.position is None:
                text += piece.text
                continue
            self._append_text(result, text)
            text = ""
            if self.coordinates == "text":
                for digit in piece.text:
                    self._append_text(result, digit)
            else:
                result.ids.append(self._position_id(piece.text))
                result.positions.append(piece.position)
        self._append_text(result, text)
        return result

    def _append_text(self, result: Tokens, text: str) -> None:
        ids = self._encode(text) if text else ()
        result.ids.extend(ids)
        result.positions.extend([math.nan] * len(ids))

    def _encode(self, text: str) -> tuple[int, ...]:
        ids = self._text_ids.get(text)
        if ids is None:
            if len(self._text_ids) >= _MOST_TEXTS:
                self._text_ids.clear()
            ids = self._text_ids[text] = self._encode_text(text)
        return ids

    def _position_id(self, token: str) -> int:
        if token not in self._position_ids:
            found = self._single_id(token)
            if found is None:
                raise ModelError(
                    f"the tokenizer does not know the position token {token}",
                    "Call add_position_tokens(processor, config) first, or write coordinates as text.",
                )
            self._position_ids[token] = found
        return self._position_ids[token]

    def _encode_text(self, text: str) -> tuple[int, ...]:
        """Tokenise text as it is in the middle of a sequence.

        The image placeholder in front keeps tokenizers that treat the start of a text specially (a blank, a
        first-piece mark) from doing so.
        """
        if len(text) == 1 and text.isdigit() and (digit := self._single_id(text)) is not None:
            return (digit,)
        ids = self.tokenizer(self._image_token + text, add_special_tokens=False)["input_ids"]
        return tuple(ids[ids.index(self.image_id) + 1 :])

    def _single_id(self, text: str) -> int | None:
        """Id of a token by its text; None if the vocabulary has none."""
        found: int | None = self.tokenizer.convert_tokens_to_ids(text)
        return None if found == self.tokenizer.unk_token_id else found

    def _stop_id(self) -> int:
        """The template's own end of turn, else the tokenizer's end of sequence."""
        special = {i for i, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        ends = [token for token in self._encode_text(self.format.end) if token in special]
        stop = ends[0] if ends else self.tokenizer.eos_token_id
        if stop is None:
            raise ModelError(
                "the tokenizer has no token that ends an answer",
                "Set tokenizer.eos_token to one of its tokens.",
            )
        return int(stop)


def image_times(chip: Chip) -> list[float | None]:
    """Time of each image in [0, 1] of the chip's window; None for one that has no time."""
    instants = [chip.instant(number) for number in range(len(chip.pictures))]
    return [instant and instant.t for instant in instants]

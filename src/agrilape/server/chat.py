"""OpenAI's chat completions: an image and a question without a map, answered in fractions of the image."""

from __future__ import annotations

import base64
import binascii
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.errors import AgrilapeError, DataError
from agrilape.evaluate.inference import Answer
from agrilape.evaluate.predictions import words
from agrilape.geo.shapes import Box, Part, Point
from agrilape.io.pictures import encoded, picture_size
from agrilape.serve.question import Question, understand, verbatim
from agrilape.serve.training_questions import Training
from agrilape.server.problems import RequestError

MOST_IMAGES = 16
_DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)
_NUMBER = r"\s*([01](?:\.\d+)?|\.\d+)\s*"
_SHAPE = re.compile(rf"\[{_NUMBER},{_NUMBER}(?:,{_NUMBER},{_NUMBER})?\]")


class ImageUrl(BaseModel):
    """Where an image is: in the URL itself."""

    url: str = Field(description="data:image/png;base64,... ; nothing is fetched.")


class TextPart(BaseModel):
    """Text of a message."""

    type: Literal["text"]
    text: str = Field(max_length=10_000)


class ImagePart(BaseModel):
    """An image of a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


class Message(BaseModel):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart | ImagePart] | None = None


class ChatRequest(BaseModel):
    """What OpenAI's clients send; what a greedy model cannot follow, such as a temperature, is ignored."""

    model_config = ConfigDict(extra="allow")

    model: str = ""
    messages: list[Message] = Field(min_length=1, max_length=100)
    stream: bool = False


def chat_example(request: ChatRequest, training: Training, most_pixels: int) -> Example:
    """The last question of a conversation, with the images of it and of what was said before.

    Places in a question stand in brackets, as fractions of the image: `[x, y]`, or `[left, top, right,
    bottom]`.

    Raises:
        RequestError: There is no image or no question, or an image cannot be read or is too large.
    """
    asked = [message for message in request.messages if message.role == "user"]
    parts = [part for message in asked for part in _parts(message)]
    pictures = [_picture(part.image_url.url, most_pixels) for part in parts if isinstance(part, ImagePart)]
    said = (
        " ".join(part.text for part in _parts(asked[-1]) if isinstance(part, TextPart)).strip()
        if asked
        else ""
    )
    if not pictures or not said:
        raise RequestError(
            422,
            "a user's message has no image or no question",
            "send both: an image_url with a data URL, and text",
        )
    if len(pictures) > MOST_IMAGES:
        raise RequestError(422, f"{len(pictures)} images are too many", f"send {MOST_IMAGES} or less")
    chip = Chip("chat", "chat", "chat", tuple(pictures))
    task, question = _question(said, training, chip)
    return Example(chip, (Sample("0", chip.id, task, question, ()),))


def _parts(message: Message) -> list[TextPart | ImagePart]:
    if isinstance(message.content, str):
        return [TextPart(type="text", text=message.content[:10_000])]
    return message.content or []


def _picture(url: str, most_pixels: int) -> Picture:
    if not (begin := _DATA_URL.match(url)):
        raise RequestError(
            422, "an image is no data URL", "nothing is fetched; send data:image/png;base64,..."
        )
    try:
        data = base64.b64decode(url[begin.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(422, "an image is no valid base64", "encode its bytes with base64") from error
    try:
        width, height = picture_size(data, "the image")
        if width * height > most_pixels:
            raise RequestError(
                413, f"an image of {width} x {height} pixels is too large", "send a smaller one"
            )
        return Picture(encoded(data, "the image")[0])
    except RequestError:
        raise
    except AgrilapeError as error:
        raise RequestError(422, error.problem, error.remedy) from error


def _question(said: str, training: Training, chip: Chip) -> tuple[str, tuple[Part, ...]]:
    """The task of a question, and its parts, in the wording of the training where that is recognised."""
    shapes = [_shape(found) for found in _SHAPE.finditer(said)]
    points = [shape for shape in shapes if isinstance(shape, Point)]
    try:
        known: Question = understand(_SHAPE.sub("0.5, 0.5", said), training.crops).for_model(training)
        if len(points) == len(shapes) == len(known.places):
            return known.task or "question", known.parts("en", points, chip)
    except DataError:
        pass
    parts: list[Part] = []
    end = 0
    for found in _SHAPE.finditer(said):
        parts += [said[end : found.start()], _shape(found)]
        end = found.end()
    parts.append(said[end:])
    task = verbatim(said).task or "question"
    return task, tuple(part for part in parts if part != "")


def _shape(found: re.Match[str]) -> Point | Box:
    numbers = [float(number) for number in found.groups() if number is not None]
    return Point(*numbers) if len(numbers) == 2 else Box(*numbers)


def completion(answer: Answer, model: str) -> dict[str, Any]:
    """An answer as OpenAI's clients read it; places in brackets, as fractions of the image."""
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": words(answer.read.parts)},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        "confidence": [round(one, 4) for one in answer.confidence],
    }


def chunks(answer: Answer, model: str) -> Iterator[dict[str, Any]]:
    """The same in pieces, word by word: batches are generated together, and end together."""
    whole = completion(answer, model)
    base = {key: whole[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}

    def chunk(delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
        return {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}]}

    yield chunk({"role": "assistant", "content": ""})
    for piece in _pieces(whole["choices"][0]["message"]["content"]):
        yield chunk({"content": piece})
    yield chunk({}, "stop")


def _pieces(text: str) -> Sequence[str]:
    return re.findall(r"\s*\S+", text)

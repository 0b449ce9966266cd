"""Conversations as LLaVA and its many descendants write them: turns of `human` and `gpt`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agrilape.prepare.formats.box_text import Notation
from agrilape.prepare.formats.coordinate_conventions import Size
from agrilape.prepare.formats.example_rows import RowQuestion

IMAGE = "<image>"
_TAG = re.compile(r"^\s*(?:\[([A-Za-z_]+)\])?\s*")
_MARKS = re.compile(r"</?(?:p|ref)>|<image>|<video>|\bImage \d+: (?=<image>)")
# What a question without a tag says, and its task.
_TELLING = (
    ("answer the question using a single word", "vqa"),
    ("answer in one word", "vqa"),
    ("classify the", "classify"),
    ("describe", "caption"),
    ("description", "caption"),
)


def turns(
    conversations: Sequence[Mapping[str, Any]],
    notation: Notation,
    size: Size,
    task: str | None = None,
    origin: Mapping[str, Any] | None = None,
) -> Iterator[RowQuestion]:
    """Each turn of a person with the answer to it. What was said before a turn does not go with it.

    Marks of pictures and of phrases (`<p>...</p>`) are skipped; so is a tag (`[refer]`), which is the task.

    Args:
        conversations: Turns in order, `human` and `gpt` by turns.
        notation: How boxes are written.
        size: Of the picture.
        task: Task of all turns; None to tell it from each question.
        origin: For provenance.

    Raises:
        ValueError: The order is another one, a turn is empty, or a box is damaged.
    """
    if not isinstance(conversations, list) or not conversations or len(conversations) % 2:
        raise ValueError("the conversation does not consist of questions with answers")
    for number, (asked, said) in enumerate(zip(conversations[::2], conversations[1::2], strict=True)):
        if (asked["from"], said["from"]) != ("human", "gpt"):
            raise ValueError("human and gpt do not take turns")
        tag, question = untagged(asked["value"])
        answer = plain(said["value"])
        if not question or not answer:
            raise ValueError("a turn is empty")
        yield RowQuestion(
            task or tag or stated_task(question),
            notation.parse(question, size),
            notation.parse(answer, size),
            origin={**(origin or {}), "turn": number},
        )


def untagged(text: str) -> tuple[str | None, str]:
    """The tag of a question (`refer`), if it has one, and the question without it and without marks."""
    text = plain(text)
    match = _TAG.match(text)
    tag = match[1].lower() if match and match[1] else None
    return tag, text[match.end() :].strip() if match else text


def plain(text: str) -> str:
    """Text without marks of pictures and phrases.

    Raises:
        ValueError: It is no text.
    """
    if not isinstance(text, str):
        raise ValueError("a turn is no text")
    return _MARKS.sub("", text).strip()


def stated_task(question: str) -> str:
    """The task of a question without a tag."""
    lower = question.lower()
    return next((task for words, task in _TELLING if words in lower), "conversation")

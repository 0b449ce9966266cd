"""The part of a sequence that holds the images, through the processor's own call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from PIL import Image
from transformers import InternVLProcessor

from agrilape.dataset.types import Chip
from agrilape.errors import DataError
from agrilape.io.pictures import as_rgb, picture_size
from agrilape.skips import planned
from agrilape.tokens.chat import Chat, image_times
from agrilape.tokens.library_errors import explained

MOST_PIXELS = 2**29
"""Pixels of all images of a chip together that are prepared: 1.5 GB of RGB, before the model's processor."""
FEWER = "show fewer dates (`series`), smaller images (`image_size`), or a smaller `chip`, and prepare again"
PER_TOKEN = ("token_type_ids", "mm_token_type_ids")  # what some processors say of each token; 0 for text


class Prefixes(NamedTuple):
    """Prefixes of several chips.

    Attributes:
        ids: Vocabulary ids per chip, image placeholders expanded to one per visual token.
        per_token: What the processor says of each token, by name, per chip.
        visual: `pixel_values` and the like, in the order of the chips, and `image_times`.
    """

    ids: list[list[int]]
    per_token: dict[str, list[list[int]]]
    visual: dict[str, Any]


def read_prefixes(chat: Chat, chips: Sequence[Chip], share: bool = False) -> Prefixes:
    """Tokenise the prefixes of chips and prepare their images; a chip that comes again is prepared once.

    Args:
        chat: How chips are written.
        chips: One per row.
        share: Give the images of a chip once, however often it comes.

    Raises:
        DataError: If an image cannot be decoded.
    """
    distinct = distinct_chips(chips)
    prepared = _prepare(chat, distinct)
    if len(distinct) == len(chips):
        return prepared
    number = {id(chip): i for i, chip in enumerate(distinct)}
    rows = [number[id(chip)] for chip in chips]
    visual = prepared.visual if share else _repeated(prepared.visual, distinct, rows)
    if visual is None:
        return _prepare(chat, chips)
    per_token = {name: [values[row] for row in rows] for name, values in prepared.per_token.items()}
    return Prefixes([prepared.ids[row] for row in rows], per_token, visual)


def distinct_chips(chips: Sequence[Chip]) -> list[Chip]:
    """Chips without those that come again, in the order in which they first come."""
    return list({id(chip): chip for chip in chips}.values())


def _prepare(chat: Chat, chips: Sequence[Chip]) -> Prefixes:
    for chip in chips:
        _refuse_too_large(chip)
    texts = [chat.prefix(chip) for chip in chips]
    images = [decode_pictures(chip) for chip in chips]
    bos = chat.tokenizer.bos_token
    with explained(type(chat.processor).__name__):
        output = chat.processor(
            text=texts,
            images=images,
            add_special_tokens=bos is None or not texts[0].startswith(bos),  # as apply_chat_template does
            padding=True,
            padding_side="right",
            return_tensors="pt",
        )
    output.pop("labels", None)  # PaliGemma's processor makes some of its own
    lengths = (output.pop("attention_mask").sum(dim=1) - len(chat.appended_ids)).tolist()
    rows = {
        name: [row[:n] for row, n in zip(output.pop(name).tolist(), lengths, strict=True)]
        for name in ("input_ids", *PER_TOKEN)
        if name in output
    }
    for chip, length in zip(chips, lengths, strict=True):
        _refuse_too_long(chat, chip, length)
    if isinstance(chat.processor, InternVLProcessor):  # cuts images into tiles without saying how
        output["image_sizes"] = torch.tensor([(image.height, image.width) for row in images for image in row])
    times = [float("nan") if t is None else t for chip in chips for t in image_times(chip)]
    return Prefixes(rows.pop("input_ids"), rows, {**output, "image_times": torch.tensor(times)})


def decode_pictures(chip: Chip) -> list[Image.Image]:
    """Decode a chip's images.

    Raises:
        DataError: If one is damaged.
    """
    with _explained(chip):
        return [as_rgb(picture.data) for picture in chip.pictures]


def picture_sizes(chip: Chip) -> tuple[tuple[int, int], ...]:
    """Width and height of each of a chip's images, without decoding them.

    Raises:
        DataError: If one is no image.
    """
    with _explained(chip):
        return tuple(picture_size(picture.data) for picture in chip.pictures)


def _refuse_too_large(chip: Chip) -> None:
    """Refuse images that would fill the memory before the model saw any of them.

    Raises:
        DataError: They are too many or too large.
    """
    sizes = picture_sizes(chip)
    if (pixels := sum(width * height for width, height in sizes)) > MOST_PIXELS:
        width, height = max(sizes)
        raise DataError(
            f"chip {chip.id} shows {len(sizes)} image(s) of up to {width} x {height} px, {pixels / 1e6:,.0f} "
            f"million pixels together; {MOST_PIXELS / 1e6:,.0f} million are prepared at most",
            FEWER,
        )


def _refuse_too_long(chat: Chat, chip: Chip, length: int) -> None:
    """Refuse images that take more tokens than the model can hold: it would answer without having seen all.

    Raises:
        DataError: They do.
    """
    if chat.context is not None and length >= chat.context:
        width, height = max(picture_sizes(chip))
        raise DataError(
            f"the {len(chip.pictures)} image(s) of chip {chip.id}, of up to {width} x {height} px, take "
            f"{length:,} tokens; the model holds {chat.context:,} with question and answer",
            FEWER,
        )


@contextmanager
def _explained(chip: Chip) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # bombs, odd headers: as many kinds as there are formats
        reason = planned(error).problem
        raise DataError(
            f"an image of chip {chip.id} cannot be decoded: {reason}", "Prepare the data set again."
        ) from error


def _repeated(
    prepared: Mapping[str, Any], distinct: Sequence[Chip], rows: Sequence[int]
) -> dict[str, Any] | None:
    """What was prepared of chips that come several times; None if a tensor does not come apart by chip.

    Args:
        prepared: Of the distinct chips.
        distinct: Those chips.
        rows: Which of them each row shows.
    """
    pictures = [len(chip.pictures) for chip in distinct]
    patches = pictures
    if "image_grid_thw" in prepared:  # Qwen-VL's pixel values are patches, of all images one after the other
        sizes = torch.split(prepared["image_grid_thw"].prod(dim=1), pictures)
        patches = [int(size.sum()) for size in sizes]
    visual = {}
    for name, value in prepared.items():
        if not isinstance(value, torch.Tensor):
            return None
        counts = (pictures, patches, [1] * len(distinct))
        lengths = next((one for one in counts if sum(one) == len(value)), None)
        if lengths is None:
            return None
        parts = torch.split(value, lengths)
        visual[name] = torch.cat([parts[row] for row in rows])
    return visual

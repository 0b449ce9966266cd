"""Images beyond what a model holds are refused by name, not cut and not prepared until the memory is full."""

import dataclasses
import struct
import zlib
from datetime import date, timedelta

import pytest

from agrilape.dataset.types import Picture
from agrilape.errors import DataError
from agrilape.tokens import Chat, Collator, TrainingItem, prompt_batch


def many(example, count):
    """The same chip on many dates."""
    one = example.chip.pictures[0].data
    first = example.chip.window.start
    pictures = tuple(Picture(one, first + timedelta(3 * number)) for number in range(count))
    return dataclasses.replace(example, chip=dataclasses.replace(example.chip, pictures=pictures))


def header_of(width, height):
    """A PNG of a size, of which nothing but the header is there to be decoded."""

    def chunk(name, content):
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"")


def test_sixty_dates_are_more_than_the_model_holds(positioned, codec, series):
    long = many(series, 60)
    chat = Chat(positioned[0], codec, context=500)
    with pytest.raises(
        DataError, match=r"the 60 image\(s\) of chip \S+, of up to \d+ x \d+ px, take [\d,]+ tokens"
    ):
        prompt_batch(chat, [(long, long.samples[:1])])
    few = many(series, 4)
    assert prompt_batch(chat, [(few, few.samples[:1])])["input_ids"].shape[1] < 500
    assert prompt_batch(Chat(positioned[0], codec), [(long, long.samples[:1])])["input_ids"].shape[1] > 500


def test_training_names_the_limit_and_what_to_set(positioned, codec, series):
    long = many(series, 60)
    with pytest.raises(
        DataError, match=r"fits into a row of 500 tokens: the images alone take up to [\d,]+, 60 of"
    ) as said:
        Collator(positioned[0], codec, max_length=500)([TrainingItem(long, long.samples)])
    assert "series" in said.value.remedy


def test_a_tokenizer_that_knows_its_limit_is_believed(positioned, codec, series):
    processor, _ = positioned
    processor.tokenizer.model_max_length = 300
    assert Chat(processor, codec).context == 300
    assert Chat(processor, codec, context=200).context == 200
    assert Collator(processor, codec).max_length == 300
    processor.tokenizer.model_max_length = 10**30
    assert Chat(processor, codec).context is None


def test_images_that_would_fill_the_memory_are_not_opened(positioned, codec, series):
    """Sixty images of 12,000 x 12,000 pixels would be 26 GB."""
    big = Picture(header_of(12_000, 12_000), date(2021, 5, 1))
    chip = dataclasses.replace(series.chip, pictures=(big,) * 60)
    long = dataclasses.replace(series, chip=chip)
    with pytest.raises(DataError, match=r"60 image\(s\) of up to 12000 x 12000 px, 8,640 million pixels"):
        prompt_batch(Chat(positioned[0], codec), [(long, long.samples[:1])])

"""From chips to answers through the real processor of every family."""

import io
from datetime import date
from itertools import product
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from tests.processors import FAMILIES
from tests.rounding import assert_same_but_for_rounding

from agrilape.config.lape import Initialisation, LapeConfig
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.geo.shapes import Box, Instant
from agrilape.geo.timewindow import TimeWindow
from agrilape.model import attach, detach, lape_of
from agrilape.tokens import Collator, PositionIds, TrainingItem, add_position_tokens, packing_of, prompt_batch
from agrilape.tokens.decode import CoordinateGrammar, expected_positions, read_answers


@pytest.fixture(
    params=list(product(FAMILIES, [False, True])), ids=lambda p: f"{p[0]}-{'tied' if p[1] else 'untied'}"
)
def spoken(request, speaker):
    return speaker(*request.param).attach()


def picture(seed, height=40, width=70, acquired=None):
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return Picture(stream.getvalue(), acquired)


def example(name, pictures, window=None):
    asked = (
        Sample(f"{name}/0", name, "crop_box", ("Where is the maize?",), (Box(0.1, 0.2, 0.613, 0.9),)),
        Sample(f"{name}/1", name, "when", ("When was it green?",), ("Around ", Instant(0.42), ".")),
    )
    return Example(Chip(name, "scene", "test", pictures, window=window), asked)


@pytest.fixture
def items():
    """A still image that is cut into tiles, and a series of three dates."""
    dates = [date(2023, month, 1) for month in (4, 6, 9)]
    window = TimeWindow(date(2023, 3, 1), date(2023, 10, 31))
    series = tuple(picture(seed, 32, 32, acquired) for seed, acquired in enumerate(dates))
    examples = (example("still", (picture(7),)), example("series", series, window))
    return [TrainingItem(one, one.samples) for one in examples]


def last_logits(logits, mask):
    """Logits at the last place of each row that is not padding."""
    places = torch.arange(mask.shape[1]) * mask
    return logits[torch.arange(len(mask)), places.argmax(1)]


def test_training_and_generation_read_the_same_prompt(spoken, items):
    """What the model expects as an answer's first token does not depend on the answer that follows."""
    train = Collator(spoken.processor, spoken.codec, packing=None)(items)
    prompts = prompt_batch(spoken.chat, items)
    labels = train.pop("labels")
    train.pop("position_targets")
    with torch.no_grad():
        asked = last_logits(spoken.model(**prompts).logits, prompts["attention_mask"])
        trained = spoken.model(**train).logits
    first = (labels != -100).long().argmax(1) - 1
    assert_same_but_for_rounding(trained[torch.arange(len(first)), first], asked)


def test_a_training_batch_teaches_all_tables(spoken, items):
    batch = Collator(spoken.processor, spoken.codec, packing=packing_of(spoken.model))(items)
    batch.pop("position_targets")
    spoken.model(**batch).loss.backward()
    for name, rows in lape_of(spoken.model).named_parameters():
        assert rows.grad.abs().sum() > 0, name


def test_dates_of_a_series_reach_the_model(spoken, items):
    batch = prompt_batch(spoken.chat, items)
    times = batch.pop("image_times")
    assert times.isnan().tolist() == [True, True, *[False] * 6]
    assert times[2:5].tolist() == pytest.approx([31 / 244, 92 / 244, 184 / 244], abs=0.01)
    with torch.no_grad():
        dated = spoken.model(**batch, image_times=times).logits
        still = spoken.model(**batch).logits
    assert torch.equal(dated[:2], still[:2])
    assert not torch.equal(dated[2:], still[2:])


def test_constrained_answers_are_well_formed_and_finer_than_a_token(spoken, items):
    tokenizer, positions = spoken.processor.tokenizer, PositionIds.of(spoken.config)
    batch = prompt_batch(spoken.chat, items)
    start = batch["input_ids"].shape[1]

    def talkative(input_ids, scores):
        """A model in the mood for brackets and positions, in any order."""
        wanted = [*positions.all.tolist(), *tokenizer.convert_tokens_to_ids(["[", "]"])]
        scores[:, wanted] += 8.0
        return scores

    grammar = CoordinateGrammar(tokenizer, positions, start + 24)
    output = spoken.model.generate(
        **batch, max_length=start + 24, do_sample=True, logits_processor=[talkative, grammar],
        output_scores=True, return_dict_in_generate=True, eos_token_id=spoken.chat.stop_id,
        pad_token_id=spoken.chat.stop_id,
    )  # fmt: skip
    answers = output.sequences[:, start:]
    finer = expected_positions(answers, output.scores, positions)
    coarse, fine = read_answers(spoken.chat, answers), read_answers(spoken.chat, answers, finer)
    assert not any(read.problems for _, read in (*coarse, *fine))
    assert sum(len(read.shapes) for _, read in coarse) >= 4
    assert any(one.shapes != other.shapes for (_, one), (_, other) in zip(coarse, fine, strict=True))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_initialisation_begins_from_the_words_of_the_family(speaker, name):
    base = speaker(name)
    for initialisation in get_args(Initialisation):
        settings = LapeConfig(num_spatial_tokens=20, num_temporal_tokens=10, initialisation=initialisation)
        config = add_position_tokens(base.processor, settings)
        rows = lape_of(attach(base.model, config, base.processor.tokenizer)).rows("in")
        assert rows.isfinite().all()
        assert rows.abs().sum() > 0
        assert (rows[0] == rows[1]).all() == (initialisation == "mean")
        detach(base.model)

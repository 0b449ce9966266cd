"""A small LLaVA processor and model, made on the spot, and chips to ask about."""

import io
from datetime import date

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from agrilape.config.lape import LapeConfig
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.geo.shapes import Box, Instant, Point, Polygon, Span
from agrilape.geo.timewindow import TimeWindow
from agrilape.tokens import PositionCodec, add_position_tokens

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] + ': ' }}"
    "{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}{{ '<image>\n' }}{% else %}{{ content['text'] }}{% endif %}"
    "{% endfor %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)
WORDS = (
    "user assistant Where is the maize field? At and When was it green? What grows here? winter wheat [ ] . :"
)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "<s>", "</s>", "<image>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    backend.train_from_iterator([WORDS], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=["<image>"],
    )


@pytest.fixture
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture
def config():
    return LapeConfig(num_spatial_tokens=20, num_temporal_tokens=10)


@pytest.fixture
def codec(config):
    return PositionCodec(config)


@pytest.fixture
def processor(tokenizer):
    images = CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
    return LlavaProcessor(
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        chat_template=TEMPLATE,
    )


@pytest.fixture
def positioned(processor, config):
    """The processor with position tokens, and the settings that say where they are."""
    return processor, add_position_tokens(processor, config)


@pytest.fixture
def tiny_model():
    """Makes a random LLaVA for a processor; large weights, so that what it attends to shows."""
    return _tiny_model


def _tiny_model(processor, attention: str) -> LlavaForConditionalGeneration:
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    text = LlamaConfig(
        vocab_size=len(processor.tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.5,
    )
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=vision,
            text_config=text,
            image_token_id=processor.image_token_id,
            vision_feature_select_strategy="default",
            vision_feature_layer=-1,
        )
    )
    model.set_attn_implementation(attention)
    return model.eval()


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def sample(chip: str, number: int, question: tuple, answer: tuple) -> Sample:
    return Sample(f"{chip}/test/{number}", chip, "test", question, answer)


@pytest.fixture
def still():
    triangle = Polygon((Point(0.1, 0.1), Point(0.9, 0.2), Point(0.5, 0.8)))
    return Example(
        Chip("still", "scene", "test", (Picture(png(1)),)),
        (
            sample("still", 0, ("Where is the maize field?",), ("At ", Box(0.1, 0.2, 0.613, 1.0), ".")),
            sample("still", 1, ("What grows at ", Point(0.25, 0.75), "?"), ("winter wheat",)),
            sample("still", 2, ("Where is the wheat?",), (triangle, " and ", Point(0.5, 0.5))),
        ),
    )


@pytest.fixture
def series():
    window = TimeWindow(date(2023, 1, 1), date(2023, 12, 31))
    pictures = tuple(Picture(png(10 + month), date(2023, month, 1)) for month in (3, 6, 9))
    return Example(
        Chip("series", "scene", "test", pictures, window=window),
        (
            sample("series", 0, ("When was it green?",), (Span(0.31, 0.66),)),
            sample("series", 1, ("When was it greenest?",), ("Around ", Instant(0.5), ".")),
        ),
    )

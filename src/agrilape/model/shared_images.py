"""The images of a batch encoded once, however many of its rows ask about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from agrilape.model.attach import inner_model


@contextmanager
def shared_images(model: Any, input_ids: Tensor, chip_of_row: Tensor | None) -> Iterator[None]:
    """Let a model take the images of each chip once; while it does, visual features are repeated by row.

    Args:
        model: Of any supported family, with or without LAPE or LoRA, not wrapped for processes.
        input_ids: As given to the model, `[B, L]`; rows of one chip have as many image placeholders.
        chip_of_row: Which chip each row shows, counted in the order of their images, `[B]`; None: images are
            given row by row.
    """
    if chip_of_row is None:
        yield
        return
    inner = inner_model(model)
    base = inner.base_model
    chip_of_row = chip_of_row.to(input_ids.device)
    firsts = _first_rows(chip_of_row)
    index = _features_of_rows(input_ids == inner.config.image_token_id, chip_of_row, firsts)

    def get_image_features(*args: Any, **kwargs: Any) -> Any:
        if "input_ids" in getattr(base, "_images", {}):  # what LAPE reads layouts from
            base._images = {**base._images, "input_ids": input_ids[firsts]}
        outputs = type(base).get_image_features(base, *args, **kwargs)
        outputs.pooler_output = _repeat(outputs.pooler_output, index)
        if deeper := getattr(outputs, "deepstack_features", None):  # Qwen3-VL's, for layers within
            outputs.deepstack_features = [_repeat(features, index) for features in deeper]
        return outputs

    base.get_image_features = get_image_features  # of this object alone, for as long as this lasts
    try:
        yield
    finally:
        del base.get_image_features


def _first_rows(chip_of_row: Tensor) -> Tensor:
    """Index of the first row of each chip, `[chips]`."""
    chips = torch.arange(int(chip_of_row.max()) + 1, device=chip_of_row.device)
    return (chip_of_row == chips[:, None]).int().argmax(dim=1)


def _features_of_rows(is_image: Tensor, chip_of_row: Tensor, firsts: Tensor) -> Tensor:
    """Which visual feature stands at each placeholder, row by row, `[placeholders]`."""
    counts = is_image.sum(dim=1)[firsts]
    starts = counts.cumsum(0) - counts
    rank = is_image.cumsum(dim=1) - 1
    return (starts[chip_of_row][:, None] + rank)[is_image]


def _repeat(features: Any, index: Tensor) -> Any:
    """Features `[images, G, D]`, flat `[G, D]`, or a list or tuple of these, by row, of the same kind."""
    if isinstance(features, Tensor) and features.ndim == 2:
        return features[index]
    if isinstance(features, Tensor):
        return features.flatten(0, -2)[index].view(-1, *features.shape[1:])
    return type(features)([torch.cat(list(features))[index]])

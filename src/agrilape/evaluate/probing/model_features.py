"""A model's features at the asked place and where its answer begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from agrilape.config.lape import LapeConfig
from agrilape.dataset.types import Example, Sample
from agrilape.errors import ModelError
from agrilape.evaluate.metrics.arrays import Floats
from agrilape.geo.shapes import Box, Point
from agrilape.model import Checkpoint
from agrilape.model.attach import context_of, inner_model
from agrilape.model.grids import ImageCall, extents_of
from agrilape.model.token_extents import FACTS
from agrilape.tokens import Chat, Coordinates, PositionCodec, prompt_batch
from agrilape.tokens.library_errors import explained, name_and_width

BATCH = 8
LAYERS = ("vision tower", "language model, half way", "language model, last layer")
"""Where features are taken: visual tokens as the language model receives them, and its layers."""


class PlaceFeatures(NamedTuple):
    """What a model makes of one question.

    Attributes:
        place: Of each layer and date, the visual token that covers the asked place, `[layers, T, D]`.
        end: Of each layer, the last token of the prompt, from which the answer is begun, `[layers, D]`.
    """

    place: Floats
    end: Floats


def place_features(
    checkpoint: Checkpoint, asked: Sequence[tuple[Example, Sample, Point | Box]]
) -> Iterator[PlaceFeatures]:
    """Features of each question, in order.

    Args:
        checkpoint: Model and processor.
        asked: Chips with a question each and its place.
    """
    model = checkpoint.model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    coordinates = cast(Coordinates, checkpoint.coordinates) if checkpoint.config else "text"
    codec = PositionCodec(checkpoint.config or LapeConfig())
    chat = Chat(checkpoint.processor, codec, coordinates, context_of(model))
    for some in _batches(asked):
        batch = prompt_batch(chat, [(example, (sample,)) for example, sample, _ in some])
        if checkpoint.config is None:
            del batch["image_times"]  # only LAPE reads them, and a plain model refuses them
        inputs = {name: value.to(model.device) for name, value in batch.items()}
        with torch.no_grad(), explained(*name_and_width(model)):
            states = model(**inputs, output_hidden_states=True, use_cache=False).hidden_states
        layers = [states[0], states[len(states) // 2], states[-1]]
        yield from _of_batch(inner_model(model), inputs, layers, some)


def _of_batch(
    model: Any,
    inputs: dict[str, Tensor],
    layers: Sequence[Tensor],
    asked: Sequence[tuple[Example, Sample, Point | Box]],
) -> Iterator[PlaceFeatures]:
    call = ImageCall(model.config, inputs["pixel_values"], **{name: inputs.get(name) for name in FACTS})
    extents = iter(extents_of(model.config)(call))
    visual = inputs["input_ids"] == model.config.image_token_id
    for row, (example, _, place) in enumerate(asked):
        slots = torch.nonzero(visual[row]).flatten()
        chosen, before = [], 0
        for _ in example.chip.pictures:
            edges = next(extents)
            chosen.append(int(slots[before + covering(edges, place)]))
            before += len(edges)
        if before != len(slots):
            raise ModelError(
                f"a prompt has {len(slots)} visual tokens where {before} were expected",
                "the image processor and the model's config disagree; load both from the same checkpoint",
            )
        here = torch.stack([layer[row] for layer in layers]).float().cpu()
        yield PlaceFeatures(here[:, chosen].double().numpy(), here[:, -1].double().numpy())


def covering(extents: Tensor, place: Point | Box) -> int:
    """Number of the smallest visual token that covers a place, or the middle of a box.

    Args:
        extents: Edges of each token in [0, 1] of its image, `[G, 4]`; NaN for a token without a place.
        place: In [0, 1] of the image.
    """
    x, y = (
        place
        if isinstance(place, Point)
        else ((place.left + place.right) / 2, (place.top + place.bottom) / 2)
    )
    left, top, right, bottom = np.asarray(extents, float).T
    outside = np.maximum.reduce([left - x, x - right, top - y, y - bottom, np.zeros(len(left))])
    size = (right - left) * (bottom - top)
    return int(np.nanargmin(outside * 1e6 + size))


def _batches(
    asked: Sequence[tuple[Example, Sample, Point | Box]],
) -> Iterator[Sequence[tuple[Example, Sample, Point | Box]]]:
    """Questions a few at a time, in order."""
    for first in range(0, len(asked), BATCH):
        yield asked[first : first + BATCH]

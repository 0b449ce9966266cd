"""How many bytes a training step keeps from its forward for its backward pass, counted from shapes.

The count follows what the decoder layers of transformers keep: root-mean-square norms compute in float32 and
keep their input and its normalised form; attention keeps query, key, value and output, but no matrix of
weights; a gated MLP keeps gate, its activation, the other branch and their product. Under autocast every
linear layer keeps a copy of its input in bfloat16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

FLOAT = 4  # bytes
SPARE = 1.6  # gradients of a layer under way, and what the allocator keeps between sizes
SCORED = 0.5  # share of a part's places at which logits are computed, before the part is known


class ActivationBytes(NamedTuple):
    """Bytes of activations.

    Attributes:
        kept: From the forward to the backward pass.
        again: Of the largest layer, where layers are computed again: it comes up when the logits are gone.
    """

    kept: int
    again: int = 0

    def peak(self, logits: int) -> tuple[int, int]:
        """Bytes of activations and, beyond them, of logits when most is held."""
        if not self.again:
            return int(SPARE * self.kept), logits
        layer = int(SPARE * self.again)
        return self.kept + layer, max(logits - layer, 0)


class Arithmetic(NamedTuple):
    """What a model computes with.

    Attributes:
        product: Bytes of a value in matrix products.
        mixed: Are products computed in another type than the weights' (autocast)?
        on_cpu: There, autocast leaves attention in float32, see `agrilape.train.precision`.
    """

    product: int
    mixed: bool
    on_cpu: bool

    @property
    def attention(self) -> int:
        """Bytes of a value in attention."""
        return FLOAT if self.mixed and self.on_cpu else self.product


def activation_bytes(
    model: Any, part: Mapping[str, Tensor], arithmetic: Arithmetic, sees: bool, again: bool
) -> ActivationBytes:
    """Activations of one part of a batch.

    Args:
        model: The model; only its configuration is read.
        part: The part, as the collator makes it.
        arithmetic: What the model computes with.
        sees: Does the vision tower train? One that does not keeps nothing.
        again: Are activations computed again in the backward pass (gradient checkpointing)?
    """
    text = model.config.get_text_config()
    stacks = [_decoder(model, part["input_ids"].numel(), arithmetic, again)]
    kept = 0
    mask = part["attention_mask"]
    if mask.ndim == 4:  # added as numbers; where attention leaves autocast, each layer makes its own
        copies = text.num_hidden_layers if arithmetic.mixed and arithmetic.on_cpu and not again else 1
        kept = mask.numel() * arithmetic.attention * copies
    vision = getattr(model.config, "vision_config", None)
    if sees and vision is not None:
        stacks.append(_encoder(vision, _patches(vision, part), arithmetic, again))
    return ActivationBytes(kept + sum(one.kept for one in stacks), max(one.again for one in stacks))


def tokens_that_fit(room: int, model: Any, arithmetic: Arithmetic, sees: bool, again: bool) -> int:
    """Tokens of a part for which there is room, as if all of them were visual; at least 1.

    Args:
        room: Bytes, beside weights, gradients and the optimiser's sums.
        model: The model; only its configuration is read.
        arithmetic: What the model computes with.
        sees: Does the vision tower train?
        again: Are activations computed again in the backward pass?
    """
    stacks = [_decoder(model, 1000, arithmetic, again)]
    vision = getattr(model.config, "vision_config", None)
    if sees and vision is not None:
        patches = 1000 * getattr(vision, "spatial_merge_size", 1) ** 2
        stacks.append(_encoder(vision, patches, arithmetic, again))
    thousand = ActivationBytes(sum(one.kept for one in stacks), max(one.again for one in stacks))
    vocabulary: int = model.config.get_text_config().vocab_size
    logits = int(1000 * SCORED * vocabulary * 2 * arithmetic.product)
    return max(1000 * room // sum(thousand.peak(logits)), 1)


def logit_bytes(model: Any, part: Mapping[str, Tensor], arithmetic: Arithmetic) -> int:
    """Logits of one part and what the loss makes of them.

    The head writes the columns in which any row has an answer, `[B, S, V]`, and gets a gradient as large; the
    loss takes the answered places as float32 and keeps their log-probabilities.
    """
    vocabulary: int = model.config.get_text_config().vocab_size
    places = len(part["labels"]) * len(part["scored"])
    return vocabulary * (places * 2 * arithmetic.product + len(part["answered"]) * 2 * FLOAT)


def _decoder(model: Any, tokens: int, arithmetic: Arithmetic, again: bool) -> ActivationBytes:
    text = model.config.get_text_config()
    layer = _decoder_layer(text, arithmetic)
    return _stack(tokens, text.num_hidden_layers, layer, text.hidden_size, again)


def _encoder(vision: Any, patches: int, arithmetic: Arithmetic, again: bool) -> ActivationBytes:
    layers = getattr(vision, "num_hidden_layers", None) or vision.depth
    return _stack(patches, layers, _encoder_layer(vision, arithmetic), vision.hidden_size, again)


def _stack(count: int, layers: int, layer: int, hidden: int, again: bool) -> ActivationBytes:
    """Bytes of `count` tokens through layers; computed again, only inputs are kept, and one layer's rest."""
    return (
        ActivationBytes(count * layers * hidden * FLOAT, count * layer)
        if again
        else ActivationBytes(count * layers * layer)
    )


def _decoder_layer(config: Any, arithmetic: Arithmetic) -> int:
    """Bytes per token of a layer with two norms, attention and a gated MLP."""
    hidden, product = config.hidden_size, arithmetic.product
    heads = config.num_attention_heads
    shared = (getattr(config, "num_key_value_heads", None) or heads) / heads
    norms = 2 * 2 * hidden * FLOAT
    inputs = 6 * hidden * product if arithmetic.mixed else hidden * product
    attention = int((2 + 2 * shared) * hidden) * arithmetic.attention
    return int(norms + inputs + attention + 4 * config.intermediate_size * product)


def _encoder_layer(config: Any, arithmetic: Arithmetic) -> int:
    """Bytes per patch of a layer with two norms, attention and a plain MLP."""
    hidden, product = config.hidden_size, arithmetic.product
    norms = 2 * hidden * FLOAT
    inputs = (5 if arithmetic.mixed else 3) * hidden * product
    return int(norms + inputs + 4 * hidden * arithmetic.attention + 2 * config.intermediate_size * product)


def _patches(vision: Any, part: Mapping[str, Tensor]) -> int:
    """Patches of a part's images: pixel values over those of a patch, also where they come in patches."""
    depth = getattr(vision, "temporal_patch_size", 1)
    return int(part["pixel_values"].numel() // (3 * vision.patch_size**2 * depth))

"""Features of a frozen vision tower, computed once for each image that training shows more than once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from agrilape.model.attach import inner_model

MOST_BYTES = 1 << 29
"""Features that are kept, the last used ones; those of a 128 px image of the presets take 48 KiB."""
_TOWERS = ("siglip_vision_model", "clip_vision_model")


class KeptFeatures:
    """Features by the hash of what they were computed from; the last used ones stay.

    Args:
        most_bytes: How much is kept.

    Attributes:
        hits: Images whose features were known.
        misses: Images whose features had to be computed.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()
        self._bytes = 0
        self.hits = self.misses = 0

    def known(self, keys: Sequence[bytes]) -> dict[bytes, Tensor]:
        """The features that are there, by key."""
        found = {key: self._kept[key] for key in keys if key in self._kept}
        for key in found:
            self._kept.move_to_end(key)
        self.hits += sum(key in found for key in keys)
        self.misses += sum(key not in found for key in keys)
        return found

    def keep(self, key: bytes, features: Tensor) -> None:
        """Keep the features of an image, and drop those that were not used for the longest time."""
        if key not in self._kept:
            self._kept[key] = features.clone()  # of a batch's features, a slice would keep all
            self._bytes += features.nbytes
        while self._bytes > self._most:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes


class _CachedTower:
    """Answers a vision tower's calls with the features that it gave the same pixels before."""

    def __init__(self, tower: nn.Module, layer: int, kept: KeptFeatures) -> None:
        self._forward, self._layer, self._kept = tower.forward, layer, kept
        self._weights = _digest(*tower.state_dict().values())

    def forward(self, pixel_values: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The tower's outputs for images `[images, 3, height, width]`: the hidden states of one layer."""
        autocast = str(torch.is_autocast_enabled("cpu")).encode()
        keys = [_digest(image, key=self._weights + autocast) for image in pixel_values]
        known = self._kept.known(keys)
        new = {key: number for number, key in enumerate(keys) if key not in known}
        if new:
            with torch.no_grad():
                outputs = self._forward(pixel_values[list(new.values())], *args, **kwargs)
            for key, features in zip(new, outputs.hidden_states[self._layer], strict=True):
                known[key] = features
                self._kept.keep(key, features)
        found = torch.stack([known[key] for key in keys])
        return BaseModelOutputWithPooling(
            last_hidden_state=found, hidden_states=_OneLayer(self._layer, found)
        )


class _OneLayer(tuple[Tensor, ...]):
    """Hidden states of which one layer's are there."""

    def __new__(cls, layer: int, features: Tensor) -> _OneLayer:
        made = super().__new__(cls, (features,))
        made.layer = layer
        return made

    layer: int

    def __getitem__(self, index: Any) -> Any:
        if index != self.layer:
            raise IndexError(f"only hidden states of layer {self.layer} are kept")
        return super().__getitem__(0)


@contextmanager
def cached_features(model: Any, kept: KeptFeatures, shared: bool = False) -> Iterator[None]:
    """Let a model's vision tower compute each image once as long as the context lasts, if it is frozen.

    An image is known by a hash of the pixels that the tower gets, after augmentation: one that was rotated or
    tinted is another image; and by that of the tower's weights. Features are those of the tower but for
    rounding, since it sees fewer images at once. Only on a CPU, where a tower takes some twenty times as long
    as hashing its pixels, and for LLaVA with one grid of features per image.

    Args:
        model: Ready for a stage.
        kept: What is known from stages before.
        shared: Do processes share the model's pieces, so that all must call every module?
    """
    tower, layer = _tower_of(model)
    if tower is None or shared:
        yield
        return
    tower.forward = _CachedTower(tower, layer, kept).forward
    try:
        yield
    finally:
        del tower.forward


def _tower_of(model: Any) -> tuple[nn.Module | None, int]:
    """A frozen tower whose features for an image depend on its pixels alone, and the layer that is taken."""
    inner = inner_model(model)
    config = inner.config
    layer = getattr(config, "vision_feature_layer", None)
    if config.model_type != "llava" or config.vision_config.model_type not in _TOWERS:
        return None, 0
    tower: nn.Module = inner.base_model.vision_tower
    parameters = list(tower.parameters())
    frozen = not any(parameter.requires_grad for parameter in parameters)
    on_cpu = all(parameter.device.type == "cpu" for parameter in parameters)
    return (tower, layer) if frozen and on_cpu and isinstance(layer, int) else (None, 0)


def _digest(*tensors: Tensor, key: bytes = b"") -> bytes:
    """A hash of tensors: of their types, shapes and values."""
    found = blake2b(digest_size=16, key=key)
    for tensor in tensors:
        values = tensor.detach().contiguous()
        found.update(f"{values.dtype} {tuple(values.shape)}".encode())
        found.update(values.view(torch.uint8).numpy().data)
    return found.digest()

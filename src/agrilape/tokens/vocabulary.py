"""Position tokens in a tokenizer, and where they are found."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import AddedToken

from agrilape.config.lape import AXES, Axis, LapeConfig
from agrilape.errors import ModelError
from agrilape.tokens.position_codec import PositionCodec


def tokenizer_of(processor: Any) -> Any:
    """The tokenizer of a processor; a bare tokenizer is its own."""
    return getattr(processor, "tokenizer", processor)


def add_position_tokens(processor: Any, config: LapeConfig) -> LapeConfig:
    """Add the position tokens to a tokenizer, in place; those that it has already are kept.

    The tokens are ordinary added tokens, not special ones, which `skip_special_tokens=True` would remove from
    the model's answers. Their ids are looked up one by one: they need not be contiguous, nor follow the
    model's own vocabulary, whose embedding matrix may have padded rows.

    Args:
        processor: A Hugging Face processor or tokenizer.
        config: How many tokens each axis has.

    Returns:
        The settings with `token_ids` resolved.

    Raises:
        ModelError: If the tokenizer splits the tokens, or drops them as special ones.
    """
    tokenizer, codec = tokenizer_of(processor), PositionCodec(config)
    tokenizer.add_tokens(
        [AddedToken(text, special=False, normalized=False) for axis in AXES for text in codec.tokens(axis)]
    )
    ids: dict[Axis, tuple[int, ...]] = {
        axis: tuple(tokenizer.convert_tokens_to_ids(list(codec.tokens(axis)))) for axis in AXES
    }
    _check_whole(tokenizer, codec, ids)
    return config.model_copy(update={"token_ids": ids})


def _check_whole(tokenizer: Any, codec: PositionCodec, ids: dict[Axis, tuple[int, ...]]) -> None:
    """Write all tokens in a row and read them back; a tokenizer with its own idea of them is refused."""
    for axis in AXES:
        encoded = tokenizer("".join(codec.tokens(axis)), add_special_tokens=False)["input_ids"]
        decoded = tokenizer.decode(encoded, skip_special_tokens=True)
        if tuple(encoded) != ids[axis] or not all(token in decoded for token in codec.tokens(axis)):
            raise ModelError(
                f"{type(tokenizer).__name__} does not keep the {axis} position tokens as they are",
                "Start from the model's original tokenizer, in which `<WIDTH-000>` is not yet in use.",
            )


class PositionIds:
    """Which vocabulary ids are position tokens, as lookup tensors.

    Args:
        token_ids: Ids per axis in order of position, as in `LapeConfig.token_ids`.

    Attributes:
        ids: Vocabulary ids per axis, int64 `[N]`.
        all: Vocabulary ids of all axes in the order of `AXES`, int64.
    """

    def __init__(self, token_ids: dict[Axis, tuple[int, ...]]) -> None:
        self.ids: dict[Axis, torch.Tensor] = {axis: torch.tensor(token_ids[axis]) for axis in AXES}
        self.all = torch.cat([self.ids[axis] for axis in AXES])
        # One row more than the largest id: where all that are larger are sent.
        self._axis = torch.full((int(self.all.max()) + 2,), -1)
        self._index = torch.full_like(self._axis, -1)
        for number, axis in enumerate(AXES):
            self._axis[self.ids[axis]] = number
            self._index[self.ids[axis]] = torch.arange(len(self.ids[axis]))

    @classmethod
    def of(cls, config: LapeConfig) -> PositionIds:
        """From settings whose `token_ids` are resolved.

        Raises:
            ModelError: If they are not.
        """
        if config.token_ids is None:
            raise ModelError(
                "the position tokens have no vocabulary ids yet",
                "Call add_position_tokens(processor, config).",
            )
        return cls(config.token_ids)

    def lookup(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Axis number (in `AXES`) and index of tokens; -1 and -1 for what is no position token.

        Args:
            tokens: Vocabulary ids of any shape; negative ones (ignored labels) are no position tokens.

        Returns:
            Two int64 tensors of the same shape.
        """
        self._axis, self._index = self._axis.to(tokens.device), self._index.to(tokens.device)
        last = len(self._axis) - 1
        rows = torch.where(tokens < 0, last, tokens).clamp(max=last)
        return self._axis[rows], self._index[rows]

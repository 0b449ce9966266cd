"""How much of a batch an accelerator has room for at once, and what to say where it was too much."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import PartialState
from torch import nn

from agrilape.config.recipe import ModelConfig
from agrilape.errors import AgrilapeError
from agrilape.train import checkpoints
from agrilape.train.activations import Arithmetic, tokens_that_fit
from agrilape.train.precision import is_mixed

USED = 0.95  # of what is free; the rest is what allocators and libraries take beside


class OutOfMemoryError(AgrilapeError):
    """The GPU has no room for what training holds."""


@contextmanager
def explained_memory(
    stage: str, config: ModelConfig, snapshot: Path, tokens: Callable[[], int]
) -> Iterator[None]:
    """Say what was held when a GPU ran out of memory, what to set, and where the last checkpoint is.

    Args:
        stage: Its name.
        config: Settings of the model.
        snapshot: Folder of checkpoints to resume from.
        tokens: How many were in the last pass that began, padding included.

    Raises:
        OutOfMemoryError: In place of torch's own.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        last = checkpoints.latest(snapshot)
        raise OutOfMemoryError(
            f"stage {stage}: the GPU is out of memory, with {_held()}the last pass over {tokens():,} tokens",
            f"{_what_to_set(config, tokens())}, and run again; "
            + (f"it goes on from {last}" if last else "no checkpoint had been written yet"),
        ) from error


def _held() -> str:
    if not torch.cuda.is_available():
        return ""
    held, total = torch.cuda.max_memory_allocated(), torch.cuda.get_device_properties(0).total_memory
    return f"at most {held / 1e9:.1f} of {total / 1e9:.1f} GB held by tensors and "


def _what_to_set(config: ModelConfig, tokens: int) -> str:
    if not config.gradient_checkpointing:
        return "set model.gradient_checkpointing=true"
    fewer = f"set model.tokens_at_once={max(tokens // 2, 1)}"
    if config.lora_rank is None:
        return f"{fewer}, or model.lora_rank=16 and train `lora` in place of `llm`"
    return f"{fewer}; if one question alone is too much, a smaller `chip` or `series`"


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a GPU; None of another device."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None


def most_tokens(
    config: ModelConfig, model: nn.Module, device: torch.device, sees: bool, free: int | None = None
) -> int | None:
    """Most tokens of a part of a batch, padding included; None: any number.

    Args:
        config: Settings of the model; its `tokens_at_once`, if given, is taken as it is.
        model: Set up for the stage; parts of it that are not on the device yet are taken to go there.
        device: Where it trains.
        sees: Does the vision tower train?
        free: Bytes that may be used; None: all that are free on the device.
    """
    free = free_bytes(device) if free is None else free
    if config.tokens_at_once is not None or free is None:
        return config.tokens_at_once
    mixed = is_mixed(config, device)
    product = 2 if mixed else torch.finfo(getattr(torch, config.dtype)).bits // 8
    room = int(USED * free) - _own_bytes(model, device)
    return tokens_that_fit(
        room, model, Arithmetic(product, mixed, on_cpu=False), sees, config.gradient_checkpointing
    )


def _own_bytes(model: nn.Module, device: torch.device) -> int:
    """Weights that are still to come, gradients, and AdamW's two sums: this process's piece of them."""
    total = 0
    for parameter in model.parameters():
        size = parameter.numel() * parameter.element_size()
        total += size * (parameter.device.type != device.type) + 3 * size * parameter.requires_grad
    return total // (PartialState().num_processes if is_to_be_shared() else 1)


def is_to_be_shared() -> bool:
    """Will processes share the model (FSDP), as the launcher was told?"""
    return os.environ.get("ACCELERATE_USE_FSDP") == "true"

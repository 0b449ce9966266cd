"""A frozen base model in few bytes, beside parts that train in float32 (LoRA, QLoRA).

QLoRA (Dettmers et al. 2023, arXiv:2305.14314) keeps the language model's matrices in 4 bits, by blocks of 64
weights, and computes with them in bfloat16.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor, nn

from agrilape.errors import ModelError
from agrilape.model.parameter_groups import group_of

NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Of a weight: 4 bits, a scale of 8 bits for 64 weights, and one of 32 bits for 256 of those."""


def language_matrices(model: Any) -> list[tuple[str, nn.Linear]]:
    """The matrices of the language model's layers, by name; the head is none of them."""
    head = model.get_output_embeddings()
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head and group_of(name) == "llm"
    ]


def quantise(model: Any, compute: torch.dtype) -> None:
    """Put the language model's matrices into 4 bits (NF4), in place, on the device that will train.

    Embedding, head, vision tower and projector stay as they are. One matrix at a time goes to the device, so
    that the model is never there as a whole in more than 4 bits.

    Args:
        model: Without LoRA.
        compute: Type of the products.

    Raises:
        ModelError: bitsandbytes is not installed.
    """
    try:
        from bitsandbytes.nn import Linear4bit, Params4bit
    except ImportError as error:
        raise ModelError("model.quantisation needs bitsandbytes", "pip install 'agrilape[qlora]'") from error
    device = PartialState().device
    for name, matrix in language_matrices(model):
        kept = matrix.weight.detach()
        with torch.device("meta"):
            small = Linear4bit(matrix.in_features, matrix.out_features, bias=False, compute_dtype=compute)
        small.weight = Params4bit(kept, requires_grad=False, quant_type="nf4", module=small).to(device)
        small.bias = matrix.bias
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, small)
    model.is_loaded_in_4bit = True  # how PEFT tells


def keep_projector_in_float32(model: Any) -> None:
    """Let the projector train in float32 beside a base model in a narrower type, in place.

    It takes the tower's features as they come, and gives its own in the base model's type.
    """
    narrow = model.get_input_embeddings().weight.dtype
    for module in _projector_modules(model, ""):
        module.float()
        module.register_forward_pre_hook(_widen, with_kwargs=True)
        module.register_forward_hook(partial(_narrow, narrow))
    for name, parameter in model.named_parameters():
        if group_of(name) == "projector":  # one that belongs to no module of its own: a newline between rows
            parameter.data = parameter.data.float()


def _projector_modules(module: nn.Module, name: str) -> Iterator[nn.Module]:
    """Outermost modules of the projector that are called."""
    if group_of(name) == "projector" and not isinstance(module, nn.ModuleList):
        yield module
        return
    for own, child in module.named_children():
        yield from _projector_modules(child, f"{name}.{own}")


def _widen(
    module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(map(_float, inputs)), {name: _float(value) for name, value in named.items()}


def _float(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def _narrow(dtype: torch.dtype, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
    return output.to(dtype) if isinstance(output, Tensor) else output

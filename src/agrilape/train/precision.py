"""Mixed precision: matrix products in bfloat16, weights and sums in float32.

On processors with AVX512-BF16, oneDNN multiplies bfloat16 matrices more than twice as fast as float32. The
fused attention of CPUs is the exception: its bfloat16 backward takes several times as long, so it stays in
float32. A step of the nano model takes 0.57 s of one core instead of 0.95 s; 0.85 s without the exception.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from agrilape.config.recipe import ModelConfig


def avoid_cudnn_attention() -> None:
    """Leave cuDNN's attention out, for the rest of the process.

    Under a mask, which packed rows always have, its backward pass gives NaN for some lengths on H100 and H200
    (torch 2.11 to 2.13, https://github.com/pytorch/pytorch/issues/196678). Memory-efficient attention, which
    comes next in line, does not.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


def is_bfloat16_fast(device: torch.device) -> bool:
    """Does a device multiply bfloat16 faster than float32?"""
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def is_mixed(config: ModelConfig, device: torch.device) -> bool:
    """Are products of a model in bfloat16 on a device, whatever the type of its weights?"""
    return config.mixed_precision == "auto" and is_bfloat16_fast(device)


def keep_cpu_attention_in_float32() -> None:
    """Let the `sdpa` attention of transformers leave autocast on a CPU; elsewhere it stays as it is."""
    AttentionInterface.register("sdpa", _attend)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> Any:
    if query.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    with torch.autocast("cpu", enabled=False):
        return sdpa_attention_forward(
            module, query.float(), key.float(), value.float(), attention_mask, **options
        )

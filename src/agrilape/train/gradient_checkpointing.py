"""Gradient checkpointing beside frozen parts: layers are computed again in the backward pass."""

from __future__ import annotations

from typing import Any

from torch import nn

from agrilape.model.attach import inner_model
from agrilape.model.parameter_groups import group_of
from agrilape.train.optim import frozen_modules


def recompute_layers(model: Any) -> None:
    """Let a model keep only the inputs of its layers, and compute the rest again in the backward pass.

    transformers also lets the output of every embedding require gradients, which only the older kind of
    checkpointing (`use_reentrant`) needs: a frozen vision tower, whose patches are embedded too, would be
    taken through a backward pass for nothing.

    Args:
        model: Plain or with PEFT's LoRA.
    """
    model.gradient_checkpointing_enable({"use_reentrant": False})
    inner_model(model).disable_input_require_grads()


class Frozen:
    """The frozen parts of a model, to be set to evaluation mode after `model.train()`.

    Dropout or a running statistic in a frozen module would make a moving target of it. But transformers
    computes again only layers in training mode. So a frozen layer that gradients pass through on their way to
    what trains keeps that mode, and what is inside it does not; unless it drops out something by itself.

    Args:
        model: With the parameters frozen that do not train.
    """

    def __init__(self, model: nn.Module) -> None:
        self._modules = frozen_modules(model)
        self._passed = [module for name, module in model.named_modules() if _is_passed_through(name, module)]

    def rest(self) -> None:
        """Set them to evaluation mode."""
        for module in self._modules:
            module.eval()
        for layer in self._passed:
            layer.training = True


def _is_passed_through(name: str, module: nn.Module) -> bool:
    """Is it a frozen layer to be computed again? A tower's is not, since nothing before it trains."""
    if not getattr(module, "gradient_checkpointing", False) or group_of(name) == "vision":
        return False
    return not _drops_out(module) and not any(p.requires_grad for p in module.parameters())


def _drops_out(layer: nn.Module) -> bool:
    return any("drop" in name and isinstance(rate, float) and rate > 0 for name, rate in vars(layer).items())

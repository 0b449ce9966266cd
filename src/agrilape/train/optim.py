"""Parameter groups: what trains, how fast, and with how much weight decay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from agrilape.config.recipe import LearningRates, StageConfig
from agrilape.errors import RecipeError
from agrilape.model.parameter_groups import Group
from agrilape.train.schedule import factor_of

Groups = Mapping[Group, Sequence[tuple[str, nn.Parameter]]]


def peak_rates(rates: LearningRates, lape: bool) -> dict[str, float]:
    """Peak learning rate of every group that trains.

    Args:
        rates: The stage's settings.
        lape: Does LAPE train in this stage? Without a rate of its own it takes the largest of the others.

    Returns:
        Rate per group name; frozen groups are absent.
    """
    peaks = {name: rate for name, rate in rates.model_dump().items() if rate is not None and name != "lape"}
    base = rates.lape or max(peaks.values(), default=None)
    if lape and base is not None:
        peaks["lape"] = base
    return peaks


def freeze(groups: Groups, training: Mapping[str, float]) -> None:
    """Let exactly the groups with a learning rate train."""
    for name, members in groups.items():
        for _, parameter in members:
            parameter.requires_grad_(name in training)


def frozen_modules(model: nn.Module) -> list[nn.Module]:
    """Outermost modules that hold parameters, none of which trains.

    They are kept in eval mode: dropout or a running statistic in a frozen module would make a moving target
    of it.
    """
    if any(p.requires_grad for p in model.parameters()):
        return [module for child in model.children() for module in frozen_modules(child)]
    return [model] if any(True for _ in model.parameters()) else []


def build_optimizer(groups: Groups, stage: StageConfig, peaks: Mapping[str, float]) -> torch.optim.AdamW:
    """AdamW over the groups that train.

    Vectors (norms, biases, scales) and LAPE have no weight decay: decay pulls a position row to the origin
    between the rare steps that train it.

    Args:
        groups: Parameters by group name.
        stage: Betas and weight decay.
        peaks: Peak learning rate of the groups that train.

    Returns:
        The optimiser; each of its groups carries its `name`.

    Raises:
        RecipeError: Nothing would train.
    """
    sets = []
    for name, members in groups.items():
        parameters = [p for _, p in members if name in peaks]
        matrices = [p for p in parameters if p.ndim >= 2 and name != "lape"]
        vectors = [p for p in parameters if p.ndim < 2 or name == "lape"]
        for chosen, decay in ((matrices, stage.weight_decay), (vectors, 0.0)):
            if chosen:
                sets.append({"params": chosen, "lr": peaks[name], "weight_decay": decay, "name": name})
    if not sets:
        raise RecipeError(
            f"stage {stage.name}: nothing trains",
            f"give learning_rates for at least one of: {', '.join(k for k, v in groups.items() if v)}",
        )
    return torch.optim.AdamW(sets, betas=stage.betas, eps=1e-8, fused=True)


def build_scheduler(
    optimizer: torch.optim.Optimizer, stage: StageConfig
) -> torch.optim.lr_scheduler.LambdaLR:
    """The schedule of each of the optimiser's groups."""
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, [factor_of(group["name"], stage) for group in optimizer.param_groups]
    )

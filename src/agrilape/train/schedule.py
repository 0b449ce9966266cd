"""Learning rates and the LAPE gate as plain functions of the step.

A step counts finished optimiser steps, so the first update of a stage runs at step 0. Every function returns
a factor: of the group's peak learning rate, or of the injection.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from agrilape.config.recipe import LapeSchedule, StageConfig

Decay = Literal["cosine", "linear", "constant"]


def main_factor(step: int, warmup: int, total: int, decay: Decay) -> float:
    """Linear warm-up from 0 to 1, then decay to 0 at `total` (or none).

    Args:
        step: Finished optimiser steps.
        warmup: Length of the warm-up in steps.
        total: Length of the stage in steps.
        decay: Shape of the descent.

    Returns:
        Factor in [0, 1].
    """
    if step < warmup:
        return step / warmup
    if decay == "constant":
        return 1.0
    progress = min((step - warmup) / max(total - warmup, 1), 1.0)
    return 1.0 - progress if decay == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))


def lape_factor(step: int, stage: StageConfig) -> float:
    """Factor of LAPE's base learning rate.

    `stepped` is the published strategy with its jump from 0.1 to the multiplier; `continuous` rises to the
    multiplier without a jump and then decays as the main schedule does; `same` is the main schedule itself,
    at the multiplier's share.

    Args:
        step: Finished optimiser steps.
        stage: Warm-ups, length and shape of the stage.

    Returns:
        Factor, at most the multiplier (`stepped`: at least 0.1 just before the jump).
    """
    lape = stage.lape_schedule
    warmup = lape.lape_warmup_steps
    if lape.schedule == "stepped":
        return 0.1 * step / warmup if step < warmup else lape.lape_lr_multiplier
    if lape.schedule == "same":
        warmup = stage.warmup_steps
    return lape.lape_lr_multiplier * main_factor(step, warmup, stage.steps, stage.schedule)


def gate_factor(step: int, schedule: LapeSchedule) -> float:
    """Opening of the injection gate: 0 to 1 over LAPE's warm-up, or 1 throughout.

    A `learned` gate is parameters of LAPE (`Lape.axis_gates`), for which the schedule makes way.

    Args:
        step: Finished optimiser steps.
        schedule: Shape and length of the opening.

    Returns:
        Gate in [0, 1].
    """
    warmup = schedule.lape_warmup_steps
    if schedule.gate in ("off", "learned") or step >= warmup:
        return 1.0
    share = step / warmup
    return share if schedule.gate == "linear" else 0.5 * (1.0 - math.cos(math.pi * share))


def factor_of(group: str, stage: StageConfig) -> Callable[[int], float]:
    """The schedule of one parameter group, as `torch.optim.lr_scheduler.LambdaLR` wants it.

    Args:
        group: Name of the group; `lape` has its own schedule.
        stage: The stage.

    Returns:
        Factor of the group's peak learning rate at a step.
    """
    if group == "lape":
        return lambda step: lape_factor(step, stage)
    return lambda step: main_factor(step, stage.warmup_steps, stage.steps, stage.schedule)

"""The three stages, on `transformers.Trainer`.

`train_recipe` is imported when it is first used: loss and parity check need none of what it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agrilape.train.stages import train_recipe

__all__ = ["train_recipe"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from agrilape.train import stages

    return getattr(stages, name)

"""agrilape: where and when for vision-language models of farmland.

The names below are imported when they are first used, since torch and transformers take seconds to load.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agrilape.config import LapeConfig
    from agrilape.model import Checkpoint, attach, detach, load_adapter, merge, save_adapter
    from agrilape.model import load_checkpoint as from_pretrained
    from agrilape.serve import Predictor, plot
    from agrilape.tokens import add_position_tokens

__version__ = "0.2.0"
__all__ = [
    "Checkpoint",
    "LapeConfig",
    "Predictor",
    "add_position_tokens",
    "attach",
    "detach",
    "from_pretrained",
    "load_adapter",
    "merge",
    "plot",
    "save_adapter",
]

_MODULES = {
    "LapeConfig": "config",
    "Predictor": "serve",
    "add_position_tokens": "tokens",
    "plot": "serve",
}  # the rest lives in `model`
_NAMES = {"from_pretrained": "load_checkpoint"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"agrilape.{_MODULES.get(name, 'model')}")
    return getattr(module, _NAMES.get(name, name))


def __dir__() -> list[str]:
    return [*globals(), *__all__]

"""LAPE, and its attachment to Hugging Face vision-language models."""

from agrilape.model.attach import attach, detach, lape_of
from agrilape.model.checkpoint import Checkpoint, load_checkpoint, merge, save_checkpoint
from agrilape.model.groups import parameter_groups
from agrilape.model.lape import Lape
from agrilape.model.presets import build_preset

__all__ = [
    "Checkpoint", "Lape", "attach", "build_preset", "detach", "lape_of", "load_checkpoint", "merge",
    "parameter_groups", "save_checkpoint",
]  # fmt: skip

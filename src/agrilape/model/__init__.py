"""LAPE, and its attachment to Hugging Face vision-language models."""

from agrilape.model.adapter import load_adapter, save_adapter
from agrilape.model.attach import attach, detach, lape_of
from agrilape.model.checkpoint import (
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from agrilape.model.checkpoint_files import load_model, load_processor
from agrilape.model.lape import Lape
from agrilape.model.merge import merge
from agrilape.model.parameter_groups import parameter_groups
from agrilape.model.presets import build_preset
from agrilape.model.resolve import find_checkpoint, is_checkpoint

__all__ = [
    "Checkpoint", "Lape", "attach", "build_preset", "detach", "find_checkpoint", "is_checkpoint", "lape_of",
    "load_adapter", "load_checkpoint", "load_model", "load_processor", "merge",
    "parameter_groups", "save_adapter", "save_checkpoint",
]  # fmt: skip

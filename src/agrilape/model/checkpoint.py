"""Checkpoints: a folder that Hugging Face reads, with LAPE beside it.

- `config.json`, `model.safetensors`, tokenizer and processor: the base model, as `save_pretrained` writes it;
- `lape.safetensors`, `lape_config.json`: the rows, and what they are;
- `agrilape.json`: how coordinates are spelled, and what else the caller noted.

A model with LoRA is saved as an adapter instead, see `agrilape.model.adapter`; `load_checkpoint` reads both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agrilape.config.lape import LapeConfig
from agrilape.console import warn
from agrilape.errors import ModelError
from agrilape.files import whole_folder
from agrilape.model.adapter import base_of, load_adapter, save_adapter
from agrilape.model.files import (
    META,
    load_model,
    load_processor,
    read_lape,
    read_meta,
    write_lape,
    write_meta,
)
from agrilape.model.merge import merged_settings


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model with all that is needed to use it.

    Attributes:
        model: In evaluation mode, with LAPE attached if the checkpoint has it.
        processor: Its processor, with the position tokens.
        config: Settings of LAPE, attached or merged; None for a model without.
        coordinates: `position_tokens` or `numerals`.
        meta: What was given to `save_checkpoint` as `extra`.
    """

    model: Any
    processor: Any
    config: LapeConfig | None = None
    coordinates: str = "position_tokens"
    meta: Mapping[str, Any] = field(default_factory=dict)


def is_checkpoint(folder: Path) -> bool:
    """Does a folder hold a model, or an adapter to one?"""
    return (folder / "config.json").is_file() or (folder / META).is_file()


def find_checkpoint(folder: Path) -> Path:
    """The checkpoint itself, or the last finished stage of a run folder.

    Raises:
        ModelError: There is none.
    """
    if is_checkpoint(folder):
        return folder
    stages = sorted(
        (path for path in folder.glob("stages/[0-9]*-*") if is_checkpoint(path)),
        key=lambda path: int(path.name.split("-")[0]),
    )
    if not stages:
        raise ModelError(
            f"{folder} holds no checkpoint", "give a checkpoint folder, or the folder of a trained run"
        )
    return stages[-1]


def save_checkpoint(
    folder: Path | str,
    model: Any,
    processor: Any,
    extra: Mapping[str, Any] | None = None,
    state: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a checkpoint whole or not at all; one of the same name is replaced.

    Args:
        folder: Where to; its parents are made if need be.
        model: With or without LAPE; with LoRA it becomes an adapter folder.
        processor: Saved along.
        extra: JSON-ready facts; `coordinates` says how places are spelled.
        state: The model's state, where the model itself holds only pieces of it.
    """
    if hasattr(model, "get_base_model"):
        return save_adapter(folder, model, processor, extra, state)
    folder, state = Path(folder), model.state_dict() if state is None else state
    with whole_folder(folder) as draft:
        base = {name: value for name, value in state.items() if not name.startswith("lape.")}
        model.save_pretrained(draft, state_dict=base)
        processor.save_pretrained(draft)
        write_lape(draft, model, state)
        write_meta(draft, extra or {})
    return folder


def load_checkpoint(
    path: str | Path,
    dtype: torch.dtype | None = None,
    base: str | Path | None = None,
) -> Checkpoint:
    """Load a checkpoint or adapter of agrilape, or any supported model.

    A merged model that has lost its injection into visual features is loaded with a warning.

    Args:
        path: Folder, or the id of a model on the hub.
        dtype: Of the base model; None: as saved. LAPE's rows are float32 always.
        base: The base model of an adapter, if it is no longer where it was.

    Raises:
        ModelError: There is no loadable model.
    """
    folder = Path(path)
    meta = read_meta(folder)
    adapted = base_of(folder, meta)
    if adapted is None:
        model, processor = load_model(path, dtype), load_processor(path)
        config = read_lape(folder, model) or _merged(path, model)
    elif not (base or adapted):
        raise ModelError(
            f"{folder} is an adapter that does not say of which model",
            "name it: from_pretrained(folder, base=...)",
        )
    else:
        model, config = load_adapter(folder, load_model(base or adapted, dtype))
        processor = load_processor(folder)
    return Checkpoint(model.eval(), processor, config, meta.get("coordinates", "position_tokens"), meta)


def _merged(path: str | Path, model: Any) -> LapeConfig | None:
    config = merged_settings(model)
    if config is not None and model.config.agrilape["injection_lost"]:
        warn(
            f"{path} was merged without LAPE's injection into visual features: "
            "it is another model than the one it was made from, so evaluate it for itself"
        )
    return config

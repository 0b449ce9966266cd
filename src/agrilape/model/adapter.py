"""Adapters: only what was trained, to be put onto the base model again.

- `lape.safetensors`, `lape_config.json`: LAPE's rows;
- `adapter_model.safetensors`, `adapter_config.json`: LoRA, as PEFT writes it, once it has begun to train;
- `trained.safetensors`: all other parameters that were trained, by name;
- `agrilape.json`: where the base model is; and the processor's files, which hold the position tokens.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agrilape.config.lape import LapeConfig
from agrilape.errors import ModelError
from agrilape.files import whole_folder
from agrilape.model.attach import inner_model, lape_of
from agrilape.model.checkpoint_files import read_lape, read_tensors, write_lape, write_meta, write_tensors
from agrilape.model.parameter_groups import group_of

TRAINED, LORA = "trained.safetensors", "adapter_config.json"


def save_adapter(
    folder: Path | str,
    model: Any,
    processor: Any = None,
    extra: Mapping[str, Any] | None = None,
    state: Mapping[str, Tensor] | None = None,
    home: Path | None = None,
) -> Path:
    """Write LAPE, LoRA and every other parameter that trains now or was loaded from an adapter.

    Args:
        folder: Where to; replaced as a whole.
        model: Plain or with PEFT's LoRA.
        processor: Saved along if given; `load_checkpoint` needs it, for it holds the position tokens.
        extra: JSON-ready facts, as in `save_checkpoint`.
        state: The tensors of `saved_names`, where the model itself holds only pieces of them.
        home: Where the files will lie in the end, if not in `folder`: from there a local base model is found.
    """
    folder, inner = Path(folder), inner_model(model)
    state = model.state_dict() if state is None else state
    before = _prefix(model)
    own = [name for name, value in inner.named_parameters() if _is_own(inner, name, value)]
    with whole_folder(folder) as draft:
        write_lape(draft, model, state)
        write_tensors(draft / TRAINED, {name: state[before + name] for name in own})
        if model is not inner and _has_learnt(model, state):
            model.save_pretrained(draft, state_dict=dict(state), save_embedding_layers=False)
        if processor is not None:
            processor.save_pretrained(draft)
        write_meta(draft, {**(extra or {}), "base": _base_reference(inner, home or folder)})
    return folder


def saved_names(model: Any) -> set[str]:
    """Names in the model's state that its checkpoint holds: all, or with LoRA those of the adapter."""
    names, inner = set(model.state_dict()), inner_model(model)
    if model is inner:
        return names
    own = {_prefix(model) + name for name, value in inner.named_parameters() if _is_own(inner, name, value)}
    return own | {name for name in names if group_of(name) in ("lape", "lora")}


def load_adapter(folder: Path | str, model: Any) -> tuple[Any, LapeConfig | None]:
    """Put an adapter onto its base model.

    Args:
        folder: Written by `save_adapter`.
        model: The base model, changed in place.

    Returns:
        The model, wrapped by PEFT if the adapter has LoRA, and the settings of LAPE.

    Raises:
        ModelError: The files are damaged, or belong to another base model.
    """
    folder = Path(folder)
    config = read_lape(folder, model)
    own = dict(model.named_parameters())
    trained = read_tensors(folder / TRAINED)
    wrong = [name for name, value in trained.items() if name not in own or own[name].shape != value.shape]
    if wrong:
        raise ModelError(
            f"the adapter in {folder} does not fit this base model: {wrong[0]} differs",
            "give the base model that it was trained on",
        )
    with torch.no_grad():
        for name, value in trained.items():
            own[name].copy_(value)
    model.trained_names = frozenset(trained)
    return _with_lora(model, folder), config


def base_of(folder: Path, meta: Mapping[str, Any]) -> str | Path | None:
    """The base model that an adapter names in its `agrilape.json`; None for a folder that is no adapter."""
    name = meta.get("base")
    if not name:
        return None if name is None else ""
    # Stages used to write what leads there from a folder within the adapter's own.
    near = (folder / name, Path(os.path.normpath(folder / "draft" / name)))
    return next((path for path in near if path.is_dir()), name)


def _is_own(inner: Any, name: str, parameter: torch.nn.Parameter) -> bool:
    """Whether a parameter belongs to the adapter, beyond LAPE and LoRA, which have files of their own."""
    was_loaded = name in getattr(inner, "trained_names", ())
    return group_of(name) not in ("lape", "lora") and (parameter.requires_grad or was_loaded)


def _has_learnt(model: Any, state: Mapping[str, Tensor]) -> bool:
    """Could LoRA matter? Not if it is frozen and its second factors are zero still, as they begin.

    Layers of other kinds, which need not begin so, are taken to matter.
    """
    own = [(name, value) for name, value in model.named_parameters() if group_of(name) == "lora"]
    seconds = [state[name] for name, _ in own if "lora_B" in name]
    trains = any(value.requires_grad for _, value in own)
    return trains or 2 * len(seconds) != len(own) or any(bool(value.any()) for value in seconds)


def _prefix(model: Any) -> str:
    """What PEFT puts before the names of the model that it wraps."""
    inner = inner_model(model)
    return next(f"{name}." if name else "" for name, module in model.named_modules() if module is inner)


def _with_lora(inner: Any, folder: Path) -> Any:
    if not (folder / LORA).is_file():
        return inner
    try:
        from peft import PeftModel
    except ImportError as error:
        raise ModelError(f"{folder} holds LoRA weights", "pip install agrilape[peft]") from error
    model = PeftModel.from_pretrained(inner, folder, is_trainable=True)
    lape = lape_of(model)
    if lape is not None:
        lape.requires_grad_(True)  # PEFT freezes all that it did not make
    return model


def _base_reference(inner: Any, folder: Path) -> str:
    """The base model's hub id or preset; a local folder relative to the adapter, so that both can move."""
    name: str = inner.config.name_or_path or inner.name_or_path
    return os.path.relpath(name, folder) if os.path.isdir(name) else name

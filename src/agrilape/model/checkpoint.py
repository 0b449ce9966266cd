"""Checkpoints: a folder that Hugging Face reads, with LAPE beside it.

- `config.json`, `model.safetensors`, tokenizer and processor: the base model, as `save_pretrained` writes it;
- `lape.safetensors`, `lape_config.json`: the rows, and what they are;
- `agrilape.json`: how coordinates are spelled, and what else the caller noted.

A model with LoRA is saved as an adapter instead, see `agrilape.model.adapter`; `load_checkpoint` reads both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
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
from agrilape.model.checkpoint_files import (
    find_local,
    load_processor,
    load_weights,
    read_lape,
    read_meta,
    write_lape,
    write_meta,
)
from agrilape.model.merge import merged_settings
from agrilape.model.resolve import (
    CONFIG,
    SHIPPED,
    SHIPPED_NAME,
    WEIGHTS,
    is_cached,
    is_hub_name,
    is_on_hub,
    locate,
)
from agrilape.tokens.vocabulary import tokenizer_of

FIRST_TOKEN = "<WIDTH-000>"  # noqa: S105 - of a position


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model with all that is needed to use it.

    Attributes:
        model: In evaluation mode, with LAPE attached if the checkpoint has it.
        processor: Its processor, with the position tokens.
        config: Settings of LAPE, attached or merged; None for a model without.
        coordinates: `position_tokens` or `text`.
        meta: What was given to `save_checkpoint` as `extra`.
    """

    model: Any
    processor: Any
    config: LapeConfig | None = None
    coordinates: str = "position_tokens"
    meta: Mapping[str, Any] = field(default_factory=dict)


def save_checkpoint(
    folder: Path | str,
    model: Any,
    processor: Any,
    extra: Mapping[str, Any] | None = None,
    state: Mapping[str, Tensor] | None = None,
    home: Path | None = None,
) -> Path:
    """Write a checkpoint whole or not at all; one of the same name is replaced.

    Args:
        folder: Where to; its parents are made if need be.
        model: With or without LAPE; with LoRA it becomes an adapter folder.
        processor: Saved along.
        extra: JSON-ready facts; `coordinates` says how places are spelled.
        state: The model's state, where the model itself holds only pieces of it.
        home: Where the files will lie in the end, if not in `folder`.
    """
    if hasattr(model, "get_base_model"):
        return save_adapter(folder, model, processor, extra, state, home)
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
    trust_remote_code: bool = False,
    may_fetch: Collection[str] = (),
    ready_base: Callable[[Any], None] | None = None,
) -> Checkpoint:
    """Load a checkpoint or adapter of agrilape, or any supported model.

    A merged model that has lost its injection into visual features is loaded with a warning. The base model
    that an adapter names on the hub is taken from this machine's cache alone: whoever wrote the adapter does
    not decide what is fetched.

    Args:
        path: Folder of a checkpoint or of a run, `shipped:nano`, or the id of a model on the hub.
        dtype: Of the base model; None: as saved. LAPE's rows are float32 always.
        base: The base model of an adapter, if it is no longer where it was, or to have it fetched.
        trust_remote_code: Whether a model on the hub may bring code of its own, if it is named here.
        may_fetch: Hub models that may be fetched if an adapter names them as its base.
        ready_base: Changes the base model in place before LAPE and LoRA are put onto it.

    Raises:
        ModelError: There is no loadable model, or what belongs to it is missing.
    """
    found = find_local(path)
    folder = found if isinstance(found, Path) else None
    meta = read_meta(folder) if folder else {}
    adapted = base_of(folder, meta) if folder else None
    if folder and adapted is not None:
        named = base is not None or adapted in may_fetch
        weights = _base_of(folder, base or adapted, named)
        local = not named and is_on_hub(weights)
        model = load_weights(weights, dtype, trust_remote_code and named, only_local=local)
        if ready_base:
            ready_base(model)
        model, config = load_adapter(folder, model)
        processor = load_processor(folder)
    else:
        model = load_weights(found, dtype, trust_remote_code)
        if ready_base:
            ready_base(model)
        processor = load_processor(found, trust_remote_code)
        config = (read_lape(folder, model) if folder else None) or _merged(path, model)
    if folder and meta and config is None:
        _refuse_lost_rows(folder, processor)
    if folder and folder.is_relative_to(SHIPPED):
        path = SHIPPED_NAME
    if is_on_hub(path) and folder and adapted is None:
        model.config.name_or_path = str(path)  # what an adapter calls its base, on any machine
    return Checkpoint(model.eval(), processor, config, meta.get("coordinates", "position_tokens"), meta)


def _base_of(folder: Path, base: str | Path, named: bool) -> Path | str:
    """Where the base model of an adapter lies; `named` by the caller, or else by the adapter alone."""
    if not base:
        raise ModelError(
            f"{folder} is an adapter that does not say of which model",
            "name it: from_pretrained(folder, base=...)",
        )
    found = find_local(base) if named else locate(base)
    if named or not is_on_hub(found):
        return found
    if not is_hub_name(str(found)):
        raise ModelError(
            f"the base model of the adapter in {folder} is not there: {found}",
            "put it there, or name it: from_pretrained(folder, base=...)",
        )
    if not is_cached(str(found)):
        raise ModelError(
            f"{folder} is an adapter of {found}, which is not on this machine",
            f"if you want that model: `hf download {found}`, or from_pretrained(folder, base={found!r})",
        )
    return found


def find_weights(path: str | Path) -> Path | str:
    """Where the configuration of a model lies: of an adapter, its base model's; see `locate`."""
    found = find_local(path)
    base = base_of(found, read_meta(found)) if isinstance(found, Path) else None
    return locate(base) if base else found


def _refuse_lost_rows(folder: Path, processor: Any) -> None:
    """A checkpoint whose tokenizer has position tokens had rows for them."""
    tokenizer = tokenizer_of(processor)
    if FIRST_TOKEN in tokenizer.get_vocab():
        raise ModelError(
            f"{folder} has position tokens, but {CONFIG} and {WEIGHTS}, which belong to it, are missing",
            "copy the folder again, whole",
        )


def _merged(path: str | Path, model: Any) -> LapeConfig | None:
    config = merged_settings(model)
    if config is not None and model.config.agrilape["injection_lost"]:
        warn(
            f"{path} was merged without LAPE's injection into visual features: "
            "it is another model than the one it was made from, so evaluate it for itself"
        )
    return config

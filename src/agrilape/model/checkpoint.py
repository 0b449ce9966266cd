"""Checkpoints: a folder that Hugging Face reads, with LAPE beside it.

- `config.json`, `model.safetensors`, tokenizer and processor: the base model, as `save_pretrained` writes it;
- `lape.safetensors`, `lape_config.json`: the rows, and what they are;
- `agrilape.json`: how coordinates are spelled, and what else the caller noted.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from agrilape.config.lape import LapeConfig
from agrilape.errors import ModelError
from agrilape.model.attach import attach, detach, lape_of

WEIGHTS, CONFIG, META = "lape.safetensors", "lape_config.json", "agrilape.json"


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model with all that is needed to use it.

    Attributes:
        model: In evaluation mode, with LAPE attached if the checkpoint has it.
        processor: Its processor, with the position tokens.
        config: Settings of LAPE; None for a model without.
        coordinates: `position_tokens` or `numerals`.
        meta: What was given to `save_checkpoint` as `extra`.
    """

    model: Any
    processor: Any
    config: LapeConfig | None = None
    coordinates: str = "position_tokens"
    meta: Mapping[str, Any] = field(default_factory=dict)


def save_checkpoint(folder: Path, model: Any, processor: Any, extra: Mapping[str, Any] | None = None) -> Path:
    """Write a checkpoint whole or not at all; one of the same name is replaced.

    Args:
        folder: Where to; the parent is made if need be.
        model: With or without LAPE.
        processor: Saved along.
        extra: JSON-ready facts; `coordinates` says how places are spelled.
    """
    with new_folder(folder) as draft:
        lape = lape_of(model)
        weights = {name: value for name, value in model.state_dict().items() if not name.startswith("lape.")}
        model.save_pretrained(draft, state_dict=weights)
        processor.save_pretrained(draft)
        if lape is not None:
            save_file(
                {name: value.contiguous() for name, value in lape.state_dict().items()}, draft / WEIGHTS
            )
            (draft / CONFIG).write_text(lape.config.model_dump_json(indent=1))
        (draft / META).write_text(json.dumps(dict(extra or {}), indent=1))
    return folder


def load_checkpoint(path: str | Path, dtype: torch.dtype | None = None) -> Checkpoint:
    """Load a checkpoint of agrilape, or any supported model from a folder or the hub.

    Args:
        path: Folder or hub id.
        dtype: Of the base model; None: as saved. LAPE's rows are float32 always.

    Raises:
        ModelError: There is no loadable model.
    """
    try:
        model = AutoModelForImageTextToText.from_pretrained(path, dtype=dtype or "auto").eval()
        processor = AutoProcessor.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"cannot load a vision-language model from {path}: {str(error).splitlines()[0]}",
            "give the folder of a checkpoint, or the id of a model on the Hugging Face hub",
        ) from error
    folder = Path(path)
    meta = json.loads((folder / META).read_text()) if (folder / META).is_file() else {}
    config = None
    if (folder / CONFIG).is_file():
        config = LapeConfig.model_validate_json((folder / CONFIG).read_text())
        load_lape(model, config, folder)
    return Checkpoint(model, processor, config, meta.get("coordinates", "position_tokens"), meta)


def load_lape(model: Any, config: LapeConfig, folder: Path) -> None:
    """Attach LAPE with the rows of a checkpoint or adapter."""
    blank = config.model_copy(update={"initialisation": "mean"})  # overwritten: needs no tokenizer
    attach(model, blank)
    lape = lape_of(model)
    assert lape is not None
    lape.config = config
    lape.load_state_dict(load_file(folder / WEIGHTS))


@torch.no_grad()
def merge(model: Any) -> Any:
    """Write LAPE's rows into the vocabulary and detach, in place: a plain Hugging Face model remains.

    The injection into visual features cannot be merged, so the merged model is another model unless the
    injection is off: evaluate it for itself.

    Returns:
        The same object.

    Raises:
        ModelError: LAPE is not attached.
    """
    lape = lape_of(model)
    if lape is None:
        raise ModelError("there is no LAPE to merge", "attach it, or load a checkpoint that has it")
    ids, rows = lape.token_ids, {direction: lape.rows(direction) for direction in ("in", "out")}
    detach(model)
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if head.weight is embedding.weight and not lape.tied:
        head.weight = torch.nn.Parameter(head.weight.clone())
        for config in (model.config, model.config.get_text_config()):
            config.tie_word_embeddings = False
    for weight, new in ((embedding.weight, rows["in"]), (head.weight, rows["out"])):
        weight[ids] = new.to(weight)
    return model


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A draft beside the folder that takes its place when all is written, and is removed if that fails."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    draft.chmod(0o755)
    try:
        yield draft
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            os.replace(folder, old / folder.name)
            os.replace(draft, folder)
            shutil.rmtree(old)
        else:
            os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)

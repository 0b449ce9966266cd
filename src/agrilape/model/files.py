"""The files of checkpoints and adapters, read with errors that name a fault."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor

from agrilape.config.lape import LapeConfig
from agrilape.errors import ModelError
from agrilape.model.attach import attach, lape_of
from agrilape.model.presets import Built, build_preset

WEIGHTS, CONFIG, META = "lape.safetensors", "lape_config.json", "agrilape.json"


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ModelError: It is missing or damaged.
    """
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot read {path}: {_first_line(error)}", "copy or train it again") from error
    return tensors


def write_lape(folder: Path, model: Any, state: Mapping[str, Tensor]) -> None:
    """Write LAPE's rows, from the model's state, and its settings; nothing if the model has none."""
    lape = lape_of(model)
    if lape is not None:
        rows = {
            name.rpartition("lape.")[2]: value for name, value in state.items() if "lape" in name.split(".")
        }
        write_tensors(folder / WEIGHTS, rows)
        (folder / CONFIG).write_text(lape.config.model_dump_json(indent=1))


def read_lape(folder: Path, model: Any) -> LapeConfig | None:
    """Attach LAPE with the rows of a folder; None if it has none.

    Raises:
        ModelError: The files are damaged, or belong to another model.
    """
    if not (folder / CONFIG).is_file():
        return None
    try:
        config = LapeConfig.model_validate_json((folder / CONFIG).read_text())
        # The rows are overwritten at once; `mean` is a beginning that needs no tokenizer.
        attach(model, config.model_copy(update={"initialisation": "mean"}))
        lape = lape_of(model)
        assert lape is not None
        lape.config = config
        lape.load_state_dict(read_tensors(folder / WEIGHTS))
    except (OSError, ValidationError, RuntimeError) as error:
        raise ModelError(
            f"cannot read LAPE from {folder}: {_first_line(error)}",
            "the folder is incomplete or belongs to another model; copy or train it again",
        ) from error
    return config


def read_meta(folder: Path) -> dict[str, Any]:
    """What `agrilape.json` says; nothing if there is none."""
    path = folder / META
    if not path.is_file():
        return {}
    try:
        meta: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise ModelError(f"{path} is damaged: {_first_line(error)}", "copy or train it again") from error
    return meta


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """Write `agrilape.json`."""
    (folder / META).write_text(json.dumps(dict(meta), indent=1))


def load_model(path: str | Path, dtype: torch.dtype | None = None, trust_remote_code: bool = False) -> Any:
    """Load a model without LAPE, in evaluation mode.

    Args:
        path: Folder, hub id, or `preset:<name>:<seed>` for a built-in model.
        dtype: Of the weights; None: as saved.
        trust_remote_code: Whether the hub may bring code of its own.

    Raises:
        ModelError: There is no loadable model.
    """
    preset = _preset(path)
    if preset is not None:
        return preset.model.to(dtype or torch.float32).eval()
    with _explained(path):
        model = AutoModelForImageTextToText.from_pretrained(
            path, dtype=dtype or "auto", trust_remote_code=trust_remote_code
        )
    return model.eval()


def load_processor(path: str | Path, trust_remote_code: bool = False) -> Any:
    """Load the processor of a model, likewise."""
    preset = _preset(path)
    if preset is not None:
        return preset.processor
    with _explained(path):
        return AutoProcessor.from_pretrained(path, trust_remote_code=trust_remote_code)


def _preset(path: str | Path) -> Built | None:
    kind, _, rest = str(path).partition(":")
    name, _, seed = rest.partition(":")
    return build_preset(name, int(seed or 0)) if kind == "preset" else None


@contextmanager
def _explained(path: str | Path) -> Iterator[None]:
    try:
        yield
    except ImportError as error:  # a video processor wants torchvision, though no video is ever shown to it
        raise ModelError(
            f"{path} needs a package that is missing: {_first_line(error)}", "pip install agrilape[families]"
        ) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"cannot load a vision-language model from {path}: {_first_line(error)}",
            "give the folder of a checkpoint, or the id of a model on the Hugging Face hub",
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

"""What is in a checkpoint or adapter, read from its files without loading the model."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from agrilape.errors import ModelError
from agrilape.model.checkpoint_files import read_meta, read_object, read_settings
from agrilape.model.parameter_groups import group_of
from agrilape.model.resolve import CONFIG, WEIGHTS


def inspect_checkpoint(folder: Path | str) -> dict[str, Any]:
    """Facts about a folder, JSON-ready.

    Returns:
        `kind` (checkpoint or adapter), `model` (family), `base` (of an adapter), `parameters` by group,
        `bytes` of weights, `lape` (its settings but for the token ids, and `tables` with their shapes),
        `injection_lost` (whether merging did that; None for a model that is not merged), and `extra`.

    Raises:
        ModelError: There is no checkpoint, or a file is damaged.
    """
    folder = Path(folder)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(
            f"{folder} holds no weights (*.safetensors)", "name the folder of a checkpoint or adapter"
        )
    shapes = {name: shape for file in files for name, shape in _shapes(file).items()}
    meta = read_meta(folder)
    base, config = meta.pop("base", None), _config(folder)
    lape = set(_shapes(folder / WEIGHTS)) if (folder / WEIGHTS).is_file() else set()
    parameters: dict[str, int] = {}
    for name, shape in shapes.items():
        group = "lape" if name in lape else group_of(name)
        if shape:  # LAPE's two scalars are state, not parameters
            parameters[group] = parameters.get(group, 0) + prod(shape)
    return {
        "folder": str(folder),
        "kind": "adapter" if base else "checkpoint",
        "model": config.get("model_type"),
        "base": base,
        "parameters": {**parameters, "total": sum(parameters.values())},
        "bytes": sum(file.stat().st_size for file in files),
        "lape": _lape_facts(folder),
        "injection_lost": _merged(config).get("injection_lost"),
        "extra": meta,
    }


def _merged(config: dict[str, Any]) -> dict[str, Any]:
    facts = config.get("agrilape")
    return facts if isinstance(facts, dict) else {}


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(file, framework="pt") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file} is damaged: {error}", "copy or train it again") from error


def _lape_facts(folder: Path) -> dict[str, Any] | None:
    if not (folder / CONFIG).is_file():
        return None
    config = read_settings(folder)
    assert config is not None
    tables = {name: list(shape) for name, shape in _shapes(folder / WEIGHTS).items() if len(shape) == 2}
    return {**config.model_dump(exclude={"token_ids"}), "tables": tables}


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    return read_object(path) if path.is_file() else {}

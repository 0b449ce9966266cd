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

from agrilape.config.former_names import present_coordinates
from agrilape.config.lape import LapeConfig
from agrilape.errors import AgrilapeError, DataError, ModelError
from agrilape.files import check_name, is_out_of_room
from agrilape.io.json_text import read_json_object
from agrilape.model.attach import attach, lape_of
from agrilape.model.presets import NewModel, build_preset
from agrilape.model.resolve import CONFIG, META, WEIGHTS, fetch, is_on_hub, locate, refuse_bare_adapter
from agrilape.tokens.library_errors import explained

COORDINATES = ("position_tokens", "text")

_COPY = "copy or train it again"


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
        ModelError: The files are damaged, incomplete, or belong to another model.
    """
    config = read_settings(folder)
    if config is None:
        return None
    # The rows are overwritten at once; `mean` is a beginning that needs no tokenizer.
    try:
        attach(model, config.model_copy(update={"initialisation": "mean"}), anew=True)
        lape = lape_of(model)
        assert lape is not None
        lape.config = config
        lape.load_state_dict(read_tensors(folder / WEIGHTS))
    except RuntimeError as error:
        raise _unreadable(folder, error) from error
    return config


def read_settings(folder: Path) -> LapeConfig | None:
    """The settings of the LAPE in a folder; None if it has none.

    Raises:
        ModelError: The file is damaged, or missing where there are rows.
    """
    if not (folder / CONFIG).is_file():
        if (folder / WEIGHTS).is_file():
            raise ModelError(
                f"{folder} has LAPE's rows ({WEIGHTS}) without their settings ({CONFIG})",
                "copy the folder again, whole",
            )
        return None
    try:
        return LapeConfig.model_validate(read_json_object(folder / CONFIG, ModelError, _COPY))
    except ValueError as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> ModelError:
    return ModelError(
        f"cannot read LAPE from {folder}: {_first_line(error)}",
        "the folder is incomplete or belongs to another model; copy or train it again",
    )


def read_meta(folder: Path) -> dict[str, Any]:
    """What `agrilape.json` says; nothing if there is none."""
    path = folder / META
    if not path.is_file():
        return {}
    meta = read_object(path)
    if "coordinates" in meta:
        meta["coordinates"] = present_coordinates(meta["coordinates"])
    for key, known in (("coordinates", COORDINATES), ("base", ())):
        value = meta.get(key)
        if value is not None and (not isinstance(value, str) or (known and value not in known)):
            wanted = f"one of {', '.join(known)}" if known else "a name"
            raise ModelError(f"{path}: {key} is {value!s:.60}, not {wanted}", "copy or train it again")
    return meta


def read_object(path: Path) -> dict[str, Any]:
    """The object that one of a checkpoint's JSON files holds.

    Raises:
        ModelError: It holds something else, or cannot be read.
    """
    return read_json_object(path, ModelError, _COPY)


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """Write `agrilape.json`."""
    (folder / META).write_text(json.dumps(dict(meta), indent=1))


def load_model(path: str | Path, dtype: torch.dtype | None = None, trust_remote_code: bool = False) -> Any:
    """Load a model that has no LAPE, in evaluation mode.

    Args:
        path: Folder, hub id, or `preset:<name>:<seed>` for a built-in model.
        dtype: Of the weights; None: as saved.
        trust_remote_code: Whether the hub may bring code of its own.

    Raises:
        ModelError: There is no loadable model, or it has LAPE, which would be lost.
    """
    folder = find_local(path)
    if isinstance(folder, Path) and has_lape(folder):
        raise ModelError(
            f"{folder} has LAPE, without which it is another model",
            f"agrilape.from_pretrained({str(path)!r}) loads both",
        )
    return load_weights(folder, dtype, trust_remote_code)


def load_weights(
    path: str | Path,
    dtype: torch.dtype | None = None,
    trust_remote_code: bool = False,
    only_local: bool = False,
) -> Any:
    """As `load_model`, for whoever attaches LAPE afterwards, or has rows of another kind for the model."""
    preset = _preset(path)
    if preset is not None:
        return preset.model.to(dtype or torch.float32).eval()
    _check_pieces(Path(path))
    with _explained(path):
        refuse_bare_adapter(Path(path))
        model = AutoModelForImageTextToText.from_pretrained(
            path, dtype=dtype or "auto", trust_remote_code=trust_remote_code, local_files_only=only_local
        )
    return model.eval()


def _check_pieces(folder: Path) -> None:
    """The files that the weights of a folder are spread over lie in it.

    Raises:
        ModelError: Its index names others.
    """
    for index in folder.glob("*.index.json") if folder.is_dir() else ():
        try:
            names = set(read_json_object(index)["weight_map"].values())
            for name in names:
                check_name(name, "the name of a file of weights", parts=1)
        except DataError as error:
            raise ModelError(f"{index}: {error.problem}", "get the model anew from its origin") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{index} is not readable: {error}", "copy the folder again, whole") from error


def has_lape(folder: Path) -> bool:
    """Has the checkpoint or adapter in a folder LAPE of its own?"""
    return any((folder / name).is_file() for name in (CONFIG, WEIGHTS))


def find_local(path: str | Path) -> Path | str:
    """As `locate`; a checkpoint of agrilape on the hub is fetched, and its folder given."""
    found = locate(path)
    if not is_on_hub(found):
        return found
    with _explained(path):
        return fetch(str(found)) or found


def load_processor(path: str | Path, trust_remote_code: bool = False) -> Any:
    """Load the processor of a model, likewise; of a run folder, that of its last finished stage."""
    path = locate(path)
    preset = _preset(path)
    if preset is not None:
        return preset.processor
    with _explained(path):
        return AutoProcessor.from_pretrained(path, trust_remote_code=trust_remote_code)


def _preset(path: str | Path) -> NewModel | None:
    kind, _, rest = str(path).partition(":")
    name, _, seed = rest.partition(":")
    return build_preset(name, int(seed or 0)) if kind == "preset" else None


@contextmanager
def _explained(path: str | Path) -> Iterator[None]:
    try:
        with explained(f"cannot load a vision-language model from {path}"):
            yield
    except AgrilapeError:
        raise
    except ImportError as error:  # a video processor wants torchvision, though no video is ever shown to it
        raise ModelError(
            f"{path} needs a package that is missing: {_first_line(error)}",
            "pip install 'agrilape[families]'",
        ) from error
    except Exception as error:  # whatever a damaged or strange configuration raises
        if is_out_of_room(error) or isinstance(error, MemoryError):
            raise
        raise ModelError(
            f"cannot load a vision-language model from {path}: {_first_line(error)}",
            "give the folder of a checkpoint, or the id of a model on the Hugging Face hub",
        ) from error


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

"""Which model a name means: a checkpoint, a run folder, a hub id, a preset, or the model that ships."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import (
    _CACHED_NO_EXIST,
    constants,
    hf_hub_download,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from huggingface_hub.utils._validators import validate_repo_id

from agrilape.console import warn
from agrilape.errors import ModelError

WEIGHTS, CONFIG, META = "lape.safetensors", "lape_config.json", "agrilape.json"
LORA = "adapter_config.json"
SHIPPED = Path(__file__).resolve().parents[1] / "serve" / "nano"
"""Run folder of the small model that comes with agrilape; its README.md says how good it is, and at what."""
PATIENCE_S = 5.0  # for the hub to answer
SHIPPED_NAME = "shipped:nano"
"""What it is called wherever a model is named."""


def is_checkpoint(folder: Path) -> bool:
    """Does a folder hold a model, or an adapter to one?"""
    return (folder / "config.json").is_file() or (folder / META).is_file()


def is_finished(stage: Path) -> bool:
    """Does the folder of a stage hold its checkpoint, whole? `resume` is there until `stage.json` is."""
    return is_checkpoint(stage) and ((stage / "stage.json").is_file() or not (stage / "resume").is_dir())


def find_checkpoint(name: Path | str) -> Path:
    """The checkpoint itself, or the last finished stage of a run folder.

    Args:
        name: Either folder, or `shipped:nano`.

    Raises:
        ModelError: There is none.
    """
    folder = SHIPPED if str(name) == SHIPPED_NAME else Path(name)
    if is_checkpoint(folder):
        return folder
    refuse_bare_adapter(folder)
    stages = sorted(
        (path for path in folder.glob("stages/[0-9]*-*") if is_finished(path)),
        key=lambda path: int(path.name.split("-")[0]),
    )
    if not stages:
        raise ModelError(
            f"{folder} holds no checkpoint", "give a checkpoint folder, or the folder of a trained run"
        )
    return stages[-1]


def refuse_bare_adapter(folder: Path) -> None:
    """Of an adapter alone, transformers would fetch whatever base model it names.

    Raises:
        ModelError: The folder is one.
    """
    if (folder / "config.json").is_file():
        return
    if (folder / META).is_file():
        raise ModelError(
            f"{folder} is an adapter of agrilape, without its base model",
            "agrilape.from_pretrained loads both",
        )
    if (folder / LORA).is_file():
        raise ModelError(
            f"{folder} is an adapter that was not made by agrilape",
            "merge it into its base model (PEFT's merge_and_unload) and name the folder of the result",
        )


def locate(name: Path | str) -> Path | str:
    """What a name of a model stands for, without loading anything; the hub is not asked.

    Args:
        name: As `model.path` of a recipe has it.

    Returns:
        A folder: of a checkpoint, of the last finished stage of a run, or of any other model; else the hub
        id, or `preset:<name>:<seed>`, as it is.

    Raises:
        ModelError: A run folder has no finished stage.
    """
    folder = Path(name)
    if str(name) == SHIPPED_NAME or (folder.is_dir() and is_run(folder)):
        return find_checkpoint(name)
    return folder if folder.is_dir() else str(name)


def is_run(folder: Path) -> bool:
    """Is a folder one of a run, and no checkpoint itself?"""
    return (folder / "stages").is_dir() and not is_checkpoint(folder)


def is_on_hub(name: Path | str) -> bool:
    """Is something meant that lies on the hub, or in its cache on this machine?"""
    return isinstance(name, str) and not name.startswith("preset:") and not Path(name).is_dir()


def fetch(name: str) -> Path | None:
    """The local copy of a checkpoint of agrilape on the hub; None for any other model there.

    Raises:
        OSError: The hub cannot be asked, and the model is not on this machine.
        ValueError: The hub can have no such name.
    """
    if try_to_load_from_cache(name, META) is _CACHED_NO_EXIST:
        return None
    stay_offline_if_unreachable()
    try:
        hf_hub_download(name, META)
    except LocalEntryNotFoundError:
        if is_cached(name):
            return None  # the model was fetched before, without a file of this name
        raise
    except EntryNotFoundError:
        return None
    return Path(snapshot_download(name))


def stay_offline_if_unreachable() -> None:
    """Use only what is on this machine, for the rest of the process, where the hub does not answer at once.

    Its client would ask again and again for minutes. Behind a proxy the hub itself need not be reachable, so
    then the client finds out.
    """
    address = urlsplit(constants.ENDPOINT)
    if constants.is_offline_mode() or getproxies().keys() & {"http", "https", "all"}:
        return
    try:
        with socket.create_connection((address.hostname or "", address.port or 443), timeout=PATIENCE_S):
            pass
    except OSError:
        constants.HF_HUB_OFFLINE = True
        warn(f"{address.hostname} does not answer: only models on this machine are used")


def is_cached(name: str) -> bool:
    """Is a model of the hub on this machine?"""
    return is_hub_name(name) and isinstance(try_to_load_from_cache(name, "config.json"), str)


def is_hub_name(name: str) -> bool:
    """Could a model on the hub be called so?"""
    try:
        validate_repo_id(name)
    except ValueError:
        return False
    return True


def fetched(name: str) -> Path | None:
    """As `fetch`, of what is on this machine already."""
    file = try_to_load_from_cache(name, META) if is_hub_name(name) else None
    return Path(file).parent if isinstance(file, str) else None

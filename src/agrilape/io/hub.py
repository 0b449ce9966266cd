"""Folders to the Hugging Face Hub: a published data set, a checkpoint or an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import httpx
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

from agrilape.errors import AgrilapeError, DataError

Kind = Literal["dataset", "model"]
UNWANTED = ("resume/**", "checkpoint-*/**", "optimizer*", "tensorboard/**", "log.jsonl", "**/.*", ".*")
"""What of a folder stays here: what training goes on from, and hidden files."""


def kind_of(folder: Path) -> Kind:
    """What a folder is to a hub.

    Raises:
        DataError: It is neither a published data set nor a checkpoint.
    """
    if (folder / "croissant.json").is_file():
        return "dataset"
    if any(folder.glob("*.safetensors")):
        return "model"
    remedy = "name the output of `agrilape data publish`, or the folder of a checkpoint or adapter"
    raise DataError(f"{folder} holds neither a published data set nor weights", remedy)


def push_folder(
    folder: Path,
    repository: str,
    private: bool = False,
    endpoint: str | None = None,
    token: str | None = None,
) -> str:
    """Send a folder to a repository, which is made if it is not there, as one commit.

    Args:
        folder: A published data set, or the folder of a checkpoint or adapter.
        repository: `owner/name`.
        private: Make a new repository private.
        endpoint: Address of the hub; None for `HF_ENDPOINT`, else huggingface.co.
        token: Who pushes; None for `HF_TOKEN`, else the login of `hf auth login`. It is never logged.

    Returns:
        Address of the commit.

    Raises:
        DataError: The folder is nothing that is pushed.
        AgrilapeError: The hub refuses, or cannot be reached.
    """
    kind = kind_of(folder)
    api = HfApi(endpoint=endpoint, token=token)
    try:
        api.create_repo(repository, repo_type=kind, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository, folder_path=folder, repo_type=kind, ignore_patterns=list(UNWANTED),
            commit_message="Pushed by agrilape",
        )  # fmt: skip
    except HFValidationError as error:
        raise DataError(f"{repository!r} is no name of a repository", "write owner/name") from error
    except LocalTokenNotFoundError as error:
        raise AgrilapeError(
            "nobody is logged in to the hub", "run `hf auth login`, or set HF_TOKEN"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise AgrilapeError(
            f"the hub refused {repository} (HTTP {status})",
            "log in with a token that may write (`hf auth login`, HF_TOKEN)"
            if status in (401, 403)
            else "try again later; nothing was changed by an unfinished commit",
        ) from None  # its text quotes the request
    except (httpx.HTTPError, OSError) as error:
        raise AgrilapeError(
            f"the hub cannot be reached ({type(error).__name__})", "check the network and HF_ENDPOINT"
        ) from None
    return str(commit.commit_url)

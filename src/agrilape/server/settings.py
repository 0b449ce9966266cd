"""What a service may do, and how much of it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from agrilape.errors import RecipeError

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class ServerSettings:
    """Limits and folders of a service.

    Attributes:
        state: Folder of its own: jobs and uploaded images.
        images: Folder whose images may be asked about; None: only what is uploaded.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        api_key: What clients must send as `Authorization: Bearer KEY`; None: nothing.
        largest_upload: Bytes of a request.
        most_pixels: Columns times rows of an image that is asked about.
        most_tiles: Tiles of a question that is answered while the client waits; larger ones are jobs.
        most_waiting: Requests at once; more are told to come again (429).
        most_jobs: Jobs that are not finished.
        batch_size: Tiles that the model answers at once.
        timeout_s: Seconds that an answer may take while the client waits.
        keep_uploads_s: Seconds that an uploaded image is kept.
    """

    state: Path
    images: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None
    largest_upload: int = 512 * MEGABYTE
    most_pixels: int = 400_000_000
    most_tiles: int = 1024
    most_waiting: int = 64
    most_jobs: int = 100
    batch_size: int = 32
    timeout_s: float = 120.0
    keep_uploads_s: float = 86_400.0

    def __post_init__(self) -> None:
        """Refuse what is not safe: a service that anybody on the network may use without a key."""
        if not self.is_local and self.api_key is None:
            raise RecipeError(
                f"anybody who reaches {self.host} could use the service",
                "give a file that holds a key (--api-key-file), or listen on 127.0.0.1",
            )
        if self.images is not None and not self.images.is_dir():
            raise RecipeError(f"{self.images} is not a folder", "give the folder that holds the images")

    @property
    def is_local(self) -> bool:
        """Does only this machine reach it?"""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def read_api_key(path: Path) -> str:
    """The key in a file.

    Raises:
        RecipeError: There is none.
    """
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path} cannot be read: {error}", "write a key into it: openssl rand -hex 24"
        ) from error
    if len(key) < 16 or not key.isascii() or any(letter.isspace() for letter in key):
        raise RecipeError(
            f"{path} holds no key of 16 letters or more on one line", "openssl rand -hex 24 writes one"
        )
    return key

"""The manifest of a prepared data set: what is in the folder, made from what, under which terms."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from agrilape.config.base import Settings
from agrilape.config.former_names import present_scores
from agrilape.config.recipe import DatasetConfig
from agrilape.dataset.split_notes import split_notes
from agrilape.dataset.store import Store
from agrilape.errors import DataError
from agrilape.files import path_inside, write_text

NAME = "manifest.json"


class Shard(Settings):
    """One Parquet file of the data set."""

    path: str = Field(description="Relative to the manifest.")
    split: str
    chips: int
    bytes: int
    sha256: str

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        if PurePath(path).name != path:
            raise ValueError("a shard lies beside its manifest")
        return path


class Origin(Settings):
    """Where data come from, and what their owners ask for."""

    source: str
    scenes: int
    licence: str | None = None
    citation: str | None = None


class Skip(Settings):
    """Something that was skipped, and why."""

    scene: str
    reason: str

    def __str__(self) -> str:
        """In one line, with the scene named once."""
        reason = self.reason.replace("\n  -> ", "; ")
        return reason if reason.startswith(self.scene) else f"{self.scene}: {reason}"


class SplitCounts(Settings):
    """What one split holds."""

    chips: int
    pictures: int
    samples: int
    tasks: Annotated[dict[str, int], BeforeValidator(present_scores)] = Field(
        description="Samples of each task."
    )
    groups: tuple[str, ...] = Field(description="Scenes or blocks of this split.")


class Manifest(Settings):
    """A prepared data set."""

    name: str
    key: str = Field(description="Hash of the configuration, the input files and the format.")
    version: str = Field(description="Version of agrilape that made it.")
    config: DatasetConfig
    shards: tuple[Shard, ...]
    splits: dict[str, SplitCounts]
    window: tuple[str, str] | None = Field(description="First and last date of all calendars.")
    origins: tuple[Origin, ...]
    skipped_scenes: tuple[Skip, ...]
    skipped_chips: dict[str, int] = Field(description="Number of chips skipped, by reason.")

    @property
    def notes(self) -> list[str]:
        """What is to be said of its splits, see `split_notes`."""
        splits = {name: counts.model_dump() for name, counts in self.splits.items()}
        return split_notes(self.config.model_dump(mode="json"), splits)

    def write(self, folder: Path) -> None:
        """Write `manifest.json`, whole or not at all.

        Raises:
            DiskError: There is no room for it.
        """
        write_text(folder / NAME, self.model_dump_json(indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a prepared folder.

    Raises:
        DataError: There is none, it is not valid, or a file that it lists is missing or of another size.
    """
    path = folder / NAME
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{folder} holds no prepared data set", "run `agrilape prepare` first") from error
    except ValidationError as error:
        reason = error.errors()[0]
        raise DataError(
            f"{path} is not valid: {'.'.join(map(str, reason['loc']))}: {reason['msg']}",
            "prepare the data set again",
        ) from error
    for shard in manifest.shards:
        file = path_inside(folder, shard.path, f"{path}: the path of a shard", "prepare the data set again")
        if not file.is_file() or file.stat().st_size != shard.bytes:
            raise DataError(f"{file} is missing or incomplete", "prepare the data set again")
    return manifest


def read_store(folder: Path, split: str) -> Store:
    """The chips of one split of a prepared data set, read as they are asked for.

    Args:
        folder: Folder of the data set, with its manifest.
        split: `train`, `val` or `test`.

    Raises:
        DataError: The folder is not a whole prepared data set, or the split is empty.
    """
    manifest = read_manifest(folder)
    files = [folder / shard.path for shard in manifest.shards if shard.split == split]
    if not files:
        have = ", ".join(f"{name} ({counts.chips})" for name, counts in manifest.splits.items()) or "nothing"
        raise DataError(f"data set {manifest.name} has no {split!r} chips, it has {have}", "change `split`")
    return Store(files)


def hash_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_splits(splits: Mapping[str, SplitCounts]) -> str:
    """Counts of all splits in one line."""
    return ", ".join(f"{name} {c.chips} chips / {c.samples} questions" for name, c in splits.items())

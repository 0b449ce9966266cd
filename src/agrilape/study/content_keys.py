"""Content keys: what a result was made from, so that it is made once and never taken for another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import agrilape
from agrilape.config import Recipe
from agrilape.config.former_names import in_digests
from agrilape.config.recipe import DatasetConfig
from agrilape.dataset.manifest import read_manifest
from agrilape.study.plan import Curve

MAKES_DATA = ("config", "geo", "sources", "simulate", "dataset", "prepare")
MAKES_RUNS = ("config", "geo", "dataset", "tokens", "model", "train", "evaluate", "study/single_run.py")
"""Packages and modules on whose code the data, and what is learnt from them, depends."""
MAKES_MAPS = ("geo", "sources", "prepare", "serve", "maps")
"""Likewise those on which answers about whole maps depend besides, where a study measures them."""


@lru_cache
def code_key(parts: tuple[str, ...]) -> str:
    """Digest of the source files of parts of this package."""
    root = Path(agrilape.__file__).parent
    digest = hashlib.sha256()
    for part in parts:
        place = root / part
        assert place.exists(), f"there is no {part} any more"
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.suffix in (".py", ".yaml"):
                digest.update(f"{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def dataset_key(config: DatasetConfig) -> str:
    """What names the folder of a prepared data set in the cache: its configuration, and the code."""
    return digest_of({"config": config.model_dump(mode="json"), "code": code_key(MAKES_DATA)})


def content_key(folder: Path) -> str:
    """Digest of what a prepared data set holds, whoever prepared it."""
    return digest_of(sorted((shard.path, shard.sha256) for shard in read_manifest(folder).shards))


def run_key(recipe: Recipe, folders: Mapping[str, Path], curve: Curve | None) -> str:
    """Digest of all that a run's result depends on but the code: resolved recipe, data, what is looked at.

    Args:
        recipe: The resolved recipe; its name and folder do not matter.
        folders: Folder of each prepared data set.
        curve: Scores taken while training.
    """
    facts = {
        "recipe": recipe.model_dump(mode="json", exclude={"name", "output", "datasets"}),
        "data": {name: content_key(folder) for name, folder in sorted(folders.items())},
        "curve": curve and curve.model_dump(mode="json"),
    }
    return digest_of(facts)


def stage_key(made_from: str, curve: Curve | None) -> str:
    """What names a finished stage in the cache: its fingerprint, the code, and what was looked at."""
    watched = curve and curve.model_dump(mode="json")
    return digest_of({"made_from": made_from, "code": code_key(MAKES_RUNS), "curve": watched})


def digest_of(facts: Any) -> str:
    """Digest of JSON-ready facts."""
    return hashlib.sha256(json.dumps(in_digests(facts), sort_keys=True).encode()).hexdigest()[:16]

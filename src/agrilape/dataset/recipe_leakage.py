"""Does a recipe train on what it evaluates on? Looked for between its data sets, in their chips.

`dataset.leakage` looks into each data set by itself. Two of the same imagery, divided by another seed, other
shares or a grid of other chips, may each be sound while one trains on the ground that the other tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from agrilape.config.recipe import DatasetConfig, FormatSource, Recipe, SimulateSource, Source
from agrilape.console import warn
from agrilape.dataset.leakage import LeakageKeys, check_leakage, leakage_keys
from agrilape.dataset.manifest import NAME, Manifest, Shard, read_manifest
from agrilape.dataset.store import Store
from agrilape.errors import DataError
from agrilape.files import write_json
from agrilape.io.json_text import read_json_if_sound

CHECKED = "apart.json"
"""What was found to be apart, by which rule and with the hashes of its shards; beside the data sets."""


@dataclass(frozen=True)
class DatasetSplit:
    """A split of a prepared data set: what is trained on, or what is asked about.

    Attributes:
        name: The data set's name in the recipe.
        split: Which split of it.
        folder: The data set's folder.
        manifest: What is in there.
    """

    name: str
    split: str
    folder: Path
    manifest: Manifest

    def __str__(self) -> str:
        """In words."""
        return f"the {self.split} split of data set {self.name}"

    @property
    def config(self) -> DatasetConfig:
        """How it was made."""
        return self.manifest.config

    @property
    def shards(self) -> list[Shard]:
        """Its files; none where the data set has no such split."""
        return [shard for shard in self.manifest.shards if shard.split == self.split]

    @property
    def hashes(self) -> list[str]:
        """Hashes of its shards."""
        return [shard.sha256 for shard in self.shards]

    @cached_property
    def traces(self) -> list[LeakageKeys]:
        """What its chips could leak."""
        return [
            leakage_keys(example) for example in Store([self.folder / shard.path for shard in self.shards])
        ]


def check_recipe_leakage(recipe: Recipe, data: Path) -> None:
    """Make sure that no stage trains on what the evaluation asks about, in whichever data sets that lies.

    Compared are data sets of one source; what a data set shares with itself was looked for when it was made.
    What was found to be apart is remembered, and not read again. A data set that is not prepared is passed
    over: the check is made again before whatever needs it.

    Args:
        recipe: Its stages' mixtures and its evaluation.
        data: Folder with one prepared data set per name in the recipe.

    Raises:
        DataError: They share a picture, a parcel, ground or a year; the message names data sets and chips.
    """
    known = read_json_if_sound(data / CHECKED)
    found: dict[str, Any] = {}
    for learnt, asked in _pairs(recipe, data):
        rule = _rule(learnt.config, asked.config)
        pair, facts = f"{learnt}; {asked}", {**rule, "shards": [learnt.hashes, asked.hashes]}
        if known.get(pair) == facts:
            continue
        try:
            sides = {str(one): one.traces for one in (learnt, asked)}
        except ImportError as error:  # where data come prepared, and nothing draws maps
            warn(f"{learnt} and {asked} cannot be compared: {error.name} is not installed")
            continue
        try:
            check_leakage(sides, **rule)
        except DataError as error:
            raise DataError(error.problem, _remedy(learnt.config, asked.config)) from error
        found[pair] = facts
    if found:
        write_json(data / CHECKED, known | found)


def _pairs(recipe: Recipe, data: Path) -> Iterator[tuple[DatasetSplit, DatasetSplit]]:
    """What is trained on, with what is asked about and may be the same ground."""
    learnt = _sides(recipe.trained_on, "train", data)
    asked = _sides(recipe.evaluation.datasets, recipe.evaluation.split, data)
    for one in learnt:
        for other in asked:
            if one.name != other.name and share_source(one.config.source, other.config.source):
                yield one, other


def _sides(names: Iterable[str], split: str, data: Path) -> list[DatasetSplit]:
    there = [name for name in names if (data / name / NAME).is_file()]
    return [DatasetSplit(name, split, data / name, read_manifest(data / name)) for name in there]


def share_source(one: Source, other: Source) -> bool:
    """May two sources show the same ground? Not if both are simulated by other seeds, whose places repeat."""
    match one, other:
        case SimulateSource(), SimulateSource():
            rest = {"scenes", "dates"}  # scene n is the same land, among however many, however often seen
            return one.model_dump(exclude=rest) == other.model_dump(exclude=rest)
    if isinstance(one, SimulateSource) or isinstance(other, SimulateSource):
        return False
    ours, theirs = one.path.resolve(), other.path.resolve()
    return ours.is_relative_to(theirs) or theirs.is_relative_to(ours)


def _rule(*configs: DatasetConfig) -> dict[str, Any]:
    """What two data sets must not share: by the stricter of them."""
    return {
        "buffer_m": max(one.buffer_m if one.split_by == "block" else 0.0 for one in configs),
        "by_year": all(one.split_by == "year" for one in configs),
    }


def _remedy(learnt: DatasetConfig, asked: DatasetConfig) -> str:
    """What decides how ground is divided, and in what of it two data sets differ."""
    if learnt.split_by == asked.split_by == "published":
        return "the release's own splits share it: give both `split_by: scene`, or train on other data"
    decides = ["split", "split_by", "seed", "buffer_m"]
    if "block" in (learnt.split_by, asked.split_by):
        decides.append("chip")  # blocks are laid out in chips
    if isinstance(asked.source, FormatSource):
        decides.append("tasks")  # of a release of questions the scenes that hold some are divided
    if learnt.source != asked.source:
        decides.append("source")  # of more scenes others come into a split
    differ = [name for name in decides if getattr(learnt, name) != getattr(asked, name)]
    here = f"; here {', '.join(differ)} differ{'s' * (len(differ) == 1)}" if differ else ""
    return f"give both the same {', '.join(decides[:-1])} and {decides[-1]}{here}"

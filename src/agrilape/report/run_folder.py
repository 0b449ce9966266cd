"""A run folder as the report sees it: whatever files are there, and a list of what is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agrilape.config import recipe_file
from agrilape.config.former_names import present_scores, present_task
from agrilape.config.load import use_present_names
from agrilape.errors import DataError
from agrilape.io.json_text import Line, json_lines, parse_json
from agrilape.io.text import decode
from agrilape.io.yaml_text import parse_yaml

Json = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """One training stage.

    Attributes:
        name: Its name in the recipe.
        settings: Its settings in the recipe.
        log: Logged steps in order; groups of numbers as `group/name`.
        stability: Stability figures.
    """

    name: str
    settings: Mapping[str, Any]
    log: tuple[Json, ...] = ()
    stability: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What a run folder holds.

    Attributes:
        folder: The folder.
        recipe: The resolved recipe, as plain data: a page can be made of runs of other versions too.
        manifests: Manifest of each data set.
        stages: Training stages in order.
        metrics: Contents of `evaluation/metrics.json`.
        predictions: Rows of `evaluation/predictions.jsonl`.
        maps: Rows of `evaluation/maps.jsonl`; none where no whole map was asked about.
        missing: What could not be read, in words for the page.
    """

    folder: Path
    recipe: Mapping[str, Any]
    manifests: Mapping[str, Json]
    stages: tuple[Stage, ...]
    metrics: Mapping[str, Any]
    predictions: tuple[Json, ...]
    missing: tuple[str, ...]
    maps: tuple[Json, ...] = ()


def read_run(folder: Path) -> Run:
    """Read a run folder, as far as it goes.

    Args:
        folder: A folder made by `agrilape train` or `agrilape quickstart`.

    Returns:
        What is there; absent or damaged files are named in `missing`.

    Raises:
        DataError: The folder does not exist, or holds nothing of a run.
    """
    reader = _Reader(folder)
    recipe = reader.mapping(recipe_file(folder).name)
    use_present_names(recipe)
    manifests = {path.parent.name: reader.mapping(path) for path in reader.find("data/*/manifest.json")}
    stages = _stages(reader, recipe)
    metrics = present_scores(reader.mapping("evaluation/metrics.json"))
    predictions = tuple(map(_by_present_task, reader.lines("evaluation/predictions.jsonl")))
    if not (recipe or manifests or any(stage.log for stage in stages) or metrics):
        raise DataError(
            f"{folder} holds no run", "give the folder that `agrilape train` or `quickstart` wrote"
        )
    maps = reader.lines("evaluation/maps.jsonl") if reader.find("evaluation/maps.jsonl") else ()
    return Run(folder, recipe, manifests, stages, metrics, predictions, tuple(reader.missing), maps)


def _stages(reader: _Reader, recipe: Mapping[str, Any]) -> tuple[Stage, ...]:
    """Stages of the recipe, each with its folder `stages/<n>-<name>`."""
    folders = {path.name.split("-", 1)[-1]: path for path in reader.find("stages/*-*")}
    settings = {str(stage["name"]): stage for stage in recipe.get("stages") or ()}
    names = list(settings) or list(folders)
    return tuple(
        Stage(
            name,
            settings.get(name, {}),
            tuple(map(_flat, reader.lines(folders.get(name, Path("stages") / name) / "log.jsonl"))),
            reader.mapping(folders.get(name, Path("stages") / name) / "stability.json"),
        )
        for name in names
    )


def _by_present_task(row: Json) -> Json:
    return {**row, "task": present_task(row["task"])} if isinstance(row.get("task"), str) else row


def _flat(row: Json) -> Json:
    """A row with the numbers of its groups as `group/name`."""
    flat: Json = {}
    for key, value in row.items():
        flat |= (
            {f"{key}/{name}": number for name, number in value.items()}
            if isinstance(value, dict)
            else {key: value}
        )
    return flat


class _Reader:
    """Reads files by their path below a folder, and notes what is absent or damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.missing: list[str] = []

    def find(self, pattern: str) -> list[Path]:
        """Paths that match a glob, relative to the folder."""
        return sorted(path.relative_to(self.folder) for path in self.folder.glob(pattern))

    def mapping(self, path: str | Path) -> Json:
        """A YAML or JSON mapping (JSON is YAML's subset, but is read by its own, stricter reader)."""
        text = self._text(path)
        if text is None:
            return {}
        try:
            content = parse_yaml(text) if str(path).endswith(".yaml") else parse_json(text, infinite=True)
        except ValueError as error:
            return self._damaged(path, str(error))
        return content if isinstance(content, dict) else self._damaged(path, "not a mapping")

    def lines(self, path: str | Path) -> tuple[Json, ...]:
        """Rows of a JSON-lines file; a row cut off by a kill is skipped and said."""
        rows: list[Json] = []
        damaged = 0
        for line in json_lines(self._text(path) or "", infinite=True):
            if isinstance(line, Line) and isinstance(line.value, dict):
                rows.append(line.value)
            else:
                damaged += 1
        if damaged:
            self._damaged(path, f"{damaged} unreadable line{'s' * (damaged > 1)} skipped")
        return tuple(rows)

    def _text(self, path: str | Path) -> str | None:
        if not (self.folder / path).is_file():
            self.missing.append(f"{path}: not there")
            return None
        try:
            return decode((self.folder / path).read_bytes(), "it")
        except (OSError, DataError) as error:
            self.missing.append(f"{path}: {error.problem if isinstance(error, DataError) else error}")
            return None

    def _damaged(self, path: str | Path, problem: str) -> Json:
        self.missing.append(f"{path}: {problem}")
        return {}

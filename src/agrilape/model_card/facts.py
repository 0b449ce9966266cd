"""What is known of a checkpoint, from the files beside it and those of its run; no weights are loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils._validators import validate_repo_id

from agrilape.config import recipe_file
from agrilape.config.former_names import present_scores
from agrilape.dataset.training_data import TaughtWith, read_training_data
from agrilape.io.json_text import read_json_if_sound, read_json_object
from agrilape.io.text import read_text
from agrilape.io.yaml_text import parse_yaml
from agrilape.model.adapter import base_of
from agrilape.model.checkpoint_files import read_meta
from agrilape.model.checkpoint_info import inspect_checkpoint
from agrilape.sources.composite import COMPOSITES, index_of, inputs_of

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """A checkpoint or adapter in words and numbers.

    Attributes:
        folder: Where it lies.
        name: What it is called: the repository's name, else the run's or the folder's.
        address: What others load it by: `owner/name`.
        contents: As `inspect_checkpoint` finds them.
        base: Hub id of the model that it was trained from; None where there is none that others have.
        stage: Content of `stage.json`.
        datasets: What it was trained on, by `training_data.json`.
        processor: Settings of its image processor.
        metrics: Content of the run's `metrics.json`, if that is of this checkpoint.
        licence: Of the weights, in the hub's spelling; None: nobody stated one.
    """

    folder: Path
    name: str
    address: str
    contents: Json
    base: str | None
    stage: Json
    datasets: Sequence[TaughtWith]
    processor: Json
    metrics: Json
    licence: str | None = None

    @cached_property
    def tasks(self) -> dict[str, int]:
        """Number of training questions of each task, over all data sets."""
        names = sorted({task for one in self.datasets for task in one.tasks})
        return {name: sum(one.tasks.get(name, 0) for one in self.datasets) for name in names}

    @property
    def gsd_m(self) -> tuple[float, float] | None:
        """Smallest and largest pixel of all data sets in metres; None if no size is known."""
        sizes = [size for one in self.datasets for size in one.gsd_m or ()]
        return (min(sizes), max(sizes)) if sizes else None

    @property
    def architecture(self) -> str:
        """The family, with LAPE where the checkpoint has it."""
        family = str(self.contents["model"] or "vision-language model")
        return f"{family} with LAPE" if self.contents["lape"] else family


def gather(folder: Path, repository: str | None = None, licence: str | None = None) -> Facts:
    """Read what is known of the checkpoint in a folder.

    Args:
        folder: A checkpoint or adapter; one within a run has the run's recipe and evaluation too.
        repository: Where it will lie, `owner/name`; None: it is called after its run, or its folder.
        licence: Of the weights.

    Raises:
        ModelError: There are no weights, or a file of the checkpoint is damaged.
        DataError: `metrics.json` is damaged.
    """
    folder = folder.resolve()
    run = folder.parents[1] if folder.parent.name == "stages" else None
    taught = read_training_data(folder)
    name = _plain(repository.rpartition("/")[2] if repository else (run or folder).name)
    return Facts(
        folder=folder,
        name=name,
        address=repository or f"OWNER/{name}",
        contents=inspect_checkpoint(folder),
        base=_base(folder, run),
        stage=read_json_if_sound(folder / "stage.json"),
        datasets=taught.datasets if taught else (),
        processor=_image_processor(folder),
        metrics=_metrics(folder, run),
        licence=licence,
    )


def _plain(name: str) -> str:
    """A name as the MLM extension allows it: a letter first, then letters, digits, `_`, `.`, `-`."""
    letters = re.sub(r"[^a-zA-Z0-9_.-]+", "-", name).strip("-._")
    return (
        letters if re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.-]+[a-zA-Z0-9]", letters) else f"model-{letters or 0}"
    )


def _base(folder: Path, run: Path | None) -> str | None:
    """Paths of this machine and presets are nothing to a reader elsewhere, and the hub takes them for ids."""
    named = base_of(folder, read_meta(folder)) or _starting_model(run)
    if not isinstance(named, str) or "/" not in named or named.startswith("preset:") or Path(named).exists():
        return None
    try:
        validate_repo_id(named)
    except HFValidationError:
        return None
    return named


def _starting_model(run: Path | None) -> Any:
    try:
        recipe = parse_yaml(read_text(recipe_file(run))) if run and recipe_file(run).is_file() else {}
    except ValueError:  # a run of another version, edited since: the card does without
        return None
    model = recipe.get("model") if isinstance(recipe, dict) else None
    return model.get("path") if isinstance(model, dict) else None


def _image_processor(folder: Path) -> Json:
    """Older releases of transformers kept it in a file of its own."""
    found = read_json_if_sound(folder / "processor_config.json").get("image_processor")
    return found if isinstance(found, dict) else read_json_if_sound(folder / "preprocessor_config.json")


def _metrics(folder: Path, run: Path | None) -> Json:
    """Scores beside the checkpoint, or the run's if they are of this stage and of no other."""
    if (folder / "evaluation" / "metrics.json").is_file():
        beside: Json = present_scores(read_json_object(folder / "evaluation" / "metrics.json"))
        return beside
    if run is None or not (run / "evaluation" / "metrics.json").is_file():
        return {}
    metrics: Json = present_scores(read_json_object(run / "evaluation" / "metrics.json"))
    return metrics if Path(str(metrics.get("checkpoint"))).name == folder.name else {}


def bands_of(composite: str) -> tuple[str, ...]:
    """Roles of the bands that a composite or an index is made of; none for one that is not known."""
    if composite in COMPOSITES:
        return COMPOSITES[composite]
    index = index_of(composite)
    return tuple(inputs_of(index.formula)) if index else ()

"""What a checkpoint was taught with, kept beside it: pictures, tasks and crops of its data sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from agrilape.config.base import Settings
from agrilape.config.recipe import Fact, StageConfig
from agrilape.dataset.manifest import Origin, read_manifest, read_store
from agrilape.errors import ModelError
from agrilape.files import write_text

NAME = "training_data.json"


class TaughtWith(Settings):
    """One data set that a model was trained on."""

    name: str
    tasks: dict[str, int] = Field(description="Number of training questions of each task.")
    chip: int | None = Field(None, description="Side of a chip in source pixels; null: pictures of any size.")
    image_size: int | None = Field(None, description="To how many pixels a side chips were reduced.")
    composite: str = Field("true_colour", description="How bands became colours.")
    series: int = Field(0, description="Dates per chip for tasks about time; 0: still images only.")
    language: str = Field("en", description="Language of questions and answers.")
    metadata: tuple[Fact, ...] = Field((), description="Facts that every question began with.")
    gsd_m: tuple[float, float] | None = Field(
        None, description="Least and largest side of a chip's pixel on the ground; null: not known."
    )
    crops: dict[str, int] = Field({}, description="Number of training questions about each crop.")
    origins: tuple[Origin, ...] = Field((), description="Sources with licence and citation, as prepared.")


class TrainingData(Settings):
    """All data sets that a model was trained on."""

    datasets: tuple[TaughtWith, ...]


def describe_training_data(data: Path, stages: Sequence[StageConfig]) -> TrainingData:
    """What the training splits of prepared data sets hold, as far as some stages ask about it.

    Args:
        data: Folder with one prepared data set per name.
        stages: The stages that a model went through.

    Raises:
        DataError: A data set is not prepared.
    """
    asked: dict[str, set[str] | None] = {}
    for entry in (entry for stage in stages for entry in stage.mixture.values()):
        for name in entry.datasets:
            before = asked.get(name, set())
            asked[name] = None if entry.tasks is None or before is None else before | set(entry.tasks)
    return TrainingData(
        datasets=tuple(describe_data_set(data / name, tasks) for name, tasks in asked.items())
    )


def describe_data_set(folder: Path, only: Iterable[str] | None = None) -> TaughtWith:
    """What the training split of a prepared data set holds; no picture is read.

    Args:
        folder: The data set.
        only: Tasks that were asked; None: all.

    Raises:
        DataError: It is not prepared.
    """
    manifest = read_manifest(folder)
    store = read_store(folder, "train")
    wanted = None if only is None else set(only)
    tasks: Counter[str] = Counter()
    crops: Counter[str] = Counter()
    for (task, crop), count in store.crops().items():
        if wanted is None or task in wanted:
            tasks[task] += count
            crops.update({crop: count} if crop else {})
    config = manifest.config
    reduced = min((config.image_size or config.chip) / config.chip, 1.0)
    sizes = [grid.gsd_m for grid in store.grids()] or [size * reduced for size in store.stated_pixel_sizes()]
    return TaughtWith(
        name=manifest.name,
        tasks=dict(sorted(tasks.items())),
        chip=config.chip if config.tasks else None,  # a release brings its own questions and pictures
        image_size=config.image_size,
        composite=config.composite,
        series=config.series,
        language=config.language,
        metadata=config.metadata,
        gsd_m=(round(min(sizes), 4), round(max(sizes), 4)) if sizes else None,
        crops=dict(crops.most_common()),
        origins=manifest.origins,
    )


def write_training_data(folder: Path, described: TrainingData) -> None:
    """Write it beside a checkpoint, whole or not at all."""
    write_text(folder / NAME, described.model_dump_json(indent=1) + "\n")


def read_training_data(folder: Path) -> TrainingData | None:
    """What the checkpoint in a folder was taught with; None if nothing says so.

    Raises:
        ModelError: The file is damaged.
    """
    path = folder / NAME
    try:
        return TrainingData.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ModelError(f"{path} is not valid", "copy the checkpoint again, or delete this file") from error

"""How a checkpoint was taught to be asked, from what is kept of the data sets that taught it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agrilape.config import recipe_file
from agrilape.config.load import read_settings
from agrilape.config.recipe import Fact
from agrilape.dataset.manifest import NAME as MANIFEST
from agrilape.dataset.training_data import TaughtWith, TrainingData, describe_data_set, read_training_data
from agrilape.errors import AgrilapeError, DataError, RecipeError
from agrilape.model import Checkpoint
from agrilape.sources.composite import composite_bands

MOST_SCALE = 1.5
"""How many times coarser or finer than in training an image may be without a warning."""


_KINDS: dict[str, tuple[type, str]] = {
    "chip": (int, "a number of pixels"),
    "image_size": (int, "a number of pixels"),
    "metadata": (list, "a list"),
    "tasks": (list, "a list"),
    "language": (str, "a word"),
    "composite": (str, "a word"),
    "series": (int, "a number of dates"),
    "source": (dict, "settings"),
}


@dataclass(frozen=True)
class TrainingQuestions:
    """What the questions of training looked like.

    Attributes:
        side: Ground pixels that the model was shown at once, along a side.
        image_size: To how many pixels a side these were reduced; None for none.
        metadata: Facts of the image that every question began with.
        language: Language of the questions.
        composite: How bands became colours.
        series: Dates per chip of questions about time; None: not known.
        gsd: Least and largest metres of ground per pixel of `side`, where known.
        task: Was the task of the question among those of training, as far as is known?
        name: Name of the data set; None: nothing is known of the training.
    """

    side: int
    image_size: int | None = None
    metadata: tuple[Fact, ...] = ()
    language: str = "en"
    composite: str = "true_colour"
    series: int | None = None
    gsd: tuple[float, float] | None = None
    task: bool = True
    name: str | None = None


@dataclass(frozen=True)
class Training:
    """The data sets that taught a checkpoint.

    Attributes:
        datasets: Those of them that were cut into chips.
    """

    datasets: tuple[TaughtWith, ...]

    @property
    def tasks(self) -> frozenset[str] | None:
        """Tasks that the model was taught; None: any, as far as is known."""
        if not self.datasets or any(not data.tasks for data in self.datasets):
            return None
        return frozenset(task for data in self.datasets for task in data.tasks)

    def teaches(self, task: str) -> bool:
        """Was a task among those of training, as far as is known?"""
        return self.tasks is None or task in self.tasks

    @property
    def crops(self) -> frozenset[str]:
        """Crops that the model was taught; none: nothing is known of them."""
        return frozenset(crop for data in self.datasets for crop in data.crops)

    def questions(
        self, checkpoint: Checkpoint, task: str | None, gsd: float | None, bands: Collection[str]
    ) -> TrainingQuestions:
        """How questions of a task were asked; if nothing is known, as the input size suggests.

        Args:
            checkpoint: The model, for its input size.
            task: Task of the question. Of the data sets with it, else of all, that one counts whose bands the
                image has and whose pixels are nearest in size; of equals, the one with the most questions.
            gsd: Metres of ground per pixel of the image; None: not known.
            bands: Roles of the image's bands.
        """
        if not self.datasets:
            return TrainingQuestions(input_side(checkpoint))
        asked = [data for data in self.datasets if not data.tasks or task in data.tasks]
        data = _fitting(asked if asked and task else self.datasets, task, gsd, bands)
        return TrainingQuestions(
            side=data.chip or input_side(checkpoint),
            image_size=data.image_size,
            metadata=data.metadata,
            language=data.language,
            composite=data.composite,
            series=data.series,
            gsd=data.gsd_m,
            task=task is None or bool(asked),
            name=data.name,
        )


def input_side(checkpoint: Checkpoint) -> int:
    """Side in pixels of the images that a model takes."""
    size = checkpoint.processor.image_processor.size
    return int(size.get("height") or size.get("shortest_edge") or size.get("longest_edge") or 256)


def training_of(folder: Path) -> Training:
    """What taught the checkpoint in a folder.

    The file beside the checkpoint says it; of one trained before there was such a file, the prepared data
    sets of its run, else its recipe, which knows neither crops nor, of most sources, the size of pixels.

    Raises:
        ModelError: The file is damaged.
        RecipeError: The recipe cannot be read, or a setting of a data set is none.
    """
    run = folder.parent.parent
    found = read_training_data(folder) or _prepared(run)
    datasets = _of_recipe(recipe_file(run)) if found is None else found.datasets
    return Training(tuple(data for data in datasets if data.chip is not None))


def scale(taught: tuple[float, float], gsd: float) -> float:
    """How many times coarser or finer an image is than those of a training."""
    return max(gsd / taught[1], taught[0] / gsd, 1.0)


def _fitting(
    datasets: Sequence[TaughtWith], task: str | None, gsd: float | None, bands: Collection[str]
) -> TaughtWith:
    """The data set that fits an image best.

    One whose pixels are of unknown size is neither near nor far, but nearest to an image of unknown size.
    """

    def order(data: TaughtWith) -> tuple[bool, float, int]:
        size = 1.0 if gsd is None and data.gsd_m is None else MOST_SCALE
        if gsd is not None and data.gsd_m is not None:
            size = scale(data.gsd_m, gsd)
        return not _can_show(data.composite, bands), size, -data.tasks.get(task or "", 0)

    return min(reversed(datasets), key=order)


def _can_show(composite: str, bands: Collection[str]) -> bool:
    try:
        composite_bands(composite, tuple(bands))
    except DataError:
        return False
    return True


def _prepared(run: Path) -> TrainingData | None:
    """The prepared data sets of a run; None if there are none, or one is not whole."""
    folders = sorted(path.parent for path in run.glob(f"data/*/{MANIFEST}"))
    try:
        found = [describe_data_set(folder) for folder in folders]
    except AgrilapeError:
        return None
    return TrainingData(datasets=tuple(found)) if found else None


def _of_recipe(recipe: Path) -> tuple[TaughtWith, ...]:
    """The data sets of a recipe, as far as they are described rightly in what is needed of them.

    Raises:
        RecipeError: The recipe cannot be read, or a setting of a data set is none.
    """
    if not recipe.is_file():
        return ()
    found = (read_settings(recipe).get("datasets") or {}).items()
    for name, data in found:
        for key, (kind, wanted) in _KINDS.items():
            if data.get(key) is not None and not isinstance(data[key], kind):
                raise RecipeError(
                    f"{recipe}: datasets.{name}.{key} is {data[key]!s:.60}, not {wanted}",
                    "mend the recipe beside the checkpoint, or take the checkpoint out of its run",
                )
    return tuple(_as_the_recipe_says(str(name), data) for name, data in found)


def _as_the_recipe_says(name: str, data: dict[str, Any]) -> TaughtWith:
    gsd = (data.get("source") or {}).get("gsd")
    kept = {key: data[key] for key in _KINDS if key not in ("tasks", "source") and data.get(key) is not None}
    return TaughtWith(
        name=name,
        tasks=dict.fromkeys(data.get("tasks") or (), 1),
        gsd_m=(float(gsd), float(gsd)) if isinstance(gsd, int | float) and gsd > 0 else None,
        **kept,
    )

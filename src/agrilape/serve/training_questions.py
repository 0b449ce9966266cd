"""How a checkpoint was taught to be asked, from the recipe of the run that it lies in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from agrilape.config import recipe_file
from agrilape.config.load import read_settings
from agrilape.config.recipe import Fact
from agrilape.errors import RecipeError
from agrilape.model import Checkpoint

MOST_SCALE = 1.5
"""How many times coarser or finer than in training an image may be without a warning."""


_KINDS: dict[str, tuple[type, str]] = {
    "chip": (int, "a number of pixels"),
    "image_size": (int, "a number of pixels"),
    "metadata": (list, "a list"),
    "tasks": (list, "a list"),
    "language": (str, "a word"),
    "composite": (str, "a word"),
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
        gsd: Metres of ground per pixel of `side`, where the recipe says.
        task: Was the task of the question among those of training, as far as is known?
    """

    side: int
    image_size: int | None = None
    metadata: tuple[Fact, ...] = ()
    language: str = "en"
    composite: str = "true_colour"
    gsd: float | None = None
    task: bool = True


def trained(folder: Path, checkpoint: Checkpoint, task: str | None, gsd: float | None) -> TrainingQuestions:
    """How questions of a task were asked; without a run around the checkpoint, as its input size suggests.

    Args:
        folder: The checkpoint, `stages/<n>-<name>` of its run.
        checkpoint: What was loaded from it.
        task: Task of the question; of the data sets with it, else of all, one that fits the image counts.
        gsd: Metres of ground per pixel of the image, if known.
    """
    cut = [data for data in _datasets(recipe_file(folder.parent.parent)) if "chip" in data]
    if not cut:
        size = checkpoint.processor.image_processor.size
        side = size.get("height") or size.get("shortest_edge") or size.get("longest_edge") or 256
        return TrainingQuestions(int(side))
    asked = [data for data in cut if task in (data.get("tasks") or [task])]  # a release brings its own tasks
    data = _fitting(asked or cut, gsd)
    return TrainingQuestions(
        side=data["chip"],
        image_size=data.get("image_size"),
        metadata=tuple(data.get("metadata") or ()),
        language=data.get("language") or "en",
        composite=data.get("composite") or "true_colour",
        gsd=_gsd(data),
        task=task is None or bool(asked),
    )


def _fitting(datasets: Sequence[dict[str, Any]], gsd: float | None) -> dict[str, Any]:
    """The data set whose pixels are nearest in size; where none is near, the last of unknown size, if any."""
    unknown = [data for data in datasets if _gsd(data) is None]
    if gsd is None:
        return (unknown or datasets)[-1]

    def scale(data: dict[str, Any]) -> float:
        return max(gsd / (_gsd(data) or inf), (_gsd(data) or inf) / gsd)

    nearest = min(reversed(datasets), key=scale)
    return unknown[-1] if unknown and scale(nearest) > MOST_SCALE else nearest


def _gsd(data: dict[str, Any]) -> float | None:
    gsd = (data.get("source") or {}).get("gsd")
    return float(gsd) if isinstance(gsd, int | float) and gsd > 0 else None


def _datasets(recipe: Path) -> list[dict[str, Any]]:
    """The data sets of a recipe, as far as they are described rightly in what is needed of them.

    Raises:
        RecipeError: The recipe cannot be read, or a setting of a data set is none.
    """
    if not recipe.is_file():
        return []
    found = (read_settings(recipe).get("datasets") or {}).items()
    for name, data in found:
        for key, (kind, wanted) in _KINDS.items():
            if data.get(key) is not None and not isinstance(data[key], kind):
                raise RecipeError(
                    f"{recipe}: datasets.{name}.{key} is {data[key]!s:.60}, not {wanted}",
                    "mend the recipe beside the checkpoint, or take the checkpoint out of its run",
                )
    return [data for _, data in found]

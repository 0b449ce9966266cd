"""How a checkpoint was taught to be asked, from the recipe of the run that it lies in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agrilape.config.recipe import Fact
from agrilape.model import Checkpoint


@dataclass(frozen=True)
class Trained:
    """What the questions of training looked like.

    Attributes:
        side: Ground pixels that the model was shown at once, along a side.
        picture_side: To how many pixels a side these were reduced; None for none.
        metadata: Facts of the image that every question began with.
        language: Language of the questions.
        gsd: Metres of ground per pixel of `side`, where the recipe says.
    """

    side: int
    picture_side: int | None = None
    metadata: tuple[Fact, ...] = ()
    language: str = "en"
    gsd: float | None = None


def trained(folder: Path, checkpoint: Checkpoint, task: str | None) -> Trained:
    """How questions of a task were asked; without a run around the checkpoint, as its input size suggests.

    Args:
        folder: The checkpoint, `stages/<n>-<name>` of its run.
        checkpoint: What was loaded from it.
        task: Task of the question; the last data set with it counts, else the last of all.
    """
    datasets = _datasets(folder.parent.parent / "recipe.yaml")
    cut = [data for data in datasets if "chip" in data]
    asked = [data for data in cut if task in (data.get("tasks") or ())]
    if cut:
        data = (asked or cut)[-1]
        metadata = tuple(data.get("metadata") or ())
        gsd = (data.get("source") or {}).get("gsd")
        language = data.get("language") or "en"
        return Trained(int(data["chip"]), data.get("picture_side"), metadata, language, gsd)
    size = checkpoint.processor.image_processor.size
    return Trained(int(size.get("height") or size.get("shortest_edge") or size.get("longest_edge") or 256))


def _datasets(recipe: Path) -> list[dict[str, Any]]:
    if not recipe.is_file():
        return []
    return list(((yaml.safe_load(recipe.read_text(encoding="utf-8")) or {}).get("datasets") or {}).values())

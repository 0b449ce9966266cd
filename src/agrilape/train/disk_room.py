"""Whether the checkpoints of a run will fit on its disk, told before anything is trained."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from agrilape.config import Recipe
from agrilape.errors import DiskError
from agrilape.train.estimate import count_parameters, outline_of, weight_bytes
from agrilape.train.optim import peak_rates
from agrilape.train.stages import DONE, stage_folder

KEPT = 2
"""Checkpoints to resume from that stay beside the one being written, see `agrilape.train.arguments`."""


def require_disk_room(recipe: Recipe, run: Path, only: Collection[str] = ()) -> None:
    """Refuse a run whose checkpoints will not fit.

    Args:
        recipe: What would be trained.
        run: Run folder; stages finished before need no more room, and what others hold already counts.
        only: Names of the stages to train; empty: all.

    Raises:
        DiskError: There is too little room.
    """
    folders = {stage.name: run / "stages" / stage_folder(recipe, n) for n, stage in enumerate(recipe.stages)}
    left = [name for name in only or folders if name in folders and not (folders[name] / DONE).is_file()]
    if not left:
        return
    sizes = {name: size for name, size in stage_bytes(recipe).items() if name in left}
    final = sum(last for last, _ in sizes.values())
    largest = max(sizes, key=lambda name: sizes[name][1] - sizes[name][0])
    needed = final + max(sizes[largest][1] - sizes[largest][0], 0)
    there = sum(file.stat().st_size for name in left for file in folders[name].rglob("*") if file.is_file())
    free = shutil.disk_usage(_existing(run)).free + there
    if needed > free:
        raise DiskError(
            f"checkpoints in {run} will take up to {needed / 1e9:.1f} GB, most while stage {largest} trains, "
            f"and the disk has room for {free / 1e9:.1f} GB",
            f"free some space, name another disk with --output, or save less often than every "
            f"stages.{largest}.checkpoint_every steps; with model.lora_rank only the adapter is saved",
        )


def stage_bytes(recipe: Recipe) -> dict[str, tuple[int, int]]:
    """Of each stage, bytes of its checkpoint, and of all that it keeps at most while it trains."""
    model, _ = outline_of(recipe)
    found = {}
    for stage in recipe.stages:
        held = weight_bytes(recipe, count_parameters(recipe, stage, model), model)
        trains = sum(held.get(name, 0) for name in peak_rates(stage.learning_rates, stage.enable_lape))
        saved = trains if recipe.model.lora_rank else sum(held.values())
        resume = saved + 2 * trains  # with AdamW's two sums
        snapshots = stage.steps // stage.checkpoint_every
        found[stage.name] = (
            saved,
            max(min(snapshots, KEPT + 1) * resume, min(snapshots, KEPT) * resume + saved),
        )
    return found


def _existing(path: Path) -> Path:
    """The nearest folder that is there already."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())

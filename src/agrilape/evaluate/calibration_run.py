"""The calibration of a run's last checkpoint by its answers to the val split."""

from __future__ import annotations

from pathlib import Path

from agrilape.config import Recipe
from agrilape.console import say
from agrilape.dataset import read_manifest
from agrilape.dataset.recipe_leakage import check_recipe_leakage
from agrilape.errors import RecipeError
from agrilape.evaluate.calibrator import Calibrator, fit
from agrilape.evaluate.collect import collect, predictions_key, processes
from agrilape.evaluate.evaluation import asked_of, last_checkpoint

SPLIT = "val"


def calibrate_run(recipe: Recipe, run: Path) -> Calibrator:
    """Ask the val split, fit how often answers are right to how sure the model is, and keep it.

    Writes `calibration/predictions.jsonl` in the run and `calibration.json` beside the checkpoint; killed, it
    goes on where it stopped.

    Args:
        recipe: What the run was made from; of its `evaluation`, data sets, tasks and limits count.
        run: Run folder with `data/` and `stages/`.

    Raises:
        RecipeError: There is no trained stage, or no val split to ask.
    """
    checkpoint = last_checkpoint(recipe, run)
    check_recipe_leakage(recipe, run / "data")
    names = recipe.evaluation.datasets
    held = [name for name in names if SPLIT in read_manifest(run / "data" / name).splits]
    if not held:
        raise RecipeError(
            f"none of {', '.join(names)} has a val split, and the test split must not be fitted to",
            "give datasets.<name>.split a second share above 0, prepare and train again",
        )
    if missing := [name for name in names if name not in held]:
        say(f"{', '.join(missing)}: no val split, so that the other data sets speak for their answers")
    asked = {"datasets": tuple(held), "split": SPLIT, "soft_argmax": True, "constrained_decoding": True}
    settings = recipe.evaluation.model_copy(update=asked)
    subsets = asked_of(settings, run / "data")
    key = predictions_key(settings, run / "data", checkpoint)
    journal = collect(run / "calibration" / "predictions.jsonl", key, checkpoint, subsets, settings)
    calibrator = fit(list(journal.rows.values()))
    if not calibrator.kinds:
        raise RecipeError(
            f"{len(journal.rows)} answers of the val split are too few to calibrate by",
            "give the split a larger share, or raise evaluation.limit",
        )
    process = processes()
    if process.is_main_process:
        calibrator.write(checkpoint)
    process.wait_for_everyone()
    return calibrator

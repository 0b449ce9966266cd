"""The evaluation of a run: predictions, scores, and the pictures that the report shows."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from agrilape import __version__
from agrilape.config import Recipe
from agrilape.config.recipe import EvaluationConfig
from agrilape.console import progress
from agrilape.errors import RecipeError
from agrilape.evaluate import baselines
from agrilape.evaluate.journal import Journal, write_atomically
from agrilape.evaluate.predict import Decoding, predict_samples
from agrilape.evaluate.rows import Prediction, refuse_repeats
from agrilape.evaluate.scores import agreement, by_task
from agrilape.evaluate.subset import Subset
from agrilape.evaluate.summary import summarise
from agrilape.model import load_checkpoint
from agrilape.samples import read_manifest, read_store


def evaluate_run(recipe: Recipe, run: Path) -> dict[str, Any]:
    """Predict with the last stage's checkpoint on the split kept for it, and score beside blind baselines.

    Writes `evaluation/predictions.jsonl`, `metrics.json` and `images/`; killed, it goes on where it stopped.

    Args:
        recipe: What the run was made from; `recipe.evaluation` says what is measured.
        run: Run folder with `data/` and `stages/`.

    Returns:
        The content of `metrics.json`, see `summarise`.

    Raises:
        RecipeError: There is no trained stage, or nothing to evaluate.
    """
    checkpoint = last_checkpoint(recipe, run)
    subsets = [_subset(recipe, run, name) for name in recipe.evaluation.datasets]
    order = [sample.id for subset in subsets for example in subset for sample in example.samples]
    refuse_repeats(order)
    if not order:
        raise RecipeError(
            f"no samples in the {recipe.evaluation.split} split of {', '.join(recipe.evaluation.datasets)}",
            "prepare more scenes, or give the split a larger share in the recipe",
        )
    journal = Journal(run / "evaluation" / "predictions.jsonl", _key(recipe, run, checkpoint))
    _predict(journal, checkpoint, subsets, recipe.evaluation, len(order))
    journal.sort(order)
    rows = list(journal.rows.values())
    examples = _examples(rows)
    metrics = {
        **summarise(rows, _guesses(recipe, run, subsets)),
        "split": recipe.evaluation.split,
        "datasets": list(recipe.evaluation.datasets),
        "checkpoint": str(checkpoint.relative_to(run)),
        "samples_per_second": journal.samples_per_second,
        "examples": examples,
    }
    shown = {journal.rows[name].chip for picks in examples.values() for name in picks.values()}
    _keep_pictures(run / "evaluation" / "images", shown, subsets)
    write_atomically(run / "evaluation" / "metrics.json", json.dumps(metrics, indent=1))
    return metrics


def last_checkpoint(recipe: Recipe, run: Path) -> Path:
    """Folder of the last stage of a run.

    Raises:
        RecipeError: It was not trained to the end.
    """
    folder = run / "stages" / f"{len(recipe.stages)}-{recipe.stages[-1].name}"
    if not (folder / "config.json").is_file():
        raise RecipeError(f"{folder} holds no checkpoint", "run `agrilape train` to the end first")
    return folder


def _subset(recipe: Recipe, run: Path, name: str) -> Subset:
    return Subset(name, read_store(run / "data" / name, recipe.evaluation.split), recipe.evaluation.limit)


def _key(recipe: Recipe, run: Path, checkpoint: Path) -> str:
    """Digest of what predictions depend on: settings, data, the checkpoint's files by size and time."""
    files = sorted(path for path in checkpoint.iterdir() if path.is_file())
    facts = {
        "version": __version__,
        "evaluation": recipe.evaluation.model_dump(mode="json", exclude={"batch_size"}),
        "data": [read_manifest(run / "data" / name).key for name in recipe.evaluation.datasets],
        "checkpoint": [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _predict(
    journal: Journal, folder: Path, subsets: Sequence[Subset], settings: EvaluationConfig, total: int
) -> None:
    """Answer what the journal does not hold yet; a checkpoint is loaded only if something is left to do."""
    if len(journal.rows) >= total:
        return
    checkpoint = load_checkpoint(folder)
    decoding = Decoding(expectation=settings.expectation, constrained=settings.constrained)
    with progress("evaluate", total, "samples") as track:
        track(len(journal.rows))
        for subset in subsets:
            began = time.perf_counter()
            for rows in predict_samples(
                checkpoint, subset, batch_size=settings.batch_size, decoding=decoding, done=journal.rows
            ):
                journal.append(rows, time.perf_counter() - began)
                track(len(rows))
                began = time.perf_counter()


def _guesses(recipe: Recipe, run: Path, subsets: Sequence[Subset]) -> dict[str, list[Prediction | None]]:
    """Every baseline's rows, in the order of the samples, fitted on the same data set's train split."""
    guesses: dict[str, list[Prediction | None]] = {name: [] for name in baselines.BASELINES}
    for dataset, subset in zip(recipe.evaluation.datasets, subsets, strict=True):
        known = baselines.fit(read_store(run / "data" / dataset, "train"))
        for example in subset:
            for name, rows in guesses.items():
                rows += [baselines.guess(known, name, example.chip, sample) for sample in example.samples]
    return guesses


def _examples(rows: Sequence[Prediction]) -> dict[str, dict[str, str]]:
    """Id of the best, median and worst answer of each task."""
    found = {}
    for task, group in by_task(rows).items():
        ranked = sorted(group, key=lambda row: (-agreement(row), row.id))
        found[task] = {"best": ranked[0].id, "median": ranked[len(ranked) // 2].id, "worst": ranked[-1].id}
    return found


def _keep_pictures(folder: Path, chips: Collection[str], subsets: Sequence[Subset]) -> None:
    """Keep an image of each chip, of a series the middle one, as `images/<chip>.png` for the report."""
    for subset in subsets:
        for example in subset:
            if example.chip.id in chips:
                path = folder / f"{example.chip.id}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                data = example.chip.pictures[len(example.chip.pictures) // 2].data
                Image.open(io.BytesIO(data)).convert("RGB").save(path)

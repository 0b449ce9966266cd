"""One run of a study: train, evaluate, and leave one small file."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from agrilape import __version__
from agrilape.config import Recipe, dump_recipe
from agrilape.console import say
from agrilape.dataset.manifest import read_manifest
from agrilape.errors import DataError
from agrilape.evaluate import evaluate_run, predict_samples
from agrilape.evaluate.evaluation import (
    NO_MAPS,
    MapAnswers,
    asked_of,
    image_free_answers,
    last_checkpoint,
)
from agrilape.evaluate.inference import Decoding
from agrilape.evaluate.metric_sums import metric_named
from agrilape.evaluate.predictions import Prediction, read_rows
from agrilape.evaluate.suites import map_tasks, suite_of
from agrilape.files import remove_drafts
from agrilape.locks import locked
from agrilape.model import Checkpoint
from agrilape.model.checkpoint_info import inspect_checkpoint
from agrilape.study.cache import FINISHED, data_place, link_data, shared_stage
from agrilape.study.content_keys import MAKES_MAPS, MAKES_RUNS, code_key, digest_of, run_key, stage_key
from agrilape.study.plan import Curve
from agrilape.study.results import FORMAT, Json, read_record, score_record, training_record, write_record
from agrilape.study.run_recipes import Run, siblings
from agrilape.study.study_folder import IMAGE_FREE, Study
from agrilape.train import train_recipe
from agrilape.train.stages import fingerprints, stage_folder, trained_on
from agrilape.train.trainer import TrainingDivergedError
from agrilape.train.validation import ValidationPlan


def run_one(study: Study, run: Run, *, keep: bool = False) -> Path:
    """Train and evaluate one run, unless its result is there already.

    Killed, it goes on where it stopped. Two processes never work on the same run: the second waits, and finds
    the result.

    Args:
        study: The study.
        run: Which run of it.
        keep: Keep the weights in the run folder once the result is written.

    Returns:
        The file of the result.
    """
    folder, target = study.run_folder(run), study.output / run.file
    with locked(folder.with_suffix(".lock")):
        remove_drafts(folder)
        recipe = study.recipe(run)
        link_data(recipe, study.work)
        key = _key(study, run, recipe)
        if study.is_done(target, key):
            say(f"{run.name}: finished before")
            return target
        _clear_stale(folder, {"key": key, "code": code_key(MAKES_RUNS)})
        data = link_data(recipe, study.work)
        dump_recipe(recipe, folder / "recipe.yaml")
        if run.phase == "test" and run.variant == study.plan.reference:
            write_record(
                study.output / f"results/{IMAGE_FREE}/{run.seed}.json", _image_free_record(recipe, run)
            )
        write_record(target, {**_head(run, key), "chosen": run.chosen, **_outcome(study, run, recipe, data)})
        if not keep:
            _drop_weights(folder)
    return target


def current_key(study: Study, run: Run) -> str:
    """Key that a run's result has if nothing has changed since.

    Raises:
        DataError: A data set is not prepared.
    """
    return _key(study, run, study.recipe(run))


def _key(study: Study, run: Run, recipe: Recipe) -> str:
    folders = {name: data_place(config, study.work) for name, config in recipe.datasets.items()}
    key = run_key(recipe, folders, _curve(study, run))
    return digest_of([key, code_key(MAKES_MAPS)]) if map_tasks(recipe.evaluation) else key


def _curve(study: Study, run: Run) -> Curve | None:
    """What is looked at while training: of runs that count, not of candidates."""
    return study.plan.curve if run.phase == "test" else None


def _clear_stale(folder: Path, made_by: Json) -> None:
    """Remove what an earlier attempt left that was made from other things, or by other code."""
    marker = folder / "made_by.json"
    if read_record(marker) != made_by:
        shutil.rmtree(folder, ignore_errors=True)
        write_record(marker, made_by)


def _train(study: Study, run: Run, recipe: Recipe, data: Path) -> None:
    """Train stage by stage, taking those that runs have in common from the cache."""
    curve = _curve(study, run)
    validation = ValidationPlan(curve.every, _ValidationScorer(recipe, curve, data)) if curve else None
    made_from = fingerprints(recipe, _keys(recipe, study.work))
    common = _fingerprints_of_siblings(study, run)
    for number, stage in enumerate(recipe.stages):
        folder = recipe.output / "stages" / stage_folder(recipe, number)
        if made_from[number] in common:
            with shared_stage(folder, stage_key(made_from[number], curve), study.work):
                train_recipe(recipe, recipe.output, data, only=[stage.name], validation=validation)
        else:
            train_recipe(recipe, recipe.output, data, only=[stage.name], validation=validation)


def shared_keys(study: Study, run: Run) -> set[str]:
    """Keys in the cache of the stages that a run shares with others of its phase and seed.

    Raises:
        DataError: A data set is not prepared.
    """
    recipe = study.recipe(run)
    common = _fingerprints_of_siblings(study, run)
    curve = _curve(study, run)
    found = fingerprints(recipe, _keys(recipe, study.work))
    return {stage_key(one, curve) for one in found if one in common}


def _fingerprints_of_siblings(study: Study, run: Run) -> set[str]:
    """Fingerprints of all stages of the other runs of the same phase and seed."""
    found: set[str] = set()
    for other in siblings(study.plan, run, study.chosen() if run.phase == "test" else {}):
        if other.name == run.name:
            continue
        recipe = study.recipe(other)
        try:
            found.update(fingerprints(recipe, _keys(recipe, study.work)))
        except DataError:  # prepared later, by the other run: then nothing is shared with it
            continue
    return found


def _keys(recipe: Recipe, work: Path) -> dict[str, str]:
    """Key of each data set that a recipe trains on."""
    return {name: read_manifest(data_place(recipe.datasets[name], work)).key for name in trained_on(recipe)}


class _ValidationScorer:
    """Scores a model in training on a fixed part of the val split.

    Args:
        recipe: The run's recipe.
        curve: What is scored, on how many samples.
        data: Folder of the prepared data sets.
    """

    def __init__(self, recipe: Recipe, curve: Curve, data: Path) -> None:
        tasks = tuple(dict.fromkeys(name.rpartition(".")[0] for name in curve.on))
        settings = recipe.evaluation.model_copy(
            update={"split": "val", "suite": None, "tasks": tasks, "limit": curve.samples}
        )
        self._names, self._settings = curve.on, settings
        self._subsets = asked_of(settings, data)

    def __call__(self, checkpoint: Checkpoint) -> Mapping[str, float]:
        """Scores by name."""
        rows = [
            row
            for subset in self._subsets
            for batch in predict_samples(
                checkpoint, subset, batch_size=self._settings.batch_size, decoding=Decoding.of(self._settings)
            )
            for row in batch
        ]
        scores = {}
        for name in self._names:
            task = name.rpartition(".")[0]
            scores[name] = metric_named(name).point([row for row in rows if row.task == task])
        return scores


def _outcome(study: Study, run: Run, recipe: Recipe, data: Path) -> Json:
    """Train and evaluate; that training diverged is an outcome, too."""
    stages = [recipe.output / "stages" / stage_folder(recipe, number) for number in range(len(recipe.stages))]
    try:
        _train(study, run, recipe, data)
    except TrainingDivergedError as error:
        return {"diverged": error.problem, "stages": training_record(stages)}
    began = time.perf_counter()
    maps = _maps(recipe)
    evaluate_run(recipe, recipe.output, maps)
    seconds = time.perf_counter() - began
    rows = read_rows(recipe.output / "evaluation" / "predictions.jsonl")
    return {
        "scores": score_record([*rows, *maps.rows], suite_of(recipe.evaluation).metrics),
        "stages": training_record(stages),
        "parameters": inspect_checkpoint(last_checkpoint(recipe, recipe.output))["parameters"],
        "evaluation_seconds": round(seconds, 1),
    }


def _maps(recipe: Recipe) -> MapAnswers:
    """What the run answers about whole maps, if its evaluation asks for them; that takes GDAL."""
    if not map_tasks(recipe.evaluation):
        return NO_MAPS
    from agrilape.maps import ask_maps

    return ask_maps(recipe, recipe.output)


def _guessed_maps(recipe: Recipe) -> tuple[dict[str, str], list[Prediction]]:
    """The baseline of each task of whole maps, and its rows."""
    if not map_tasks(recipe.evaluation):
        return {}, []
    from agrilape.maps import guess_maps
    from agrilape.maps.segments import NAME

    rows = guess_maps(recipe, recipe.output)
    return {row.task: NAME for row in rows}, rows


def _image_free_record(recipe: Recipe, run: Run) -> Json:
    """The image-free baseline to beat in each task, on the same samples, in the form of a run's record."""
    guesses, rivals = image_free_answers(recipe, recipe.output)
    rows = [row for task, name in rivals.items() for row in guesses[name] if row and row.task == task]
    of_maps, on_maps = _guessed_maps(recipe)
    rivals, rows = {**rivals, **of_maps}, [*rows, *on_maps]
    scores = score_record(rows, suite_of(recipe.evaluation).metrics)
    return {**_head(run, ""), "variant": IMAGE_FREE, "rivals": rivals, "scores": scores}


def _head(run: Run, key: str) -> Json:
    return {
        "format": FORMAT,
        "key": key,
        "code": code_key(MAKES_RUNS),
        "version": __version__,
        "variant": run.variant,
        "seed": run.seed,
        "phase": run.phase,
    }


def _drop_weights(folder: Path) -> None:
    """Remove the weights of a finished run: a study of a hundred runs would fill the disk."""
    stages = folder / "stages"
    for path in [*stages.rglob(FINISHED), *stages.rglob("*.safetensors")]:
        path.unlink()

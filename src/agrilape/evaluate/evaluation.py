"""The evaluation of a run: predictions, scores, and the pictures that the report shows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from agrilape.config import Recipe
from agrilape.config.recipe import EvaluationConfig
from agrilape.console import warn
from agrilape.dataset import Store, read_store
from agrilape.dataset.recipe_leakage import check_recipe_leakage
from agrilape.dataset.tasks import refuse_unknown_tasks
from agrilape.errors import RecipeError
from agrilape.evaluate.baselines import image_free, informed
from agrilape.evaluate.calibrator import read_calibrator
from agrilape.evaluate.collect import collect, predictions_key, processes
from agrilape.evaluate.journal import Journal
from agrilape.evaluate.predictions import Prediction, refuse_repeats
from agrilape.evaluate.reliability import confidence_calibration
from agrilape.evaluate.scores import TASK_METRICS, answer_quality, by_task
from agrilape.evaluate.subset import Subset
from agrilape.evaluate.suites import Suite, suite_of
from agrilape.evaluate.summary import choose_baselines, compare_informed, summarise
from agrilape.files import path_inside, write_json, write_text
from agrilape.io.json_text import read_json_object, to_json
from agrilape.io.pictures import as_rgb
from agrilape.model import is_checkpoint
from agrilape.train.stage_order import successor

Answers: TypeAlias = dict[str, list[Prediction | None]]
REHEARSAL = 500
"""Most samples of each task and data set, of the train split, on which the best baseline is chosen."""


class MapAnswers(NamedTuple):
    """What was answered about whole maps (`agrilape.maps`).

    Attributes:
        rows: The model's rows.
        baselines: Rows of each baseline that sees the map, to the same questions in the same order; None
            where it has no answer.
        left_out: Number of maps that were skipped, by reason.
    """

    rows: list[Prediction]
    baselines: Answers
    left_out: dict[str, int]


NO_MAPS = MapAnswers([], {}, {})


def evaluate_run(recipe: Recipe, run: Path, maps: MapAnswers = NO_MAPS) -> dict[str, Any]:
    """Predict with the last stage's checkpoint on the split kept for it, and score beside baselines.

    Writes `evaluation/predictions.jsonl`, `metrics.json` and `images/`; killed, it goes on where it stopped.
    Started in several processes (`torchrun`, `accelerate launch`), these share the questions, each on its own
    accelerator if there is one; any number may go on where another number was killed.

    Args:
        recipe: What the run was made from; `recipe.evaluation` says what is measured.
        run: Run folder with `data/` and `stages/`.
        maps: What was answered about whole maps, to be scored with the rest.

    Returns:
        The content of `metrics.json`, see `summarise`.

    Raises:
        RecipeError: There is no trained stage, or nothing to evaluate.
        DataError: A stage trained on what is to be asked about.
    """
    checkpoint = last_checkpoint(recipe, run)
    if successor(checkpoint).is_dir():
        warn(f"what is evaluated was trained with former settings: {checkpoint} waits for its successor")
    check_recipe_leakage(recipe, run / "data")
    suite = suite_of(recipe.evaluation)
    subsets = asked_of(recipe.evaluation, run / "data")
    refuse_repeats(names := [one.id for subset in subsets for example in subset for one in example.samples])
    if not names and not maps.rows:
        raise RecipeError(
            f"no samples {'of these tasks ' * bool(suite.tasks)}in the {recipe.evaluation.split} split of "
            f"{', '.join(recipe.evaluation.datasets)}",
            "prepare more scenes, give the split a larger share, or evaluate other tasks",
        )
    folder = run / "evaluation"
    key = predictions_key(recipe.evaluation, run / "data", checkpoint)
    journal = collect(folder / "predictions.jsonl", key, checkpoint, subsets, recipe.evaluation)
    process = processes()
    if process.is_main_process:
        facts = {"suite": suite.name, "checkpoint": str(checkpoint.relative_to(run))}
        calibrator = read_calibrator(checkpoint)
        sure = confidence_calibration(list(journal.rows.values()), calibrator)
        metrics = facts | _score(recipe, run, journal, subsets, suite, maps) | {"confidence": sure}
        write_text(folder / "maps.jsonl", "".join(to_json(row.to_json()) + "\n" for row in maps.rows))
        write_json(folder / "metrics.json", metrics)
    process.wait_for_everyone()
    content: dict[str, Any] = read_json_object(folder / "metrics.json")
    return content


def _score(
    recipe: Recipe, run: Path, journal: Journal, subsets: Sequence[Subset], suite: Suite, maps: MapAnswers
) -> dict[str, Any]:
    """Scores of a run's predictions, and the pictures of those that the report shows."""
    rows = list(journal.rows.values())
    examples = _examples(rows)
    guesses, rehearsal = _guesses(recipe, run, subsets)
    rivals = choose_baselines(rehearsal, suite.metrics)
    seeing, tried = _informed(recipe, run, subsets, {row.task for row in rows})
    shown = {journal.rows[name].chip for picks in examples.values() for name in picks.values()}
    _keep_pictures(run / "evaluation" / "images", shown, subsets)
    everything = [*rows, *maps.rows]
    of_chips, of_maps = _none_for(rows), _none_for(maps.rows)
    guesses = {name: [*given, *of_maps] for name, given in guesses.items()}
    seeing = {name: [*given, *of_maps] for name, given in seeing.items()}
    seeing |= {name: [*of_chips, *given] for name, given in maps.baselines.items()}
    seen = choose_baselines(tried, suite.metrics)
    seen |= {row.task: name for name in maps.baselines for row in maps.rows}
    return {
        **summarise(everything, guesses, rivals, suite.metrics, suite.breakdowns),
        **compare_informed(everything, seeing, seen, suite.metrics),
        "split": recipe.evaluation.split,
        "datasets": list(recipe.evaluation.datasets),
        "samples_per_second": journal.samples_per_second,
        "examples": examples,
        "maps_left_out": maps.left_out,
    }


def _none_for(rows: Sequence[Prediction]) -> list[Prediction | None]:
    """The answers of a baseline that has none to any of these."""
    return [None] * len(rows)


def asked_of(settings: EvaluationConfig, data: Path) -> list[Subset]:
    """The samples that an evaluation asks of each of its data sets, below the folder `data`.

    Raises:
        RecipeError: It names a task or a suite that does not exist.
    """
    stores = {name: read_store(data / name, settings.split) for name in settings.datasets}
    if settings.tasks is not None:
        held = {task for store in stores.values() for tasks in store.tasks() for task in tasks}
        refuse_unknown_tasks("evaluation.tasks", settings.tasks, {*held, *TASK_METRICS})
    suite = suite_of(settings)
    return [Subset(name, store, suite.limit, suite.tasks) for name, store in stores.items()]


def image_free_answers(recipe: Recipe, run: Path) -> tuple[Answers, dict[str, str]]:
    """Answers of every image-free baseline to the samples evaluated, and the baseline to beat in each task.

    No checkpoint is needed.

    Args:
        recipe: What the run was made from.
        run: Run folder with `data/`.
    """
    guesses, rehearsal = _guesses(recipe, run, asked_of(recipe.evaluation, run / "data"))
    return guesses, choose_baselines(rehearsal, suite_of(recipe.evaluation).metrics)


def last_checkpoint(recipe: Recipe, run: Path) -> Path:
    """Folder of the last stage of a run.

    Raises:
        RecipeError: It was not trained to the end.
    """
    folder = run / "stages" / f"{len(recipe.stages)}-{recipe.stages[-1].name}"
    if not is_checkpoint(folder):
        raise RecipeError(f"{folder} holds no checkpoint", "run `agrilape train` to the end first")
    return folder


def _guesses(recipe: Recipe, run: Path, subsets: Sequence[Subset]) -> tuple[Answers, Answers]:
    """Every baseline's rows to the samples in their order, and to samples of the train split.

    Each is fitted on the train split of the data set that it is asked about, or of those that the recipe
    names.
    """
    guesses: Answers = {name: [] for name in image_free.BASELINES}
    rehearsal: Answers = {name: [] for name in image_free.BASELINES}
    for dataset, subset in zip(recipe.evaluation.datasets, subsets, strict=True):
        train = _train_split(recipe, run, dataset)
        known = image_free.fit(train)
        for answers, examples in ((guesses, subset), (rehearsal, Subset(dataset, train, REHEARSAL))):
            for example in examples:
                for name, rows in answers.items():
                    rows += [image_free.guess(known, name, example.chip, one) for one in example.samples]
    return guesses, rehearsal


def _informed(
    recipe: Recipe, run: Path, subsets: Sequence[Subset], tasks: Collection[str]
) -> tuple[Answers, Answers]:
    """The same of the baselines that see the asked place."""
    guesses: Answers = {}
    rehearsal: Answers = {}
    for dataset, subset in zip(recipe.evaluation.datasets, subsets, strict=True):
        train = Subset(dataset, _train_split(recipe, run, dataset), informed.MOST_SAMPLES, tasks)
        known = informed.fit(train)
        for answers, rows in (
            (guesses, informed.guess(known, subset)),
            (rehearsal, informed.rehearse(known)),
        ):
            for name, given in rows.items():
                answers.setdefault(name, []).extend(given)
    return guesses, rehearsal


def _train_split(recipe: Recipe, run: Path, dataset: str) -> Store:
    """What baselines learn from for a data set."""
    names = recipe.evaluation.fitted_on or (dataset,)
    return Store([file for name in names for file in read_store(run / "data" / name, "train").files])


def _examples(rows: Sequence[Prediction]) -> dict[str, dict[str, str]]:
    """Id of the best, median and worst answer of each task."""
    found = {}
    for task, group in by_task(rows).items():
        ranked = sorted(group, key=lambda row: (-answer_quality(row), row.id))
        found[task] = {"best": ranked[0].id, "median": ranked[len(ranked) // 2].id, "worst": ranked[-1].id}
    return found


def _keep_pictures(folder: Path, chips: Collection[str], subsets: Sequence[Subset]) -> None:
    """Keep an image of each chip, of a series the middle one, as `images/<chip>.png` for the report."""
    for subset in subsets:
        for example in subset:
            if example.chip.id in chips:
                path = path_inside(folder, f"{example.chip.id}.png", "the id of a chip")
                path.parent.mkdir(parents=True, exist_ok=True)
                data = example.chip.pictures[len(example.chip.pictures) // 2].data
                as_rgb(data).save(path)

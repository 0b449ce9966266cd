"""The stages of a recipe, one after the other.

A stage is data (`StageConfig`) applied to the checkpoint of the stage before it. Its folder holds its own
checkpoint, log and stability figures; `stage.json` is written last and says that the stage is finished and
what it was made from, so that a later run knows whether it may be skipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from accelerate import PartialState
from torch import Tensor
from transformers import set_seed
from transformers.utils import logging

from agrilape.config.former_names import in_digests
from agrilape.config.recipe import Recipe, StageConfig
from agrilape.console import progress, say, warn
from agrilape.dataset.manifest import read_manifest, read_store
from agrilape.dataset.mixture import Mixture
from agrilape.dataset.recipe_leakage import check_recipe_leakage
from agrilape.dataset.tasks import TASKS
from agrilape.dataset.training_data import describe_training_data, write_training_data
from agrilape.errors import RecipeError, doing
from agrilape.files import LISTED, replace_folder, write_json
from agrilape.model import Checkpoint, save_checkpoint
from agrilape.tokens import Collator, PositionCodec, packing_of
from agrilape.train import checkpoints, stage_order
from agrilape.train.alignment import AlignmentTargets
from agrilape.train.arguments import close_loggers, require_loggers, trainer_arguments
from agrilape.train.feature_cache import KeptFeatures, cached_features
from agrilape.train.injection_scale import fix_scale
from agrilape.train.log import StageLog, read_rows
from agrilape.train.loss import AnswerCriterion
from agrilape.train.memory import bound_kernel_caches, release_memory
from agrilape.train.memory_budget import explained_memory, is_to_be_shared, most_tokens
from agrilape.train.micro_batches import Collate, TokenLimit, in_micro_batches, spare_tokens
from agrilape.train.precision import avoid_cudnn_attention, is_mixed
from agrilape.train.sampling import TrainingSamples, require_words_only
from agrilape.train.setup import StageSetup, prepare, uses_lape
from agrilape.train.stability import measure
from agrilape.train.starting_model import continued_recipe, describe, find_starting_model
from agrilape.train.trainer import StageTrainer
from agrilape.train.validation import CURVE, ValidationCallback, ValidationPlan

DONE, LOG, STABILITY = "stage.json", "log.jsonl", "stability.json"
RESUME, BEGUN = "resume", "begun.json"  # what an interrupted stage goes on from
FINAL = ".final"


def train_recipe(
    recipe: Recipe,
    run: Path,
    data: Path,
    resume: bool = True,
    only: Collection[str] = (),
    validation: ValidationPlan | None = None,
) -> list[Path]:
    """Train the stages of a recipe.

    Args:
        recipe: What to train.
        run: Run folder; stages go to `<run>/stages/<n>-<name>/`.
        data: Folder with one prepared data set per name in the recipe.
        resume: Skip stages that were finished with the same settings and go on from the last complete
            checkpoint; False trains from the start.
        only: Names of the stages to train, each from what the stage before it left; empty: all.
        validation: Scores the model while it trains, in the stages that can spell places.

    Returns:
        The stage folders in order; each is a checkpoint.

    Raises:
        RecipeError: `only` names an unknown stage, a stage before it has no checkpoint, `report_to` names
            what is not installed, or a setting contradicts the trained model that `model.path` names.
        DataError: A data set is not prepared, or what is trained on is also asked about in the evaluation.
        TrainingDivergedError: The loss is no longer finite.
    """
    if unknown := set(only) - {stage.name for stage in recipe.stages}:
        raise RecipeError(
            f"there is no stage {', '.join(sorted(unknown))}",
            f"choose from {', '.join(stage.name for stage in recipe.stages)}",
        )
    require_loggers(recipe.report_to)
    start = find_starting_model(recipe.model, fetch=True)
    told = tuple(describe(recipe, start)) if start else ()
    recipe = continued_recipe(recipe)
    bound_kernel_caches()
    avoid_cudnn_attention()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    folders: list[Path] = []
    features = KeptFeatures()  # of the vision tower, as long as it is frozen
    check_recipe_leakage(recipe, data)
    digests = fingerprints(recipe, {name: read_manifest(data / name).key for name in trained_on(recipe)})
    for number, (stage, made_from) in enumerate(zip(recipe.stages, digests, strict=True)):
        before = folders[-1] if folders else None
        folders.append(run / "stages" / stage_folder(recipe, number))
        if not only or stage.name in only:
            StageRun(recipe, number, folders[-1], before, data, made_from, validation, told, features).train(
                resume
            )
            release_memory(collect=True)
    return folders


def stage_folder(recipe: Recipe, number: int) -> str:
    """Name of a stage's folder below `<run>/stages`."""
    return f"{number + 1}-{recipe.stages[number].name}"


def trained_on(recipe: Recipe) -> list[str]:
    """Names of the data sets that a recipe trains on."""
    return recipe.trained_on


def fingerprints(recipe: Recipe, data: Mapping[str, str]) -> list[str]:
    """Digest, for each stage, of all that its result depends on, the stages before it included.

    What cannot matter is skipped: before LAPE comes in, its settings and the weights of position tokens; as
    long as nothing but words is trained, how coordinates are spelled. Recipes that differ in these alone have
    such stages in common.

    Args:
        recipe: The recipe.
        data: Key of each data set that it trains on, as its manifest gives it.
    """
    found: list[str] = []
    start, recipe = find_starting_model(recipe.model), continued_recipe(recipe)
    met_lape, met_places = start is not None and start.lape is not None, False
    for stage in recipe.stages:
        met_lape |= uses_lape(recipe, stage)
        met_places |= not _is_words_only(recipe, stage)
        facts = {
            "before": found[-1] if found else "",
            "stage": stage.model_dump(
                mode="json", exclude={"checkpoint_every", "enable_lape", "lape_schedule"}
            ),
            "data": {name: data[name] for name in stage.datasets},
            **recipe.model_dump(
                mode="json",
                include={"seed", "model"},
                exclude={"model": {"gradient_checkpointing", "tokens_at_once", "compile_layers"}},
            ),
        }
        if met_lape:
            facts |= stage.model_dump(mode="json", include={"lape_schedule"})
            facts |= recipe.model_dump(mode="json", include={"lape", "loss"})
            facts["lape_on"] = uses_lape(recipe, stage)
        else:
            facts["stage"]["learning_rates"].pop("lape")
        if met_places:
            facts["coordinates"] = recipe.coordinates
        if start is not None and not found:
            facts["start"] = start.made_from
        found.append(hashlib.sha256(json.dumps(in_digests(facts), sort_keys=True).encode()).hexdigest()[:16])
    return found


def _is_words_only(recipe: Recipe, stage: StageConfig) -> bool:
    """Can no place or time occur in a stage? Only if its tasks are known to use none, on undated images."""
    tasks = [
        name if recipe.datasets[dataset].series == 0 else ""
        for entry in stage.mixture.values()
        for dataset in entry.datasets
        for name in entry.tasks or recipe.datasets[dataset].tasks
    ]
    return all(name in TASKS and not TASKS[name].positions for name in tasks)


@dataclass(frozen=True)
class StageRun:
    """One stage of a run.

    Attributes:
        recipe: The recipe.
        number: Index of the stage.
        folder: Where it goes.
        before: Folder of the stage before it; None for the first.
        data: Folder of the prepared data sets.
        made_from: Fingerprint.
        validation: Scores the model while it trains.
        told: What to say of the model that the first stage goes on from.
        features: What a frozen vision tower made of images in the stages before.
    """

    recipe: Recipe
    number: int
    folder: Path
    before: Path | None
    data: Path
    made_from: str
    validation: ValidationPlan | None = None
    told: Sequence[str] = ()
    features: KeptFeatures = field(default_factory=KeptFeatures)

    @property
    def stage(self) -> StageConfig:
        """Settings of the stage."""
        return self.recipe.stages[self.number]

    @property
    def seed(self) -> int:
        """Seed of everything random in the stage."""
        return self.recipe.seed * 1000 + self.number

    def train(self, resume: bool) -> None:
        """Train the stage, from where it was interrupted if it was; do nothing if it is finished.

        One that was finished with other settings stays where it is until this one is finished.
        """
        process = PartialState(cpu=not torch.accelerator.is_available())
        with process.main_process_first():
            if process.is_main_process:
                stage_order.finish_replacement(self.folder, DONE, self.made_from if resume else None)
            finished = resume and checkpoints.made_from(self.folder / DONE) == self.made_from
            place = stage_order.place_for(self.folder, DONE)
        if finished:
            say(f"{self._title}: finished before, skipped")
            shutil.rmtree(self.folder / RESUME, ignore_errors=True)  # if it was killed while removing it
            return
        replace(self, folder=place)._train(resume, process)
        if process.is_main_process and place != self.folder:
            replace_folder(place, self.folder)
        process.wait_for_everyone()

    @property
    def _title(self) -> str:
        return f"stage {self.number + 1}/{len(self.recipe.stages)} {self.stage.name}"

    def _train(self, resume: bool, process: PartialState) -> None:
        title = self._title
        if self.before and checkpoints.made_from(self.before / DONE) is None:
            raise RecipeError(
                f"stage {self.stage.name} starts from {self.before}, which holds no finished stage",
                "train the stages before it first",
            )
        goes_on = resume and checkpoints.made_from(self.folder / RESUME / BEGUN) == self.made_from
        snapshot = checkpoints.latest(self.folder / RESUME) if goes_on else None
        resumed = int(snapshot.name.removeprefix("checkpoint-")) if snapshot else 0
        title += f" from step {resumed}" if resumed else ""
        # A recipe with a slip in it fails here, while what was trained before is still there.
        if not goes_on and self.folder.is_dir():
            self._draws(self.stage, process.num_processes, words_only=False)
        if snapshot is None and self.before is None:
            for sentence in self.told:
                say(sentence)
        set_seed(self.seed)
        prepared = prepare(self.recipe, self.stage, snapshot or self.before)
        process.wait_for_everyone()
        with process.main_process_first():
            if process.is_main_process:
                self._begin(goes_on, process.num_processes)
        left = self.stage.steps - resumed
        board = "tensorboard" in self.recipe.report_to
        with (
            progress(title, left, "steps") as track,
            doing(f"training {title} in", self.folder),
            checkpoints.explained_full_disk(self.folder / RESUME),
            StageLog(self.folder / LOG, resumed, track, process.is_main_process, board) as log,
        ):
            callback = self._validation_callback(prepared, resumed)
            trainer = self._trainer(prepared, log, callback, process.num_processes)
            resume_from = self.folder / RESUME
            with (
                explained_memory(
                    self.stage.name, self.recipe.model, resume_from, lambda: trainer.tokens_in_pass
                ),
                cached_features(prepared.model, self.features, is_to_be_shared()),
            ):
                trainer.train(resume_from_checkpoint=str(snapshot) if snapshot else None)
            trainer.save_model(str(self.folder / FINAL))
            close_loggers(self.recipe.report_to if process.is_main_process else ())
            if process.is_main_process:
                self._finish()
        process.wait_for_everyone()

    def _begin(self, goes_on: bool, processes: int) -> None:
        """Clear the folder of what does not belong to this stage."""
        folder = self.folder / RESUME
        if not goes_on:
            shutil.rmtree(self.folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        for draft in self.folder.glob(f".{FINAL}.*"):
            shutil.rmtree(draft)
        for name in checkpoints.discard_incomplete(folder):
            warn(f"{name} is incomplete and is skipped")
        if checkpoints.latest(folder) is None:
            batches = self.stage.gradient_accumulation * processes
            begun = {"made_from": self.made_from, "batches_per_step": batches}
            write_json(folder / BEGUN, begun)

    def _as_begun(self, processes: int) -> StageConfig:
        """The stage with steps as large as it began with, also if there are more or fewer processes now."""
        batches = checkpoints.read_json(self.folder / RESUME / BEGUN)["batches_per_step"]
        if batches % processes:
            raise RecipeError(
                f"stage {self.stage.name} began with {batches} batches a step, which {processes} processes "
                "cannot share",
                f"go on with a number of processes that divides {batches}, or remove {self.folder}",
            )
        return self.stage.model_copy(update={"gradient_accumulation": batches // processes})

    def _trainer(
        self, prepared: StageSetup, log: StageLog, callback: ValidationCallback | None, processes: int
    ) -> StageTrainer:
        """Put the trainer together."""
        stage = self._as_begun(processes)
        codec = PositionCodec(prepared.lape or self.recipe.lape)
        collator = Collator(
            prepared.processor,
            codec,
            self.recipe.coordinates,
            packing_of(prepared.model),
            share_images=not stage.word_alignment,  # which looks at features image by image
        )
        arguments = trainer_arguments(self.recipe, stage, self.folder / RESUME, self.seed)
        words_only = self.recipe.coordinates != "text" and not prepared.lape
        data = self._draws(stage, processes, words_only)
        there = torch.device("cpu") if is_to_be_shared() else arguments.device  # whole, it may not fit there
        fix_scale(prepared.model, collator, data, there)
        sees = "vision" in prepared.peaks
        limit = TokenLimit(most_tokens(self.recipe.model, prepared.model, arguments.device, sees))
        return StageTrainer(
            model=prepared.model,
            stage=stage,
            peaks=prepared.peaks,
            criterion=AnswerCriterion(self.recipe.loss, prepared.lape),
            data=data,
            collate=self._collate(prepared, collator, limit, arguments.device.type == "cpu"),
            save=partial(self._save, prepared),
            on_rows=log.write,
            mixed_precision=is_mixed(self.recipe.model, arguments.device),
            arguments=arguments,
            callback=callback,
            limit=limit,
        )

    def _validation_callback(self, prepared: StageSetup, resumed: int) -> ValidationCallback | None:
        """Looks at a model that can spell places; one that knows only words so far has nothing to show."""
        coordinates = self.recipe.coordinates
        if self.validation is None or (prepared.lape is None and coordinates != "text"):
            return None
        checkpoint = Checkpoint(prepared.model, prepared.processor, prepared.lape, coordinates)
        return ValidationCallback(self.validation, checkpoint, self.folder / CURVE, resumed)

    def _collate(self, prepared: StageSetup, collator: Collator, limit: TokenLimit, on_cpu: bool) -> Collate:
        """Makes batches for the model; with words for what is shown if the stage aligns them."""
        aligned = AlignmentTargets(collator, collator.chat.tokenizer) if self.stage.word_alignment else None
        parameters = sum(one.numel() for one in prepared.model.parameters())
        return in_micro_batches(collator, aligned, spare_tokens(parameters, on_cpu), limit)

    def _draws(self, stage: StageConfig, processes: int, words_only: bool) -> TrainingSamples:
        """Everything that the stage will see."""
        stores = {name: read_store(self.data / name, "train") for name in stage.datasets}
        mixture = Mixture(stage.mixture, stores, self.seed, stage.questions_per_chip)
        if words_only:
            require_words_only(mixture, stage.name)
        chips = stage.steps * stage.batch_size * stage.gradient_accumulation * processes
        return TrainingSamples(mixture, chips, self.seed, stage.augment, stage.colour_jitter)

    def _save(self, prepared: StageSetup, folder: Path, state: Mapping[str, Tensor] | None) -> Path:
        facts = {"coordinates": self.recipe.coordinates, "stage": self.stage.name}
        home = self.folder if folder.name == FINAL else folder
        return save_checkpoint(folder, prepared.model, prepared.processor, facts, state, home)

    def _finish(self) -> None:
        """Put the stage's checkpoint and figures in their place, and declare it finished."""
        rows = read_rows(self.folder / LOG)
        stability = measure(rows, read_rows(self.before / LOG) if self.before else ())
        write_json(self.folder / STABILITY, stability)
        for sentence in stability["advice"]:
            warn(f"stage {self.stage.name}: {sentence}")
        draft = self.folder / FINAL
        for path in draft.iterdir():
            if path.name != LISTED:  # the stage's folder holds more
                os.replace(path, self.folder / path.name)
        (draft / LISTED).unlink(missing_ok=True)
        draft.rmdir()
        taught = describe_training_data(self.data, self.recipe.stages[: self.number + 1])
        write_training_data(self.folder, taught)
        done = {"name": self.stage.name, "steps": self.stage.steps, "made_from": self.made_from}
        write_json(self.folder / DONE, done)
        shutil.rmtree(self.folder / RESUME)

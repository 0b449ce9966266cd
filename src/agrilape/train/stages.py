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
from collections.abc import Collection
from pathlib import Path

import torch
from transformers import TrainingArguments, set_seed

from agrilape.config.recipe import Recipe, StageConfig
from agrilape.console import progress, say, warn
from agrilape.errors import RecipeError
from agrilape.model import parameter_groups, save_checkpoint
from agrilape.samples.mixture import Mixture
from agrilape.samples.store import read_store
from agrilape.tokens import Collator, PositionCodec, packing_of
from agrilape.train import snapshots
from agrilape.train.data import Draws, counting, require_words_only
from agrilape.train.log import StageLog, read_rows
from agrilape.train.loss import AnswerCriterion
from agrilape.train.prepare import Prepared, prepare
from agrilape.train.stability import measure
from agrilape.train.trainer import LOG_EVERY, StageTrainer

DONE = "stage.json"
RESUME = "resume"
BEGUN = "begun.json"
LOG = "log.jsonl"


def train_recipe(
    recipe: Recipe, run: Path, data: Path, resume: bool = True, only: Collection[str] = ()
) -> list[Path]:
    """Train the stages of a recipe.

    Args:
        recipe: What to train.
        run: Run folder; stages go to `<run>/stages/<n>-<name>/`.
        data: Folder with one prepared data set per name in the recipe.
        resume: Skip stages that were finished with the same settings and go on from the last complete
            checkpoint; False trains from the start.
        only: Names of the stages to train, each from the checkpoint that the stage before it left; empty:
            all.

    Returns:
        The stage folders in order; each is a checkpoint.

    Raises:
        RecipeError: `only` names an unknown stage, or a stage before it has no checkpoint.
        TrainingDivergedError: The loss is no longer finite.
    """
    folders = [run / "stages" / f"{n}-{stage.name}" for n, stage in enumerate(recipe.stages, 1)]
    if unknown := set(only) - {stage.name for stage in recipe.stages}:
        raise RecipeError(
            f"there is no stage {', '.join(sorted(unknown))}",
            f"choose from {', '.join(stage.name for stage in recipe.stages)}",
        )
    made_from = ""
    for number, (stage, folder) in enumerate(zip(recipe.stages, folders, strict=True)):
        made_from = fingerprint(recipe, stage, made_from)
        before = folders[number - 1] if number else None
        if only and stage.name not in only:
            continue
        if resume and _finished(folder) == made_from:
            say(f"stage {number + 1}/{len(folders)} {stage.name}: finished before, skipped")
            continue
        if before and _finished(before) is None:
            raise RecipeError(
                f"stage {stage.name} starts from {before}, which holds no finished stage",
                "train the stages before it first",
            )
        if not resume or _begun(folder) != made_from:
            shutil.rmtree(folder, ignore_errors=True)
        _train_stage(recipe, number, folder, before, data, made_from)
    return folders


def fingerprint(recipe: Recipe, stage: StageConfig, before: str) -> str:
    """Digest of all settings that a stage's result depends on, those of the stages before it included."""
    names = sorted({name for entry in stage.mixture.values() for name in entry.datasets})
    settings = {
        "before": before,
        "stage": stage.model_dump(mode="json", exclude={"checkpoint_every"}),
        "data": {name: recipe.datasets[name].model_dump(mode="json") for name in names},
        **recipe.model_dump(
            mode="json", include={"seed", "enable_lape", "coordinates", "model", "lape", "loss"}
        ),
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _train_stage(
    recipe: Recipe, number: int, folder: Path, before: Path | None, data: Path, made_from: str
) -> None:
    """Train one stage from the checkpoint before it, or from where it was interrupted."""
    stage = recipe.stages[number]
    seed = recipe.seed * 1000 + number
    set_seed(seed)
    resume = folder / RESUME
    resume.mkdir(parents=True, exist_ok=True)
    snapshots.write_json(resume / BEGUN, {"made_from": made_from})
    for torn in snapshots.discard_torn(resume):
        warn(f"{torn} was not written to the end and is left out")
    snapshot = snapshots.latest(resume)
    prepared = prepare(recipe, stage, snapshot or before)
    resumed = int(snapshot.name.removeprefix("checkpoint-")) if snapshot else 0
    title = f"stage {number + 1}/{len(recipe.stages)} {stage.name}"
    if resumed:
        title += f" from step {resumed}"
    with progress(title, stage.steps - resumed, "steps") as track, StageLog(folder, resumed, track) as log:
        trainer = _trainer(recipe, stage, prepared, data, resume, seed, log)
        trainer.train(resume_from_checkpoint=str(snapshot) if snapshot else None)
    _finish(recipe, stage, prepared, folder, before, made_from)


def _trainer(
    recipe: Recipe, stage: StageConfig, prepared: Prepared, data: Path, resume: Path, seed: int, log: StageLog
) -> StageTrainer:
    """Put a stage's trainer together."""
    codec = PositionCodec(prepared.lape or recipe.lape)
    collator = Collator(prepared.processor, codec, recipe.coordinates, packing_of(prepared.model))
    arguments = _arguments(stage, resume, seed)
    chips = stage.steps * stage.batch_size * stage.gradient_accumulation * arguments.world_size
    names = {name for entry in stage.mixture.values() for name in entry.datasets}
    stores = {name: read_store(data / name, "train") for name in sorted(names)}
    mixture = Mixture(stage.mixture, stores, seed, stage.questions_per_chip)
    if prepared.lape is None and recipe.coordinates == "position_tokens":
        require_words_only(mixture, stage.name)

    def save(folder: Path) -> None:
        save_checkpoint(folder, prepared.model, prepared.processor, {"coordinates": recipe.coordinates})

    return StageTrainer(
        model=prepared.model,
        stage=stage,
        groups=parameter_groups(prepared.model),
        peaks=prepared.peaks,
        criterion=AnswerCriterion(recipe.loss, prepared.lape),
        data=Draws(mixture, chips, seed, stage.augment),
        collate=counting(collator),
        save=save,
        on_rows=log.write,
        arguments=arguments,
    )


def _arguments(stage: StageConfig, folder: Path, seed: int) -> TrainingArguments:
    """Settings of `transformers.Trainer`; the optimiser, schedules and log are ours."""
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=stage.steps,
        per_device_train_batch_size=stage.batch_size,
        gradient_accumulation_steps=stage.gradient_accumulation,
        max_grad_norm=stage.max_grad_norm,
        seed=seed,
        logging_steps=LOG_EVERY,
        logging_nan_inf_filter=False,  # it reads the loss back at every step, and hides what we report
        save_strategy="steps",
        save_steps=stage.checkpoint_every,
        save_total_limit=2,  # the newest may be torn
        dataloader_num_workers=min((os.cpu_count() or 1) - 1, 1),
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to=[],
    )


def _finish(
    recipe: Recipe, stage: StageConfig, prepared: Prepared, folder: Path, before: Path | None, made_from: str
) -> None:
    """Write the stage's checkpoint and figures, and declare it finished."""
    rows = read_rows(folder / LOG)
    stability = measure(rows, read_rows(before / LOG) if before else ())
    snapshots.write_json(folder / "stability.json", stability)
    for sentence in stability["advice"]:
        warn(f"stage {stage.name}: {sentence}")
    draft = save_checkpoint(
        folder / ".final", prepared.model, prepared.processor, {"coordinates": recipe.coordinates}
    )
    for path in draft.iterdir():
        os.replace(path, folder / path.name)
    draft.rmdir()
    snapshots.write_json(folder / DONE, {"name": stage.name, "steps": stage.steps, "made_from": made_from})
    shutil.rmtree(folder / RESUME)


def _finished(folder: Path) -> str | None:
    """What a finished stage was made from; None for an unfinished one."""
    return _made_from(folder / DONE)


def _begun(folder: Path) -> str | None:
    """What the interrupted stage in a folder is made from; None if there is none."""
    return _made_from(folder / RESUME / BEGUN)


def _made_from(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["made_from"])
    except (OSError, ValueError, KeyError):
        return None

"""Settings of `transformers.Trainer` for a stage; the optimiser, schedules and log are ours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import TrainingArguments

from agrilape.config.recipe import Recipe, StageConfig
from agrilape.console import warn
from agrilape.errors import RecipeError

LOG_EVERY = 10


def trainer_arguments(recipe: Recipe, stage: StageConfig, folder: Path, seed: int) -> TrainingArguments:
    """Make the Trainer's settings.

    Args:
        recipe: The recipe.
        stage: The stage, with the gradient accumulation of this many processes.
        folder: Where checkpoints to resume from go.
        seed: Seed of the stage.
    """
    arguments = TrainingArguments(
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
        dataloader_num_workers=loader_processes(),
        dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=not torch.accelerator.is_available(),  # processes on CPUs find each other only if told so
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to=[name for name in recipe.report_to if name != "tensorboard"],  # see agrilape.train.log
        run_name=f"{recipe.output.name}-{stage.name}",
        project=recipe.name,
    )
    if arguments.n_gpu > 1:
        warn(f"one of {arguments.n_gpu} GPUs is used; for all of them see 'Scaling out' in docs/training.md")
        arguments._n_gpu = 1  # else the Trainer would wrap the model in torch.nn.DataParallel
    return arguments


def require_loggers(names: Sequence[str]) -> None:
    """Refuse a logger that is not installed before anything is trained.

    Raises:
        RecipeError: Naming it, and how to get it.
    """
    for name in names:
        if find_spec(name) is None:
            extra = "agrilape[trackio]" if name == "trackio" else name
            raise RecipeError(
                f"report_to names {name}, which is not installed",
                f"pip install {extra}, or take it out of report_to; log.jsonl is written in any case",
            )


def close_loggers(names: Sequence[str]) -> None:
    """End what an integration of the Trainer leaves open, so that the next stage begins a run of its own."""
    if "wandb" in names:
        import_module("wandb").finish()


def loader_processes() -> int:
    """How many processes make batches: a quarter of the cores, and none beside a single core.

    One prepares some 200 chips a second.
    """
    cores = os.cpu_count() or 1
    return min(max(cores // 4, 1), 8) if cores > 1 else 0

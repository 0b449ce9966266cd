"""The model that a stage starts from, set up for the stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from agrilape.config.lape import LapeConfig
from agrilape.config.recipe import ModelConfig, Recipe, StageConfig
from agrilape.errors import ModelError
from agrilape.model import (
    attach,
    build_preset,
    lape_of,
    load_checkpoint,
    parameter_groups,
)
from agrilape.model.convert import convert, unmerge
from agrilape.model.frozen_base import keep_projector_in_float32, language_matrices, quantise
from agrilape.model.merge import merged_settings
from agrilape.tokens import add_position_tokens
from agrilape.train.acceleration import speed_up
from agrilape.train.gradient_checkpointing import recompute_layers
from agrilape.train.optim import freeze, peak_rates
from agrilape.train.precision import is_mixed
from agrilape.train.starting_model import wants_lape


@dataclass(frozen=True)
class StageSetup:
    """A model that is ready for a stage.

    Attributes:
        model: With LAPE, if the stage or one before it has it.
        processor: Its processor, with position tokens if the model has LAPE.
        lape: Settings of LAPE where this stage uses it.
        peaks: Peak learning rate of the groups that train.
    """

    model: Any
    processor: Any
    lape: LapeConfig | None
    peaks: dict[str, float]


def prepare(recipe: Recipe, stage: StageConfig, start: Path | None) -> StageSetup:
    """Open the model that a stage starts from and set it up for the stage.

    LAPE is attached when a stage first asks for it, not before, since the statistics of the language model's
    embeddings and of the visual features, which it starts from, are those of an aligned model by then.
    A model that was trained with LAPE keeps it.

    Args:
        recipe: Settings.
        stage: The stage.
        start: Checkpoint to start from; None: the base model.
    """
    return set_up(recipe, stage, *_open(recipe, start))


def set_up(recipe: Recipe, stage: StageConfig, model: Any, processor: Any) -> StageSetup:
    """Set a model up for a stage.

    Args:
        recipe: Settings.
        stage: The stage.
        model: The base model, see `ready_base`, or one that was set up before; changed in place.
        processor: Its processor, which gets the position tokens.
    """
    if recipe.model.lora_rank is not None and not is_adapted(model):
        model = add_lora(model, recipe.model.lora_rank)
    on = uses_lape(recipe, stage)
    if on and lape_of(model) is None:
        attach(model, add_position_tokens(processor, recipe.lape), processor.tokenizer)
    lape = lape_of(model)
    if lape is not None:
        lape.enabled = on
    if recipe.model.gradient_checkpointing:
        recompute_layers(model)
    if PartialState().device.type == "cuda":
        speed_up(model, recipe.model.compile_layers, is_mixed(recipe.model, PartialState().device))
    peaks = peak_rates(stage.learning_rates, lape=on)
    freeze(parameter_groups(model), peaks)
    return StageSetup(model, processor, lape.config if lape is not None and on else None, peaks)


def uses_lape(recipe: Recipe, stage: StageConfig) -> bool:
    """Are position tokens and injection on in a stage?"""
    return recipe.enable_lape and stage.enable_lape and recipe.coordinates == "position_tokens"


def is_adapted(model: Any) -> bool:
    """Does a model have LoRA?"""
    return hasattr(model, "get_base_model")


def add_lora(model: Any, rank: int) -> Any:
    """Put LoRA onto every matrix of the language model's layers; checkpoints are adapters from then on.

    Args:
        model: With or without LAPE.
        rank: Of each update; it is scaled by 2 (alpha = 2 x rank).

    Returns:
        The model, wrapped by PEFT.

    Raises:
        ModelError: PEFT is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ModelError("lora_rank needs PEFT", "pip install agrilape[peft]") from error
    names = [name for name, _ in language_matrices(model)]
    return get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names))


def _open(recipe: Recipe, start: Path | None) -> tuple[Any, Any]:
    config, dtype = recipe.model, getattr(torch, recipe.model.dtype)
    ready, trusted = partial(ready_base, config), config.trust_remote_code
    if start is not None:
        named = () if config.path is None else (config.path,)
        checkpoint = load_checkpoint(start, dtype, None, trusted, named, ready)
        return checkpoint.model, checkpoint.processor
    if config.path is None:
        built = build_preset(config.preset or "nano", config.seed)
        built.model.to(dtype)
        ready(built.model)
        return built
    checkpoint = load_checkpoint(config.path, dtype, trust_remote_code=trusted, ready_base=ready)
    return _as_asked(recipe, checkpoint.model, checkpoint.processor), checkpoint.processor


def ready_base(config: ModelConfig, model: Any) -> None:
    """Change a base model in place: under LoRA it is frozen, in few bytes, and all that trains is float32.

    Args:
        config: Settings of the model.
        model: Without LAPE and LoRA, in the type that the settings name.
    """
    if config.quantisation is not None:
        quantise(model, getattr(torch, config.dtype))
    if config.lora_rank is not None and config.dtype != "float32":
        keep_projector_in_float32(model)


def _as_asked(recipe: Recipe, model: Any, processor: Any) -> Any:
    """A trained model with the number of tokens, the gate and the LoRA that the recipe asks for."""
    if is_adapted(model) and recipe.model.lora_rank is None:
        model = model.merge_and_unload()
    if merged_settings(model) is not None and wants_lape(recipe):
        unmerge(model)
    lape = lape_of(model)
    if lape is None:
        return model
    wanted = lape.config.model_copy(update={"ntp": recipe.lape.ntp, "gate": recipe.lape.gate})
    bins = {name: getattr(recipe.lape, name) for name in ("num_spatial_tokens", "num_temporal_tokens")}
    wanted = wanted.model_copy(update=bins)
    if wanted != lape.config:
        convert(model, processor, wanted)
    return model

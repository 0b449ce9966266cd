"""Going on from a model that was trained: what of it is kept, and which settings would contradict it.

`model.path` may name a checkpoint, a run folder (its last finished stage), an adapter, a merged model, or
`shipped:nano`. Only small files are read here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agrilape.config.lape import LapeConfig
from agrilape.config.recipe import ModelConfig, Recipe
from agrilape.errors import RecipeError
from agrilape.io.json_text import read_json_if_sound
from agrilape.model.checkpoint_files import find_local, read_meta, read_settings
from agrilape.model.resolve import LORA, fetched, locate

_BINS = ("num_spatial_tokens", "num_temporal_tokens")


@dataclass(frozen=True)
class StartingModel:
    """A trained model.

    Attributes:
        folder: Its checkpoint or adapter.
        lape: Settings of its LAPE, attached or merged; None without.
        merged: Was LAPE merged into the vocabulary?
        coordinates: How it was trained to spell places: `position_tokens` or `text`.
        lora_rank: Of an adapter's LoRA; None without.
        made_from: Digest of all that a finished stage was made from; None where nothing says so.
    """

    folder: Path
    lape: LapeConfig | None
    merged: bool
    coordinates: str
    lora_rank: int | None
    made_from: str | None


def find_starting_model(config: ModelConfig, fetch: bool = False) -> StartingModel | None:
    """The trained model that a recipe names; None for a preset, and for a model that agrilape never trained.

    Args:
        config: The recipe's model.
        fetch: May the hub be asked? Else what lies in its cache counts.

    Raises:
        ModelError: There is no such model, or a file of it is damaged.
    """
    if config.path is None:
        return None
    found = find_local(config.path) if fetch else locate(config.path)
    folder = found if isinstance(found, Path) else fetched(found)
    if folder is None:
        return None
    meta, lape = read_meta(folder), read_settings(folder)
    note = read_json_if_sound(folder / "config.json").get("agrilape")
    if not meta and lape is None and not note:
        return None
    merged = lape is None and bool(note)
    if note and merged:
        lape = _of_merged(note)
    return StartingModel(
        folder,
        lape,
        merged,
        str(meta.get("coordinates", "position_tokens")),
        read_json_if_sound(folder / LORA).get("r"),
        read_json_if_sound(folder / "stage.json").get("made_from"),
    )


def _of_merged(note: dict[str, Any]) -> LapeConfig:
    injection = note.get("injected", {}).get("injection", "mean")
    return LapeConfig.model_validate({**note["merged"], "injection": injection})


def continued_recipe(recipe: Recipe, fetch: bool = False) -> Recipe:
    """The recipe with the settings of the LAPE that it goes on from; as it is where there is none.

    What the recipe leaves open is taken from the trained model.

    Args:
        recipe: What would be trained.
        fetch: As in `find_starting_model`.

    Raises:
        RecipeError: A setting contradicts the trained model.
        ModelError: There is no such model, or a file of it is damaged.
    """
    start = find_starting_model(recipe.model, fetch)
    _check_model(recipe, start)
    if start is None or start.lape is None or (start.merged and not wants_lape(recipe)):
        if recipe.lape.resize != "refuse":
            raise RecipeError("lape.resize: there are no trained rows to resize", "leave it out")
        return recipe
    for problem, remedy in _contradictions(recipe, start, start.lape):
        raise RecipeError(f"{problem} ({start.folder})", remedy)
    given = recipe.lape.model_fields_set
    kept = {name for name in (*_BINS, "ntp", "gate", "resize") if name in given}
    settings = {name: getattr(recipe.lape, name) for name in kept}
    lape = start.lape.model_copy(update={**settings, "token_ids": None})
    return recipe.model_copy(update={"lape": lape})


def wants_lape(recipe: Recipe) -> bool:
    """Does any stage train with position tokens and injection?"""
    on = recipe.enable_lape and any(stage.enable_lape for stage in recipe.stages)
    return on and recipe.coordinates == "position_tokens"


def _check_model(recipe: Recipe, start: StartingModel | None) -> None:
    """Refuse to overwrite what is gone on from, and LoRA of another size."""
    if start is None:
        return
    if start.folder.resolve().is_relative_to(recipe.output.resolve()):
        raise RecipeError(
            f"model.path {recipe.model.path} lies in the run folder {recipe.output}, which would be written",
            "give the new run another `output`",
        )
    rank = recipe.model.lora_rank
    if rank is not None and start.lora_rank not in (None, rank):
        raise RecipeError(
            f"model.lora_rank is {rank}, but {start.folder} has LoRA of rank {start.lora_rank}",
            f"set model.lora_rank to {start.lora_rank}, or to null to add it to the weights and train these",
        )


def _contradictions(recipe: Recipe, start: StartingModel, trained: LapeConfig) -> Iterator[tuple[str, str]]:
    """What in a recipe would make another model of the trained one: problem and remedy."""
    if not wants_lape(recipe):
        what = "coordinates are text" if recipe.coordinates == "text" else "no stage enables LAPE"
        yield (
            f"{what}, but the model was trained with LAPE",
            "enable it, or start from a model without LAPE (`agrilape merge` makes one)",
        )
    lape = recipe.lape
    for name in sorted(lape.model_fields_set - {"token_ids", "resize", "initialisation"}):
        wanted, has = getattr(lape, name), getattr(trained, name)
        if wanted == has or (name == "tied" and wanted is None):
            continue
        if name in _BINS:
            if lape.resize != "interpolate":
                yield (
                    f"lape.{name} is {wanted}, but the model was trained with {has}",
                    f"leave it out to keep {has}, or set lape.resize=interpolate to spread the trained rows",
                )
        elif (name == "ntp" and "value" not in (wanted, has)) or (name == "gate" and has == "fixed"):
            continue  # how rows learn; a learned gate begins open
        else:
            yield (
                f"lape.{name} is {wanted}, but the model was trained with {has}",
                f"leave it out, or set it to {json.dumps(has)}: else it would be another model",
            )


def describe(recipe: Recipe, start: StartingModel) -> Iterator[str]:
    """What is kept of a trained model, and what is not used of a recipe, in sentences.

    Args:
        recipe: As it was given to `continued_recipe`, which does not refuse it.
        start: The model.
    """
    yield f"going on from {start.folder}: its weights, tokens and chat template are kept"
    if start.made_from is not None:
        yield "what it was trained on before is not compared with what this recipe evaluates on"
    if start.lora_rank is not None and recipe.model.lora_rank is None:
        yield f"its LoRA (rank {start.lora_rank}) is added to the weights"
    if start.merged and not wants_lape(recipe):
        yield "its LAPE stays merged into the vocabulary, and is not trained"
    elif start.lape is not None:
        yield from _describe_lape(recipe, start.lape, start.merged)
    elif recipe.coordinates == "position_tokens":
        spelled = ", and was trained to write places as text" * (start.coordinates == "text")
        yield f"it has no LAPE{spelled}: rows begin anew ({recipe.lape.initialisation})"


def _describe_lape(recipe: Recipe, trained: LapeConfig, merged: bool) -> Iterator[str]:
    wanted, given = continued_recipe(recipe).lape, recipe.lape.model_fields_set
    yield (
        f"LAPE is kept: {trained.num_spatial_tokens} spatial and {trained.num_temporal_tokens} temporal "
        f"tokens, injection {trained.injection}" + ", out of the vocabulary that it was merged into" * merged
    )
    if "initialisation" in given and recipe.lape.initialisation != trained.initialisation:
        yield (
            f"lape.initialisation {recipe.lape.initialisation} is not used: rows go on as they were trained "
            f"(they began as {trained.initialisation})"
        )
    for name in (*_BINS, "ntp", "gate"):
        before, after = getattr(trained, name), getattr(wanted, name)
        if before != after:
            how = "rows are interpolated to" if name in _BINS else "until now, from now on"
            yield f"lape.{name}: {before} {how} {after}"
    for stage in recipe.stages:
        if not stage.enable_lape:
            yield f"stage {stage.name}: LAPE is off while it trains, and kept"
        elif stage.lape_schedule.gate in ("linear", "cosine"):
            yield (
                f"stage {stage.name}: lape_schedule.gate shuts the trained injection and opens it again over "
                f"{stage.lape_schedule.lape_warmup_steps} steps; gate=off leaves it open"
            )

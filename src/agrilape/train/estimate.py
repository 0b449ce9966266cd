"""What a run will take, before it begins: parameters, tokens, memory, time and disk.

Nothing is trained and no weights are loaded: models other than presets are built without memory. Of presets a
few steps are timed, of others the arithmetic is counted.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from agrilape.config.recipe import Recipe, StageConfig
from agrilape.dataset.manifest import read_store
from agrilape.dataset.mixture import Mixture
from agrilape.errors import DataError, RecipeError
from agrilape.model import build_preset, load_processor, parameter_groups
from agrilape.model.checkpoint import find_weights
from agrilape.model.checkpoint_files import load_weights
from agrilape.model.frozen_base import NF4_BYTES, language_matrices
from agrilape.tokens import Collator, PositionCodec, add_position_tokens, packing_of
from agrilape.train.activations import Arithmetic, activation_bytes, logit_bytes, tokens_that_fit
from agrilape.train.arguments import loader_processes, require_loggers
from agrilape.train.memory_budget import USED
from agrilape.train.micro_batches import in_micro_batches, spare_tokens
from agrilape.train.optim import peak_rates
from agrilape.train.precision import is_mixed
from agrilape.train.sampling import TrainingSamples
from agrilape.train.starting_model import continued_recipe
from agrilape.train.step_time import seconds_per_batch

PROBES = 64  # chips that are looked at, in batches as they would train
PROCESS_BYTES = 540_000_000  # with the libraries; a CUDA context takes about as much of the device
LOADER_BYTES = 60_000_000  # what a loading process does not share with the one that forked it
EFFICIENCY = 0.3  # share of the speed of one large matrix product that training reaches


@dataclass(frozen=True)
class Estimate:
    """One stage.

    Attributes:
        stage: Its name.
        parameters: Number of parameters by group.
        trained: Those of them that train.
        tokens: Mean length of a sequence (a chip with its questions), visual tokens included; None if the
            data are not prepared.
        questions: Mean number of questions in it; None likewise.
        steps: Optimiser steps.
        chips: Chips drawn over the stage, by one process.
        epochs: How often each chip comes, by entry of the mixture; empty if the data are not prepared.
        checkpoint_bytes: Size of one checkpoint's weights.
        memory: Bytes by what takes them, on the accelerator if there is one: `process` (libraries or driver,
            loading processes), `weights`, `training` (gradients and AdamW's two sums) and, if the data are
            prepared, `activations` and `logits` of the largest part of a batch.
        seconds: Time of the stage on this machine, to within a factor of two or so; None without tokens.
    """

    stage: str
    parameters: Mapping[str, int]
    trained: Mapping[str, int]
    tokens: float | None
    questions: float | None
    steps: int
    chips: int
    epochs: Mapping[str, float]
    checkpoint_bytes: int
    memory: Mapping[str, int]
    seconds: float | None

    @property
    def memory_bytes(self) -> int:
        """Peak of the stage, all together."""
        return sum(self.memory.values())


def missing_extras(recipe: Recipe) -> list[str]:
    """What training by a recipe needs and is not installed, each with the command that installs it."""
    found = []
    if recipe.model.lora_rank is not None and find_spec("peft") is None:
        found.append("lora_rank needs PEFT: pip install 'agrilape[peft]'")
    if recipe.model.quantisation is not None and find_spec("bitsandbytes") is None:
        found.append("quantisation needs bitsandbytes: pip install 'agrilape[qlora]'")
    try:
        require_loggers(recipe.report_to)
    except RecipeError as error:
        found.append(f"{error.problem}: {error.remedy}")
    return found


def estimate_recipe(
    recipe: Recipe, data: Path, gpu: int | None = None, outline: tuple[Any, Any] | None = None
) -> list[Estimate]:
    """Estimate every stage of a recipe.

    Args:
        recipe: What would be trained.
        data: Folder of the prepared data sets; lengths and times are skipped where they are missing.
        gpu: Bytes of the GPU for which memory is estimated, here or not; times are those of this machine.
        outline: The model, of which only shapes are read, and its processor; None: those of the recipe.

    Raises:
        ModelError: The model's configuration or processor cannot be read.
    """
    if outline is None:
        recipe = continued_recipe(recipe, fetch=True)
    model, processor = outline or outline_of(recipe)
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    device = accelerator or torch.device("cpu")
    mixed = is_mixed(recipe.model, device)
    speed = _products_per_second(device, torch.bfloat16 if mixed else getattr(torch, recipe.model.dtype))
    collator = _collator(recipe, model, processor)
    if gpu is not None:
        mixed = recipe.model.mixed_precision == "auto"
    arithmetic = Arithmetic(2 if mixed else _width(recipe), mixed, gpu is None and device.type == "cpu")
    return [
        _stage(recipe, stage, model, data, collator, speed, arithmetic, device, gpu)
        for stage in recipe.stages
    ]


def available_gpu() -> int | None:
    """Bytes of the GPU that would train; None without one."""
    return int(torch.cuda.get_device_properties(0).total_memory) if torch.cuda.is_available() else None


def _stage(
    recipe: Recipe,
    stage: StageConfig,
    model: Any,
    data: Path,
    collator: Collator,
    speed: float,
    arithmetic: Arithmetic,
    device: torch.device,
    gpu: int | None,
) -> Estimate:
    counts = count_parameters(recipe, stage, model)
    trained = {name: counts[name] for name in peak_rates(stage.learning_rates, stage.enable_lape)}
    chips = stage.steps * stage.batch_size * stage.gradient_accumulation
    held = weight_bytes(recipe, counts, model)
    trains = sum(held[name] for name in trained)
    memory = {
        "process": PROCESS_BYTES + LOADER_BYTES * loader_processes() * arithmetic.on_cpu,
        "weights": sum(held.values()),
        "training": 3 * trains,
    }
    tokens = questions = seconds = None
    epochs: dict[str, float] = {}
    try:
        mixture = _mixture(recipe, stage, data)
    except DataError:
        pass
    else:
        shares, sizes = mixture.shares(chips), mixture.sizes()
        epochs = {name: chips * shares[name] / sizes[name] for name in sizes}
        spare = spare_tokens(sum(counts.values()), arithmetic.on_cpu)
        most = _most_tokens(recipe, model, trained, arithmetic, memory, gpu)
        began = time.perf_counter()
        batches = list(_batches(mixture, stage, collator, spare, most))
        loading = (time.perf_counter() - began) / max(len(batches), 1)
        tokens, questions = _lengths(batches)
        memory |= _part_bytes(recipe, model, batches, trained, arithmetic)
        measured = None
        if recipe.model.path is None:
            measured = seconds_per_batch(recipe, stage, batches, device, is_mixed(recipe.model, device))
        seconds = (
            _with_loading(measured, loading) * stage.steps * stage.gradient_accumulation
            if measured
            else 6 * sum(counts.values()) * tokens * chips / (speed * EFFICIENCY)
        )
    saved = trains if recipe.model.lora_rank else sum(held.values())
    return Estimate(
        stage.name, counts, trained, tokens, questions, stage.steps, chips, epochs,
        saved, memory, seconds,
    )  # fmt: skip


def _most_tokens(
    recipe: Recipe,
    model: Any,
    trained: Collection[str],
    arithmetic: Arithmetic,
    memory: Mapping[str, int],
    gpu: int | None,
) -> int | None:
    """Most tokens of a part of a batch, as a run would find, see `agrilape.train.memory_budget`."""
    config = recipe.model
    if config.tokens_at_once is not None or gpu is None:
        return config.tokens_at_once
    room = int(USED * gpu) - sum(memory.values())
    return tokens_that_fit(room, model, arithmetic, "vision" in trained, config.gradient_checkpointing)


def what_to_set(recipe: Recipe, estimate: Estimate, gpu: int) -> str | None:
    """What to set for a stage that will not fit on a GPU; None where it does.

    Args:
        recipe: What would be trained.
        estimate: Of the stage.
        gpu: Bytes of the GPU.
    """
    if estimate.memory_bytes <= gpu:
        return None
    config = recipe.model
    if not config.gradient_checkpointing and "activations" in estimate.memory:
        return "set model.gradient_checkpointing=true"
    if "llm" in estimate.trained:
        return "set model.lora_rank=16 and train `lora` in place of `llm` (learning_rates)"
    if "vision" in estimate.trained:
        return f"leave `vision` out of stages.{estimate.stage}.learning_rates"
    if config.lora_rank and config.dtype == "float32":
        return "set model.dtype=bfloat16: beside LoRA, of the frozen weights alone"
    if config.lora_rank and config.quantisation is None:
        return "set model.quantisation=nf4 (QLoRA)"
    if estimate.memory["weights"] > gpu:
        return "take a smaller model, or share it among GPUs: recipes/accelerate/fsdp2.yaml"
    if config.dtype == "float32" and estimate.memory["weights"] > gpu // 2:
        return "set model.dtype=bfloat16"
    return "set a smaller `chip` or `series`, a smaller `questions_per_chip`, or take a larger GPU"


def _with_loading(computing: float, loading: float) -> float:
    """Seconds of a batch, which other processes make while the one before is computed, if there are any."""
    processes = loader_processes()
    return max(computing, loading / processes) if processes else computing + loading


def count_parameters(recipe: Recipe, stage: StageConfig, model: Any) -> dict[str, int]:
    """Parameters by group in a stage, LoRA and LAPE included though the model has neither yet."""
    counts = {
        str(name): sum(p.numel() for _, p in members) for name, members in parameter_groups(model).items()
    }
    if rank := recipe.model.lora_rank:
        counts["lora"] = sum(rank * (m.in_features + m.out_features) for _, m in language_matrices(model))
    if stage.enable_lape:
        embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
        tied = head.weight is embedding.weight if recipe.lape.tied is None else recipe.lape.tied
        rows = 2 * recipe.lape.num_spatial_tokens + recipe.lape.num_temporal_tokens
        counts["lape"] = rows * embedding.weight.shape[1] * (1 if tied else 2)
    return {name: count for name, count in counts.items() if count}


def weight_bytes(recipe: Recipe, counts: Mapping[str, int], model: Any) -> dict[str, int]:
    """Bytes of the weights by group: LAPE is float32, and beside LoRA so is all but what is frozen.

    Args:
        recipe: Settings.
        counts: Parameters by group, see `count_parameters`.
        model: The base model, of which only shapes are read.
    """
    width, adapted = _width(recipe), recipe.model.lora_rank is not None
    wide = {"lape", "lora", "projector"} if adapted else {"lape"}
    held = {name: count * (4 if name in wide else width) for name, count in counts.items()}
    if recipe.model.quantisation is not None:
        narrowed = sum(module.weight.numel() for _, module in language_matrices(model))
        held["llm"] -= int(narrowed * (width - NF4_BYTES))
    return held


def outline_of(recipe: Recipe) -> tuple[Any, Any]:
    """The model, on the device `meta` unless it is a preset, and its processor."""
    config = recipe.model
    if config.path is None:
        return build_preset(config.preset or "nano", config.seed)
    trusted = config.trust_remote_code
    processor, weights = load_processor(config.path, trusted), find_weights(config.path)
    if str(weights).startswith("preset:"):
        return load_weights(weights), processor
    with torch.device("meta"):
        settings = AutoConfig.from_pretrained(weights, trust_remote_code=trusted)
        model = AutoModelForImageTextToText.from_config(settings, trust_remote_code=trusted)
    model.tie_weights()
    return model, processor


def _collator(recipe: Recipe, model: Any, processor: Any) -> Collator:
    as_text = recipe.coordinates == "text"
    lape = recipe.lape if as_text else add_position_tokens(processor, recipe.lape)
    return Collator(processor, PositionCodec(lape), recipe.coordinates, packing_of(model), share_images=True)


def _mixture(recipe: Recipe, stage: StageConfig, data: Path) -> Mixture:
    stores = {name: read_store(data / name, "train") for name in stage.datasets}
    return Mixture(stage.mixture, stores, recipe.seed, stage.questions_per_chip)


def _batches(
    mixture: Mixture, stage: StageConfig, collator: Collator, spare: int, most: int | None
) -> Iterator[dict[str, Any]]:
    """Some batches of the stage, as it would train on them."""
    draws = TrainingSamples(mixture, max(PROBES, stage.batch_size), 0, augment=False)
    make = in_micro_batches(collator, spare=spare, most=most)
    for start in range(0, len(draws) - stage.batch_size + 1, stage.batch_size):
        yield make([draws[index] for index in range(start, start + stage.batch_size)])


def _lengths(batches: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Mean tokens, padding included, and questions of a row."""
    rows = [part["input_ids"] for batch in batches for part in batch["parts"]]
    count = max(sum(len(ids) for ids in rows), 1)
    return sum(ids.numel() for ids in rows) / count, sum(batch["asked"] for batch in batches) / count


def _part_bytes(
    recipe: Recipe,
    model: Any,
    batches: Sequence[Mapping[str, Any]],
    trained: Collection[str],
    arithmetic: Arithmetic,
) -> dict[str, int]:
    """Activations and logits of the part that takes the most; parts come one after the other."""
    sees, again = "vision" in trained, recipe.model.gradient_checkpointing
    found = []
    for part in (part for batch in batches for part in batch["parts"]):
        held = activation_bytes(model, part, arithmetic, sees, again)
        activations, logits = held.peak(logit_bytes(model, part, arithmetic))
        found.append({"activations": activations, "logits": logits})
    return max(found, key=lambda one: sum(one.values()), default={})


def _width(recipe: Recipe) -> int:
    """Bytes of a weight."""
    return int(torch.finfo(getattr(torch, recipe.model.dtype)).bits // 8)


def _products_per_second(device: torch.device, dtype: torch.dtype, side: int = 1024) -> float:
    """Floating-point operations per second of a matrix product here, the fastest of several."""
    factor = torch.ones(side, side, device=device, dtype=dtype)
    times = []
    for _ in range(8):
        began = time.perf_counter()
        float((factor @ factor)[0, 0])  # waits for the device
        times.append(time.perf_counter() - began)
    return 2 * side**3 / min(times)

"""What LAPE costs in training, whether data loading keeps up, and how large checkpoints are.

    python benchmarks/train.py --write docs/benchmarks.md

Two trainers of agrilape make optimiser steps in turns, on the same batches of simulated farmland: one with
LAPE, one without, on a copy of the same model, whose position tokens are then ordinary rows of its vocabulary
and whose loss is plain cross-entropy. Batches are made beforehand and timed by themselves, augmentation and
image processing included. On the CPU, one thread is timed by the processor time that it used, which other
programs on the machine disturb little.
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from page import add_options, publish, verdict
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2Config,
    SiglipVisionConfig,
)

from agrilape.config import Recipe, load_recipe
from agrilape.config.recipe import LossConfig
from agrilape.dataset.manifest import read_store
from agrilape.dataset.mixture import Mixture
from agrilape.model import lape_of, parameter_groups, save_checkpoint
from agrilape.model.checkpoint_info import inspect_checkpoint
from agrilape.tokens import Collator, PositionCodec, packing_of
from agrilape.train.arguments import trainer_arguments
from agrilape.train.estimate import count_parameters
from agrilape.train.loss import AnswerCriterion
from agrilape.train.micro_batches import in_micro_batches
from agrilape.train.optim import freeze, peak_rates
from agrilape.train.sampling import TrainingSamples
from agrilape.train.setup import prepare
from agrilape.train.trainer import StageTrainer

CASES = ("without LAPE", "with LAPE")
WARM = 2  # steps that are not counted
TARGETS = {"speed": 0.97, "loader": 5.0, "checkpoint": 0.02}


def main() -> None:
    """Measure, print, and write what was asked for."""
    options = parse_options()
    if options.config:
        import train_large

        with tempfile.TemporaryDirectory() as folder:
            result = train_large.measure(options, Path(folder))
        publish(options, f"train-{options.config}-{options.device}", result, train_large.render(result))
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options, Path(folder))
    publish(options, f"train-{options.device}", result, render(result))


def parse_options() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="nano", help="a built-in model")
    parser.add_argument("--scenes", type=int, default=4, help="simulated scenes that batches are drawn from")
    parser.add_argument("--size", type=int, default=512, help="side of a scene in pixels")
    parser.add_argument("--batch", type=int, default=32, help="chips per step")
    parser.add_argument("--batches", type=int, default=6, help="different batches")
    parser.add_argument("--rounds", type=int, default=8, help="how often each case trains on all batches")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--config", choices=("qwen2_5_vl_7b", "llava_onevision_7b"), help=(
        "a 7B model with random weights on a GPU, see benchmarks/train_large.py"
    ))  # fmt: skip
    parser.add_argument("--cases", nargs="*", help="of these the ones named: lora qlora projector all")
    parser.add_argument("--eager", action="store_true", help="with --config: layers are not compiled")
    parser.add_argument("--tiny", action="store_true", help="few and narrow layers, to try the benchmark")
    parser.add_argument("--strict", action="store_true", help="end at the first case that fails")
    add_options(parser)
    return parser.parse_args()


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All three measurements, below a folder for the data and the checkpoints."""
    from agrilape.pipeline import prepare_run  # needs the geospatial libraries

    recipe = small_recipe(options, folder)
    prepare_run(recipe)
    trainers = build(recipe)
    batches, loading = load_batches(trainers["with LAPE"], options)
    return {
        "setting": setting(options),
        "seconds": {"load": loading, **train_in_turns(trainers, batches, options)},
        "chips": options.batch,
        "checkpoints": {options.preset: saved_bytes(recipe, folder), "7B": counted_bytes()},
    }


# -- what is trained ----------------------------------------------------------------------------------------


def small_recipe(options: argparse.Namespace, folder: Path) -> Recipe:
    """Stage `domain` of the quickstart, on few scenes."""
    data = [
        f"datasets.{name}.{setting}"
        for name in ("single_date", "time_series")
        for setting in (
            f"source.scenes={options.scenes}",
            f"source.size={options.size}",
            "split=[0.5, 0.0, 0.5]",
        )
    ]
    return load_recipe("quickstart", [
        f"output={folder}", f"model.preset={options.preset}", "model.mixed_precision=off", *data,
        "stages.align=null", "stages.lape_warmup=null", "report_to=[]",
        f"stages.domain.batch_size={options.batch}", f"stages.domain.steps={options.batches}",
    ])  # fmt: skip


def build(recipe: Recipe) -> dict[str, StageTrainer]:
    """A trainer for each case, on copies of one model."""
    stage = recipe.stages[0]
    torch.manual_seed(0)
    prepared = prepare(recipe, stage, None)
    stores = {name: read_store(recipe.output / "data" / name, "train") for name in recipe.datasets}
    draws = TrainingSamples(
        Mixture(stage.mixture, stores, 0, stage.questions_per_chip), stage.steps * stage.batch_size, 0, True
    )
    collator = Collator(prepared.processor, PositionCodec(prepared.lape), packing=packing_of(prepared.model))
    trainers = {}
    for case in CASES:
        model, on = copy.deepcopy(prepared.model), case == "with LAPE"
        lape_of(model).enabled = on
        peaks = peak_rates(stage.learning_rates, on)
        freeze(parameter_groups(model), peaks)
        criterion = AnswerCriterion(recipe.loss, prepared.lape) if on else AnswerCriterion(LossConfig())
        trainers[case] = StageTrainer(
            model=model, stage=stage, peaks=peaks, criterion=criterion, data=draws,
            collate=in_micro_batches(collator), save=lambda *_: None, on_rows=lambda _: None,
            mixed_precision=False,
            arguments=trainer_arguments(recipe, stage, recipe.output / case, seed=0),
        )  # fmt: skip
        trainers[case].create_optimizer()
    return trainers


# -- what is timed ------------------------------------------------------------------------------------------


def load_batches(
    trainer: StageTrainer, options: argparse.Namespace
) -> tuple[list[dict[str, Any]], list[float]]:
    """The batches, and the seconds that each took to load in one process, round by round."""
    batches, seconds = [], []
    for _ in range(2):  # the first round fills the caches, as the first steps of a training do
        batches = []
        for number in range(options.batches):
            start = time.process_time()
            items = [trainer.data[number * options.batch + chip] for chip in range(options.batch)]
            batches.append(trainer.data_collator(items))
            seconds.append(time.process_time() - start)
    return batches, seconds[options.batches :]


def train_in_turns(
    trainers: dict[str, StageTrainer], batches: list[dict[str, Any]], options: argparse.Namespace
) -> dict[str, list[float]]:
    """Seconds of every optimiser step of each case; another case begins each time."""
    seconds: dict[str, list[float]] = {case: [] for case in trainers}
    for turn in range(WARM + options.rounds * len(batches)):
        for case in sorted(trainers, reverse=bool(turn % 2)):
            start = now(options.device)
            step(trainers[case], batches[turn % len(batches)])
            seconds[case].append(now(options.device) - start)
    return {case: values[WARM:] for case, values in seconds.items()}


def step(trainer: StageTrainer, batch: dict[str, Any]) -> None:
    """One optimiser step as a training makes it."""
    answers = trainer._get_num_items_in_batch([batch], trainer.args.device)
    trainer.training_step(trainer.model, batch, answers)
    trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), trainer.args.max_grad_norm)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad()


def now(device: str) -> float:
    """Seconds on the processor, or on the clock once the accelerator has finished."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


# -- what is weighed ----------------------------------------------------------------------------------------


def saved_bytes(recipe: Recipe, folder: Path) -> dict[str, int]:
    """Weights on disk of the whole model, and of a run that trains LoRA, LAPE and the projector."""
    stage = recipe.stages[0]
    rates = {"projector": 1e-3, "lora": 1e-3, "lape": 1e-3}
    adapted = stage.model_copy(update={"learning_rates": type(stage.learning_rates)(**rates)})
    lora = recipe.model_copy(update={"model": recipe.model.model_copy(update={"lora_rank": 8})})
    sizes = {}
    for name, one, how in (("whole", recipe, stage), ("adapter", lora, adapted)):
        prepared = prepare(one, how, None)
        saved = save_checkpoint(folder / "saved" / name, prepared.model, prepared.processor)
        sizes[name] = inspect_checkpoint(saved)["bytes"]
    return sizes


def counted_bytes() -> dict[str, int]:
    """The same for recipe agri_rs, by counting the parameters of its 7B model, built without memory."""
    recipe = load_recipe("agri_rs")
    with torch.device("meta"):
        model = LlavaOnevisionForConditionalGeneration(onevision_7b())
    whole = sum(4 * parameter.numel() for parameter in model.parameters())
    adapters = [
        sum(4 * counts[name] for name in peak_rates(stage.learning_rates, stage.enable_lape))
        for stage in recipe.stages
        for counts in [count_parameters(recipe, stage, model)]
    ]
    return {"whole": whole, "adapter": max(adapters)}


def onevision_7b() -> LlavaOnevisionConfig:
    """The sizes of LLaVA-OneVision-Qwen2-7B, which agri_rs trains."""
    text = Qwen2Config(
        vocab_size=152_128, hidden_size=3584, intermediate_size=18_944, num_hidden_layers=28,
        num_attention_heads=28, num_key_value_heads=4, tie_word_embeddings=False,
    )  # fmt: skip
    vision = SiglipVisionConfig(
        hidden_size=1152, intermediate_size=4304, num_hidden_layers=26, num_attention_heads=16,
        image_size=384, patch_size=14, vision_use_head=False,
    )  # fmt: skip
    return LlavaOnevisionConfig(vision_config=vision, text_config=text, tie_word_embeddings=False)


# -- the page -----------------------------------------------------------------------------------------------


def setting(options: argparse.Namespace) -> dict[str, Any]:
    """What was measured on what."""
    cuda = options.device == "cuda"
    return {
        "hardware": torch.cuda.get_device_name() if cuda else f"{platform.machine()}, one thread",
        "torch": torch.__version__,
        **{name: getattr(options, name) for name in ("preset", "batch", "batches", "rounds")},
    }


def speed_ratio(seconds: dict[str, list[float]]) -> float:
    """Samples per second with LAPE over those without: the median over neighbouring steps on one batch."""
    without, with_lape = (seconds[case] for case in CASES)
    return statistics.median(plain / ours for plain, ours in zip(without, with_lape, strict=True))


def render(result: dict[str, Any]) -> str:
    """The numbers as Markdown, beside what they should be."""
    facts, seconds, chips = result["setting"], result["seconds"], result["chips"]
    rates = {name: chips / statistics.median(values) for name, values in seconds.items()}
    weights = result["checkpoints"]
    shares = {name: one["adapter"] / one["whole"] for name, one in weights.items()}
    ratio, loading = speed_ratio(seconds), rates["load"] / rates["with LAPE"]
    lines = [
        f"{facts['hardware']}, torch {facts['torch']}: {facts['preset']}, {facts['rounds']} rounds of "
        f"{facts['batches']} batches of {facts['batch']} chips, float32. Medians.",
        "",
        "| | measured | target |",
        "| --- | ---: | ---: |",
        f"| steps without LAPE, chips/s | {rates['without LAPE']:.1f} | |",
        f"| steps with LAPE, chips/s | {rates['with LAPE']:.1f} | |",
        f"| with LAPE over without, step by step | {ratio:.1%} | at least {TARGETS['speed']:.0%}: "
        f"{verdict(ratio >= TARGETS['speed'])} |",
        f"| loader, chips/s of one process | {rates['load']:.0f} | |",
        f"| loader over steps | {loading:.1f} | at least {TARGETS['loader']:.0f}: "
        f"{verdict(loading >= TARGETS['loader'])} |",
    ]
    for name, one in weights.items():
        small = shares[name] <= TARGETS["checkpoint"]
        target = f"at most {TARGETS['checkpoint']:.0%}: {verdict(small)}" if name == "7B" else ""
        size = f"{one['adapter'] / 1e6:,.1f} of {one['whole'] / 1e6:,.1f} MB"
        lines.append(f"| checkpoint with LoRA and LAPE, {name} | {size}: {shares[name]:.1%} | {target} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

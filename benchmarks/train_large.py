"""7B models on a GPU: steps of training as shares of what a plain matrix product reaches, and memory.

    python benchmarks/train.py --device cuda --config qwen2_5_vl_7b --write docs/benchmarks.md

Steps are those of agrilape's own trainer on batches made beforehand: simulated chips of 384 px with eight
questions each, packed. Weights are random, of the true configuration. Operations are counted while one step
is made (matrix products and attention, those that gradient checkpointing makes again included).
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from large_models import CONFIGS, DATASET, random_model, write_chips
from page import verdict
from torch.utils.flop_counter import FlopCounterMode

from agrilape.config import parse_recipe
from agrilape.config.recipe import LossConfig, Recipe
from agrilape.dataset.manifest import read_store
from agrilape.dataset.mixture import Mixture
from agrilape.model import lape_of
from agrilape.tokens import Collator, PositionCodec, packing_of
from agrilape.train.arguments import trainer_arguments
from agrilape.train.estimate import estimate_recipe
from agrilape.train.loss import AnswerCriterion
from agrilape.train.memory_budget import most_tokens
from agrilape.train.micro_batches import TokenLimit, in_micro_batches, spare_tokens
from agrilape.train.precision import avoid_cudnn_attention, is_mixed
from agrilape.train.sampling import TrainingSamples
from agrilape.train.setup import ready_base, set_up
from agrilape.train.trainer import StageTrainer

SIDE = 8192  # of the matrices of the plain product
QUESTIONS = 8
SMALL = 24 * 10**9  # bytes of a small GPU, in which QLoRA must train
TARGETS = {"LoRA": 0.45, "all weights": 0.35, "LAPE": 0.98, "estimate": 0.25}


class Case(NamedTuple):
    """One way to train.

    Attributes:
        name: In the table.
        model: Settings of the model.
        rates: What trains.
        chips: In a step.
        room: Bytes of the GPU that it may use; None: all.
    """

    name: str
    model: dict[str, Any]
    rates: dict[str, float]
    chips: int
    room: int | None = None


ADAPTED = {"lora": 1e-4, "projector": 1e-5, "lape": 5e-4}
CASES = [
    Case("LoRA", {"dtype": "bfloat16", "lora_rank": 32}, ADAPTED, 16),
    Case("QLoRA in 24 GB", {"dtype": "bfloat16", "lora_rank": 32, "quantisation": "nf4"}, ADAPTED, 8, SMALL),
    Case("projector", {"dtype": "bfloat16", "lora_rank": 32}, {"projector": 1e-3}, 16),
    Case(
        "all weights",
        {"dtype": "bfloat16"},
        {"vision": 1e-6, "projector": 1e-5, "llm": 1e-6, "lape": 1e-4},
        16,
    ),
]


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All cases of one configuration."""
    avoid_cudnn_attention()
    device = torch.device(options.device)
    write_chips(folder, *((16, 112) if options.tiny else (128, 384)))
    result = {
        "config": options.config,
        "hardware": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "torch": torch.__version__,
        "product": product_rate(device, 256 if options.tiny else SIDE),
        "cases": {},
    }
    for case in CASES:
        if options.tiny:
            case = case._replace(chips=case.chips // 4)
        if options.cases and case.name.split()[0].lower() not in options.cases:
            continue
        print(f"{case.name} ...", flush=True)
        try:
            result["cases"][case.name] = measure_case(options, folder, case, device)
        except Exception as error:  # the other cases are worth having
            result["cases"][case.name] = {"failed": f"{type(error).__name__}: {error}"[:500]}
            if options.strict:
                raise
        print(result["cases"][case.name], flush=True)
        gc.collect()
        torch.cuda.empty_cache()
    return result


def product_rate(device: torch.device, side: int, rounds: int = 20) -> float:
    """Operations per second of a plain product in bfloat16, of random numbers: the median of some."""
    one, other = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    times = []
    for _ in range(rounds):
        began = now(device)
        one @ other
        times.append(now(device) - began)
    return 2 * side**3 / statistics.median(times[rounds // 4 :])


def now(device: torch.device) -> float:
    """The time when the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


# -- one case -----------------------------------------------------------------------------------------------


def measure_case(
    options: argparse.Namespace, folder: Path, case: Case, device: torch.device
) -> dict[str, Any]:
    """Times, operations and memory of a case."""
    recipe = recipe_of(folder, case, options.rounds, not options.eager and device.type == "cuda")
    config, processor = CONFIGS[options.config](options.tiny)
    total = torch.cuda.get_device_properties(0).total_memory if device.type == "cuda" else SMALL
    with torch.device("meta"):
        outline = random_model(config, torch.device("meta"), torch.bfloat16)
    (said,) = estimate_recipe(
        recipe, folder, case.room or total, (outline, CONFIGS[options.config](options.tiny)[1])
    )
    trainer, batches = build(recipe, folder, case, config, processor, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    found = {
        "tokens": statistics.mean(tokens_of(batch) for batch in batches),
        "questions": statistics.mean(batch["asked"] for batch in batches),
        "passes": statistics.mean(len(batch["parts"]) for batch in batches),
        "seconds": timed(trainer, batches, device, options.rounds),
    }
    if device.type == "cuda":
        found["peak"] = torch.cuda.max_memory_allocated() + CONTEXT
        found["reserved"] = torch.cuda.max_memory_reserved() + CONTEXT
    found |= {"said": said.memory_bytes, "said_of": dict(said.memory)}
    if lape_of(trainer.model) is not None and case.name == "LoRA":
        found["without"] = without_lape(trainer, batches, device, options.rounds)
    if device.type == "cuda":
        found["profile"] = profile(trainer, batches[0], device)
    if "quantisation" not in case.model:  # products with 4-bit matrices are not counted
        found["operations"] = count_operations(trainer, batches[0])
    return found


CONTEXT = 540_000_000  # what the driver takes on a GPU, which torch does not count


def recipe_of(folder: Path, case: Case, steps: int, compiled: bool) -> Recipe:
    """One stage of training, with LAPE where it trains."""
    on = "lape" in case.rates
    stage = {
        "name": "domain", "enable_lape": on, "learning_rates": case.rates, "steps": max(steps, 2),
        "batch_size": case.chips, "questions_per_chip": QUESTIONS, "lape_schedule": {"schedule": "same"},
        "mixture": {"fields": {"weight": 1.0, "datasets": ["fields"]}},
    }  # fmt: skip
    return parse_recipe({
        "name": "large", "output": str(folder / "run"), "datasets": {"fields": DATASET}, "report_to": [],
        "coordinates": "position_tokens" if on else "text", "enable_lape": on,
        "model": {"preset": None, "path": str(folder / "nowhere"), "gradient_checkpointing": True,
                  "compile_layers": compiled, **case.model},
        "evaluation": {"datasets": ["fields"]}, "stages": [stage],
    })  # fmt: skip


def build(
    recipe: Recipe, folder: Path, case: Case, config: Any, processor: Any, device: torch.device
) -> tuple[StageTrainer, list[dict[str, Any]]]:
    """A trainer as a stage would have it, and batches on the device."""
    stage = recipe.stages[0]
    arguments = trainer_arguments(recipe, stage, folder / "run", seed=0)
    model = random_model(config, device, getattr(torch, recipe.model.dtype))
    ready_base(recipe.model, model)
    prepared = set_up(recipe, stage, model, processor)
    store = read_store(folder / "fields", "train")
    mixture = Mixture(stage.mixture, {"fields": store}, 0, QUESTIONS)
    draws = TrainingSamples(mixture, stage.steps * case.chips, 0, augment=True)
    codec = PositionCodec(prepared.lape or recipe.lape)
    collator = Collator(
        prepared.processor, codec, recipe.coordinates, packing_of(prepared.model), share_images=True
    )
    gc.collect()
    torch.cuda.empty_cache()
    if case.room and device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(
            (case.room - CONTEXT) / torch.cuda.get_device_properties(0).total_memory
        )
    elif device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(1.0)
    free = None if case.room is None else case.room - CONTEXT - torch.cuda.memory_allocated()
    most = most_tokens(recipe.model, prepared.model, device, "vision" in case.rates, free)
    limit = TokenLimit(most)
    parameters = sum(one.numel() for one in prepared.model.parameters())
    trainer = StageTrainer(
        model=prepared.model, stage=stage, peaks=prepared.peaks,
        criterion=AnswerCriterion(recipe.loss, prepared.lape), data=draws,
        collate=in_micro_batches(collator, spare=spare_tokens(parameters, device.type == "cpu"), most=limit),
        save=lambda *_: None, on_rows=lambda _: None, mixed_precision=is_mixed(recipe.model, device),
        arguments=arguments, limit=limit,
    )  # fmt: skip
    trainer.create_optimizer()
    made = []
    for first in range(0, min(len(draws), 4 * case.chips), case.chips):
        made.append(trainer.data_collator([draws[first + number] for number in range(case.chips)]))
    return trainer, made


def tokens_of(batch: Mapping[str, Any]) -> int:
    """Tokens of a batch, padding included."""
    return sum(part["input_ids"].numel() for part in batch["parts"])


def step(trainer: StageTrainer, batch: dict[str, Any]) -> None:
    """One optimiser step as a training makes it."""
    answers = trainer._get_num_items_in_batch([batch], trainer.args.device)
    trainer.training_step(trainer.model, batch, answers)
    trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), trainer.args.max_grad_norm)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad()


def timed(
    trainer: StageTrainer, batches: list[dict[str, Any]], device: torch.device, rounds: int
) -> list[float]:
    """Seconds of each step, after two that warm up."""
    seconds = []
    for number in range(2 + rounds):
        began = now(device)
        step(trainer, batches[number % len(batches)])
        seconds.append(now(device) - began)
    return seconds[2:]


def without_lape(
    trainer: StageTrainer, batches: list[dict[str, Any]], device: torch.device, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each step with LAPE and without it, in turns: position tokens are then ordinary rows."""
    lape, ours = lape_of(trainer.model), trainer.criterion
    plain = AnswerCriterion(LossConfig())
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(1 + rounds):
        for case in sorted(seconds, reverse=bool(number % 2)):
            lape.enabled = case == "with"
            trainer.criterion = ours if lape.enabled else plain
            began = now(device)
            step(trainer, batches[number % len(batches)])
            seconds[case].append(now(device) - began)
    lape.enabled, trainer.criterion = True, ours
    return {case: values[1:] for case, values in seconds.items()}


def count_operations(trainer: StageTrainer, batch: dict[str, Any]) -> int:
    """Floating-point operations of matrix products and attention in a step."""
    # The counter keeps what a pass held until it ends: chip by chip that is little.
    trainer._limit.lower(max(part["input_ids"].shape[1] for part in batch["parts"]))
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        step(trainer, batch)
    return counter.get_total_flops()


# -- where the time goes ------------------------------------------------------------------------------------

KINDS = {
    "attention": ("fmha", "flash", "attention"),
    "matrix products": ("gemm", "cutlass", "nvjet", "xmma", "sm90_", "cublas", "splitk"),
    "optimiser": ("adam", "multi_tensor", "lerp", "addcdiv", "foreach"),
    "compiled": ("triton",),
    "4-bit": ("dequant", "kdequant", "quantize"),
    "casts and copies": ("copy", "memcpy", "memset", "cast"),
    "index": ("index", "scatter", "gather", "embedding", "cat"),
    "reductions": ("reduce", "softmax", "norm"),
    "element-wise": ("elementwise", "vectorized"),
}  # fmt: skip


def profile(trainer: StageTrainer, batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Seconds of kernels by kind, the longest kernels, and the share of the step in which none runs."""
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as seen:
        began = now(device)
        step(trainer, batch)
        wall = now(device) - began
    kernels = Counter[str]()
    for event in seen.events():
        if event.device_type == torch.autograd.DeviceType.CUDA and not getattr(
            event, "is_user_annotation", False
        ):
            kernels[event.name] += event.device_time_total / 1e6
    by_kind = Counter[str]()
    for name, seconds in kernels.items():
        by_kind[kind_of(name)] += seconds
    return {
        "wall": wall,
        "busy": sum(kernels.values()),
        "kinds": {kind: round(seconds, 4) for kind, seconds in by_kind.most_common()},
        "longest": {name[:110]: round(seconds, 4) for name, seconds in kernels.most_common(28)},
    }


def kind_of(kernel: str) -> str:
    """What a kernel does, by its name."""
    name = kernel.lower()
    return next((kind for kind, marks in KINDS.items() if any(mark in name for mark in marks)), "other")


# -- the page -----------------------------------------------------------------------------------------------


def render(result: Mapping[str, Any]) -> str:
    """The numbers as Markdown, beside what they should be."""
    product = result["product"]
    lines = [
        f"{result['config']}, {result['hardware']}, torch {result['torch']}: random weights, chips "
        f"of 384 px, {QUESTIONS} questions each. A plain product of two bfloat16 matrices of {SIDE:,} rows "
        f"reaches {product / 1e12:,.0f} TFLOP/s in the same run. Medians.",
        "",
        "| | tokens | s/step | questions/s | tokens/s | of the plain product | target | GPU idle | peak GB "
        "| dry run GB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: |",
    ]
    for name, one in result["cases"].items():
        lines.append(f"| {name} | {one['failed']} |" if "failed" in one else _line(name, one, product))
    for name, one in result["cases"].items():
        if kinds := one.get("profile", {}).get("kinds"):
            told = ", ".join(f"{kind} {seconds:.2f}" for kind, seconds in kinds.items() if seconds >= 0.005)
            lines += ["", f"Seconds of kernels in a step, {name}: {told}."]
    with suppress(KeyError):
        ratio = lape_ratio(result["cases"]["LoRA"]["without"])
        lines += ["", f"LAPE on over off, step by step: {ratio:.1%} (at least {TARGETS['LAPE']:.0%}: "
                      f"{verdict(ratio >= TARGETS['LAPE'])})."]  # fmt: skip
    return "\n".join(lines)


def _line(name: str, one: Mapping[str, Any], product: float) -> str:
    seconds = statistics.median(one["seconds"])
    share = one.get("operations", 0) / seconds / product
    target = TARGETS.get(name)
    goal = f"at least {target:.0%}: {verdict(share >= target)}" if target else ""
    peak, said = one.get("peak", 0), one["said"]
    idle = f"{1 - one['profile']['busy'] / seconds:.0%}" if "profile" in one else ""
    close = verdict(peak > 0 and abs(said / peak - 1) <= TARGETS["estimate"]) if peak else ""
    rates = f"{one['questions'] / seconds:.1f} | {one['tokens'] / seconds:,.0f}"
    return (
        f"| {name} | {one['tokens']:,.0f} | {seconds:.2f} | {rates} "
        f"| {format(share, '.0%') if share else ''} | {goal} | {idle} "
        f"| {peak / 1e9:.1f} | {said / 1e9:.1f} {close} |"
    )


def lape_ratio(seconds: Mapping[str, list[float]]) -> float:
    """Speed with LAPE over that without: the median over neighbouring steps on one batch."""
    pairs = zip(seconds["without"], seconds["with"], strict=True)
    return statistics.median(plain / ours for plain, ours in pairs)

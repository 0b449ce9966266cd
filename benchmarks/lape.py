"""What LAPE costs: time and memory of the base model, of agrilape, and of the concatenating formulation.

    python benchmarks/lape.py --write docs/benchmarks.md

The three share one set of weights and run in turns. The concatenating formulation is the reference's
(LLaVA-ST): every forward pass puts text rows and position rows together into one `[V, D]` embedding and one
such head. Targets: at most 5 % over the base in prefill and decode; at least 10 times less added time and 20
times less added memory than concatenation; soft targets at most 3 % over plain cross-entropy. Each row says
whether it keeps them (PASS or MISS). The default takes about 5 minutes.

On the CPU, one thread is timed by the processor time that it used, which other programs on the machine
disturb little, and memory is measured in a process per case, as the highest resident set above that before
the pass.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from page import add_options, publish, verdict
from torch import Tensor, nn
from transformers import LlavaConfig, LlavaForConditionalGeneration, Qwen2Config

from agrilape.config.lape import AXES, LapeConfig
from agrilape.config.recipe import LossConfig
from agrilape.model import attach, lape_of
from agrilape.model.presets import IMAGE_SIDE, PATCH_SIDE, vision_config
from agrilape.model.propagation import propagation_matrix
from agrilape.train.loss import AnswerCriterion

CASES = ("base", "agrilape", "concatenation")
PASSES = ("prefill", "decode", "train")
LOSSES = {"base": "plain loss", "agrilape": "soft loss"}
PROMPT, ANSWER, IMAGE_ID = 512, 128, 7
MOST_OVER_BASE, LESS_TIME, LESS_MEMORY, MOST_OVER_PLAIN_LOSS = 0.05, 10, 20, 0.03  # targets
VISUAL = (IMAGE_SIDE // PATCH_SIDE) ** 2

Times = dict[str, dict[str, list[float]]]
Memory = dict[str, dict[str, float]]


def main() -> None:
    """Measure, print, and write what was asked for."""
    options = parse_options()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    if options.memory_of:
        print(json.dumps(peaks(build(options, options.memory_of), options)))
        return
    models = build(options, *CASES)
    result = {
        "setting": setting(options),
        "largest_logit_difference": difference(models["agrilape"], models["concatenation"], options),
        "seconds": time_all(models, options),
        "mebibytes": peaks(models, options) if options.device == "cuda" else peaks_in_processes(models),
    }
    publish(options, f"lape-{options.device}", result, render(result))


def parse_options() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vocab", type=int, default=151_936, help="rows V of the embedding")
    parser.add_argument("--hidden", type=int, default=1536, help="width D of the language model")
    parser.add_argument("--layers", type=int, default=2, help="layers of the language model")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=4, help="how often all cases are timed in turn")
    add_options(parser)
    parser.add_argument("--memory-of", choices=CASES, help=argparse.SUPPRESS)
    return parser.parse_args()


# -- the three cases ----------------------------------------------------------------------------------------


def build(options: argparse.Namespace, *cases: str) -> dict[str, Any]:
    """Models of these cases, on one set of weights."""
    base = base_model(options)
    models = {"base": base}
    if set(cases) != {"base"}:
        models["agrilape"] = attach(share(base), lape_config(options.vocab))
    if "concatenation" in cases:
        models["concatenation"] = concatenating(share(models["agrilape"]))
    return {case: models[case] for case in cases}


def base_model(options: argparse.Namespace) -> Any:
    """A LLaVA with a small vision transformer and a language model of Qwen2's proportions."""
    heads = options.hidden // 128
    text = Qwen2Config(
        vocab_size=options.vocab, hidden_size=options.hidden, intermediate_size=options.hidden * 35 // 6,
        num_hidden_layers=options.layers, num_attention_heads=heads, num_key_value_heads=max(heads // 6, 1),
        tie_word_embeddings=False,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision_config(), text_config=text, vision_feature_layer=-1, image_token_id=IMAGE_ID,
        vision_feature_select_strategy="full", image_seq_length=VISUAL, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.device(options.device):  # 7 billion random numbers take a CPU minutes
        model = LlavaForConditionalGeneration(config)
    return model.to(getattr(torch, options.dtype)).eval()


def lape_config(vocab: int) -> LapeConfig:
    """Position tokens in the last rows of the vocabulary, where the reference has them too."""
    config = LapeConfig()
    start = vocab - sum(config.bins(axis) for axis in AXES)
    ids = {}
    for axis in AXES:
        ids[axis] = tuple(range(start, start + config.bins(axis)))
        start += config.bins(axis)
    return config.model_copy(update={"token_ids": ids})


def share(model: Any) -> Any:
    """A copy that has the same parameters, not equal ones."""
    return copy.deepcopy(model, {id(parameter): parameter for parameter in model.parameters()})


def concatenating(model: Any) -> Any:
    """Replace both uses of the vocabulary by the reference's; the injection stays agrilape's."""
    lape = lape_of(model)
    assert lape is not None
    start = int(lape.token_ids.min())
    matrices = {axis: propagation_matrix(lape.config.bins(axis)).to(lape.unit.device) for axis in AXES}

    def rows(axis: str, direction: str) -> Tensor:
        weight = lape.get_parameter(f"{axis}_{direction}")
        propagated = matrices[axis] @ weight
        return weight + propagated - propagated.detach()

    def whole(module: nn.Module, direction: str) -> Tensor:
        text = module.weight[:start]
        return torch.cat([text, *(rows(axis, direction).to(text.dtype) for axis in AXES)])

    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    embedding.forward = lambda ids: F.embedding(ids, whole(embedding, "in"))
    head.forward = lambda hidden: F.linear(hidden, whole(head, "out"))
    return model


# -- what is run --------------------------------------------------------------------------------------------


def prompt(options: argparse.Namespace) -> dict[str, Tensor]:
    """An image, words, and an answer of which every second token is a position token."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(IMAGE_ID + 1, options.vocab - 400, (1, PROMPT), generator=generator)
    ids[:, :VISUAL] = IMAGE_ID
    ids[:, -ANSWER::2] = torch.randint(
        options.vocab - 350, options.vocab, (1, ANSWER // 2), generator=generator
    )
    pixels = torch.rand(1, 3, IMAGE_SIDE, IMAGE_SIDE, generator=generator)
    return {"input_ids": ids.to(options.device), "pixel_values": pixels.to(options.device)}


def passes(model: Any, options: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """Prefill as `generate` does it, one decoding step, and one training step without the optimiser's."""
    inputs = prompt(options)
    with torch.no_grad():
        cache = model(**inputs, logits_to_keep=1, use_cache=True).past_key_values
    asked = torch.arange(PROMPT - ANSWER - 1, PROMPT - 1, device=options.device)
    labels = inputs["input_ids"][:, -ANSWER:].flatten()

    @torch.no_grad()
    def prefill() -> None:
        model(**inputs, logits_to_keep=1, use_cache=True)

    @torch.no_grad()
    def decode() -> None:
        model(input_ids=inputs["input_ids"][:, -1:], past_key_values=cache, use_cache=True)
        cache.crop(-1)

    def train() -> None:
        logits = model(**inputs, logits_to_keep=asked, use_cache=False).logits
        F.cross_entropy(logits.flatten(0, 1).float(), labels).backward()
        model.zero_grad(set_to_none=True)

    return {"prefill": prefill, "decode": decode, "train": train}


def losses(options: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """Forward and backward of the loss alone: plain cross-entropy, and agrilape's soft targets."""
    logits = torch.randn(1, ANSWER, options.vocab, device=options.device, dtype=getattr(torch, options.dtype))
    labels = prompt(options)["input_ids"][:, -ANSWER:]
    targets = torch.full(labels.shape, torch.nan, device=options.device)
    targets[:, ::2] = torch.rand(ANSWER // 2, device=options.device) * 49
    criterion = AnswerCriterion(LossConfig(), lape_config(options.vocab))
    answered = torch.arange(ANSWER, device=options.device)

    def plain() -> None:
        F.cross_entropy(logits.requires_grad_().flatten(0, 1).float(), labels.flatten()).backward()
        logits.grad = None

    def soft() -> None:
        criterion(logits.requires_grad_(), labels, targets, answered=answered).loss.backward()
        logits.grad = None

    return {"plain loss": plain, "soft loss": soft}


@torch.no_grad()
def difference(one: Any, other: Any, options: argparse.Namespace) -> float:
    """Largest difference of two models' logits, which are the same function computed in two ways."""
    logits = [model(**prompt(options), logits_to_keep=1).logits.float() for model in (one, other)]
    return float((logits[0] - logits[1]).abs().max())


# -- time ---------------------------------------------------------------------------------------------------


def time_all(models: dict[str, Any], options: argparse.Namespace) -> Times:
    """Seconds of every pass of every case, round by round."""
    runs = {case: passes(model, options) for case, model in models.items()}
    seconds = {
        name: in_turns({case: runs[case][name] for case in models}, options, repeats)
        for name, repeats in (("prefill", 2), ("decode", 4), ("train", 1))
    }
    return {**seconds, "loss": in_turns(losses(options), options, 2)}


def in_turns(
    functions: dict[str, Callable[[], Any]], options: argparse.Namespace, repeats: int
) -> dict[str, list[float]]:
    """Time functions one after the other, beginning with another one each round."""
    names, seconds = list(functions), {name: list[float]() for name in functions}
    for turn in range(options.rounds * repeats):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = now(options.device)
            functions[name]()
            seconds[name].append(now(options.device) - start)
    return seconds


def now(device: str) -> float:
    """Seconds on the processor, or on the clock once the accelerator has finished."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


# -- memory -------------------------------------------------------------------------------------------------


def peaks_in_processes(models: dict[str, Any]) -> Memory:
    """Memory of each case in a process of its own; the models here are given up to make room."""
    models.clear()
    gc.collect()
    found: Memory = {}
    for case in CASES:
        command = [sys.executable, *sys.argv, "--memory-of", case]
        # Every larger block is given back when it is freed, so that the next pass has to ask for it again.
        memory = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=memory)
        for name, values in json.loads(done.stdout.splitlines()[-1]).items():
            found.setdefault(name, {}).update(values)
    return found


def peaks(models: dict[str, Any], options: argparse.Namespace) -> Memory:
    """Highest memory of each pass above that before it, in MiB: pass -> case -> value."""
    found: Memory = {name: {} for name in (*PASSES, "loss")}
    for case, model in models.items():
        for name, run in passes(model, options).items():
            found[name][case] = peak(run, options.device)
    for case, name in LOSSES.items():
        if case in models:
            found["loss"][name] = peak(losses(options)[name], options.device)
    return found


def peak(run: Callable[[], Any], device: str) -> float:
    """Memory that one pass needs on top of what is there, in MiB."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark becomes the present size
    before = resident("VmRSS")
    run()
    return resident("VmHWM") - before


def resident(field: str) -> float:
    """A field of this process's status in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


# -- the page -----------------------------------------------------------------------------------------------


def setting(options: argparse.Namespace) -> dict[str, Any]:
    """What was measured on what."""
    cuda = options.device == "cuda"
    return {
        "hardware": torch.cuda.get_device_name() if cuda else f"{platform.machine()}, one thread",
        "torch": torch.__version__,
        **{name: getattr(options, name) for name in ("vocab", "hidden", "layers", "dtype", "rounds")},
    }


def render(result: dict[str, Any]) -> str:
    """The numbers as Markdown, times being the least of all rounds."""
    facts, seconds, memory = result["setting"], result["seconds"], result["mebibytes"]
    lines = [
        f"{facts['hardware']}, torch {facts['torch']}, {facts['dtype']}: "
        f"V = {facts['vocab']:,}, D = {facts['hidden']:,}, {facts['layers']} layers, untied; "
        f"a prompt of {PROMPT} tokens, {VISUAL} of them visual, {ANSWER} of the answer. "
        f"Logits of agrilape and concatenation differ by at most {result['largest_logit_difference']:.0e}. "
        f"Least of {facts['rounds']} rounds.",
        "",
        "| | base | agrilape | concatenation | added, agrilape | added, concatenation | ratio | target | |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for name in PASSES:
        least = {case: 1e3 * min(values) for case, values in seconds[name].items()}
        share = MOST_OVER_BASE if name in ("prefill", "decode") else None
        lines += [_row(f"{name}, ms", least, 1, Target(LESS_TIME, least["base"] / 100, share))]
        lines += [_row(f"{name}, peak MiB", memory[name], 0, Target(LESS_MEMORY, 1.0))]
    plain, soft = (1e3 * min(seconds["loss"][name]) for name in LOSSES.values())
    kept = soft <= (1 + MOST_OVER_PLAIN_LOSS) * plain
    lines += [
        "",
        f"Loss on {ANSWER} answer tokens, forward and backward: plain cross-entropy {plain:.1f} ms, "
        f"{memory['loss']['plain loss']:.0f} MiB; soft targets {soft:.1f} ms ({soft / plain - 1:+.1%}), "
        f"{memory['loss']['soft loss']:.0f} MiB. At most {MOST_OVER_PLAIN_LOSS:+.0%}: {verdict(kept)}.",
    ]
    return "\n".join(lines)


class Target(NamedTuple):
    """What a row is to keep.

    Attributes:
        times_less: How many times less agrilape adds than concatenation, at least.
        least: The smallest addition that can be told from none; less is taken as this much.
        share: Most that agrilape adds to the base, if that is limited.
    """

    times_less: int
    least: float
    share: float | None = None

    def is_kept(self, values: dict[str, float]) -> bool:
        """Whether the measurements of a row keep all of it."""
        base, ours, theirs = (values[case] for case in CASES)
        enough = theirs - base >= self.times_less * max(ours - base, self.least)
        return enough and (self.share is None or ours - base <= self.share * base)

    def __str__(self) -> str:
        """In words."""
        share = "" if self.share is None else f"<= {self.share:+.0%}, "
        return f"{share}{self.times_less} times less"


def _row(name: str, values: dict[str, float], digits: int, target: Target) -> str:
    """A row of the table."""
    base, ours, theirs = (values[case] for case in CASES)
    added, added_theirs = ours - base, theirs - base
    ratio = f"{'' if added > target.least else '> '}{added_theirs / max(added, target.least):.0f}"
    cells = [f"{value:,.{digits}f}" for value in (base, ours, theirs)]
    cells += [_more(added, base, digits), _more(added_theirs, base, digits)]
    return f"| {' | '.join([name, *cells, ratio, str(target), verdict(target.is_kept(values))])} |"


def _more(added: float, base: float, digits: int) -> str:
    """What is added, and its share of the base if there is much to compare with."""
    return f"{added:+,.{digits}f}" + (f" ({added / base:+.1%})" if abs(added) < 10 * base else "")


if __name__ == "__main__":
    main()

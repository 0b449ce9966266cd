"""A tiny data set and recipe for tests of training, also as a program that a test may kill."""

from __future__ import annotations

import gc
import io
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from agrilape.config import parse_recipe
from agrilape.config.recipe import DatasetConfig, Recipe
from agrilape.dataset.manifest import Manifest, Shard, hash_file
from agrilape.dataset.store import write_rows
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.geo.shapes import Box

COLOURS = {"maize": (230, 200, 40), "wheat": (40, 200, 60), "barley": (60, 80, 220)}
FILE = "train-00000.parquet"


def example(number: int) -> Example:
    """A chip with two coloured fields, asked about in words and in boxes."""
    rng = random.Random(number)
    pixels = np.full((64, 64, 3), 50, dtype=np.uint8)
    samples = []
    for crop in rng.sample(sorted(COLOURS), 2):
        left, top, width, height = (
            rng.randint(0, 30),
            rng.randint(0, 30),
            rng.randint(12, 30),
            rng.randint(12, 30),
        )
        pixels[top : top + height, left : left + width] = COLOURS[crop]
        box = Box(left / 64, top / 64, (left + width) / 64, (top + height) / 64)
        name = f"{number}/{crop}"
        samples += [
            Sample(f"{name}/scene", str(number), "scene", (f"Is there {crop}?",), ("yes",)),
            Sample(f"{name}/box", str(number), "crop_box", (f"Where is the {crop}?",), (box,)),
        ]
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return Example(Chip(str(number), "scene", "test", (Picture(stream.getvalue()),)), tuple(samples))


def write_data(folder: Path, chips: int = 40) -> None:
    """Write the data set `fields` with a training split."""
    folder = folder / "fields"
    write_rows(folder / FILE, map(example, range(chips)))
    file = folder / FILE
    shard = Shard(path=FILE, split="train", chips=chips, bytes=file.stat().st_size, sha256=hash_file(file))
    Manifest(
        name="fields", key="1", version="1", config=DatasetConfig(**DATASET), shards=(shard,), splits={},
        window=None, origins=(), skipped_scenes=(), skipped_chips={},
    ).write(folder)  # fmt: skip


DATASET: dict[str, Any] = {"source": {"kind": "simulate"}, "tasks": ["scene", "crop_box"]}


def recipe(output: Path, steps: int = 6, **changes: Any) -> Recipe:
    """Two short stages: words without LAPE, then both with it."""
    rates = {"vision": 1e-3, "projector": 1e-3, "llm": 1e-3}
    common = {
        "steps": steps,
        "batch_size": 4,
        "questions_per_chip": 2,
        "warmup_steps": 2,
        "checkpoint_every": 2,
    }
    return parse_recipe(
        {
            "name": "test",
            "output": str(output),
            "lape": {"num_spatial_tokens": 20, "num_temporal_tokens": 10},
            "datasets": {"fields": DATASET},
            "evaluation": {"datasets": ["fields"]},
            "stages": [
                {
                    "name": "align", "enable_lape": False, "learning_rates": rates,
                    "mixture": {"words": {"weight": 1, "datasets": ["fields"], "tasks": ["scene"]}}, **common,
                },
                {
                    "name": "warm", "enable_lape": True, "learning_rates": {**rates, "lape": 2e-3},
                    "lape_schedule": {"lape_warmup_steps": 4, "gate": "linear"},
                    "mixture": {
                        "words": {"weight": 0.4, "datasets": ["fields"], "tasks": ["scene"]},
                        "boxes": {"weight": 0.6, "datasets": ["fields"], "tasks": ["crop_box"]},
                    },
                    **common,
                },
            ],
            **changes,
        }
    )  # fmt: skip


def die_at(number: int, run: Path | None) -> None:
    """Let the process be killed, as by the out-of-memory killer, in the middle of what it does.

    Args:
        number: After how many events; an event is an optimiser step.
        run: Opening a file below this folder to write it, renaming and removing are events as well.
    """
    import torch

    step, process, done = torch.optim.AdamW.step, os.getpid(), 0

    def happens() -> None:
        nonlocal done
        done += 1
        if done > number and os.getpid() == process:
            os.kill(process, signal.SIGKILL)

    def deadly(self: Any, *args: Any, **kwargs: Any) -> Any:
        happens()
        return step(self, *args, **kwargs)

    def watch(event: str, given: tuple[Any, ...]) -> None:
        writes = event == "open" and (given[2] or 0) & os.O_CREAT
        if (writes or event in ("os.rename", "os.remove", "os.rmdir")) and str(given[0]).startswith(str(run)):
            happens()

    torch.optim.AdamW.step = deadly  # type: ignore[method-assign]
    if run:
        sys.addaudithook(watch)


def share_on_cpus() -> None:
    """Let processes on CPUs share a model (FSDP2), as accelerate has it on accelerators only."""
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType

    make = AcceleratorState.__init__

    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, kwargs["fsdp_plugin"]
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    AcceleratorState.__init__ = made  # type: ignore[method-assign]


def compute_in_float64() -> Any:
    """Let stages compute in float64, where another order of sums shows far below what a log can hold.

    Returns:
        What `agrilape.train.stages.prepare` was, to be put back.
    """
    from agrilape.train import stages

    original = stages.prepare

    def prepared(*args: Any) -> Any:
        made = original(*args)
        made.model.double()
        return made

    stages.prepare = prepared
    return original


def divide_by_at_least(eps: float) -> None:
    """Let AdamW add `eps` to the root of the squared gradients that it divides by, 1e-8 in training."""
    import torch

    make = torch.optim.AdamW.__init__

    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **{**kwargs, "eps": eps})

    torch.optim.AdamW.__init__ = made  # type: ignore[method-assign]


def note_whole_parameters(file: Path) -> None:
    """Note at each step how many numbers of parameters this process holds in one piece.

    A module that was gathered for a pass has let go of the numbers by then, though not of the object.
    """
    import torch
    from torch.distributed.tensor import DTensor

    step = torch.optim.AdamW.step

    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        held = [x for x in gc.get_objects() if type(x) is torch.nn.Parameter and not isinstance(x, DTensor)]
        whole = sum(x.numel() for x in held if x.untyped_storage().size())
        file.with_suffix(f".{os.environ['RANK']}").write_text(str(whole))
        return step(self, *args, **kwargs)

    torch.optim.AdamW.step = noted  # type: ignore[method-assign]


def main() -> None:
    """Train: run folder, data folder, when to die (`step:9`, `event:40` or `never`), and changes as JSON."""
    from agrilape.train import train_recipe

    if eps := os.environ.get("ADAM_EPS"):
        divide_by_at_least(float(eps))

    run, data, death, changes = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
    if death != "never":
        kind, _, number = death.partition(":")
        die_at(int(number), run if kind == "event" else None)
    if os.environ.get("ACCELERATE_USE_FSDP") == "true":
        share_on_cpus()
        note_whole_parameters(run / "whole")
    if os.environ.get("FLOAT64"):
        compute_in_float64()
    train_recipe(recipe(run, **changes), run, data)


if __name__ == "__main__":
    main()

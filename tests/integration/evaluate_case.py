"""A small run to evaluate: the nano preset with random weights, and eight chips of noise."""

import io
from datetime import date

import numpy as np
from affine import Affine
from PIL import Image

from agrilape.config.lape import LapeConfig
from agrilape.config.recipe import Recipe
from agrilape.dataset.manifest import Manifest, Shard, SplitCounts
from agrilape.dataset.store import write_rows
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Box, Instant, Point
from agrilape.geo.timewindow import TimeWindow
from agrilape.model import attach, build_preset, save_checkpoint
from agrilape.tokens import add_position_tokens


def example(number):
    """A still or a series of two, with questions about place, name and time."""
    rng = np.random.default_rng(number)
    pictures = []
    for month in (5, 8) if number % 3 == 0 else (6,):
        stream = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(stream, "PNG")
        pictures.append(Picture(stream.getvalue(), date(2021, month, 1)))
    ground = Georeference("EPSG:32632", Affine(10, 0, 500_000 + 640 * number, 0, -10, 5_500_000), 64, 64)
    window = TimeWindow(date(2021, 1, 1), date(2021, 12, 31))
    chip = Chip(
        f"scene_{number // 2}/{number}", f"scene_{number // 2}", "simulate", tuple(pictures), ground, window
    )
    box = Box(0.2, 0.3, 0.5, 0.7)
    drafts = {
        "field_at_point": (("Which field is at ", Point(0.4, 0.5), "?"), (box,)),
        "crop_in_box": (("What grows in ", box, "?"), ("maize",)),
        "peak_of_season": (("When is the field at ", Point(0.4, 0.5), " greenest?"), (Instant(0.5),)),
    }
    return Example(
        chip,
        tuple(
            Sample(f"{chip.id}/{task}/0", chip.id, task, *texts, {"crop": "maize", "size": "large"})
            for task, texts in drafts.items()
        ),
    )


EXAMPLES = [example(number) for number in range(8)]


def make_run(folder):
    """A run folder with a checkpoint and a prepared data set."""
    model, processor = build_preset("nano", 0)
    config = add_position_tokens(processor, LapeConfig(num_spatial_tokens=50))
    attach(model, config, processor.tokenizer)
    save_checkpoint(folder / "stages" / "1-domain", model, processor, {"coordinates": "position_tokens"})
    write_data(folder)
    return folder


def write_data(folder, **more):
    data = folder / "data" / "stills"
    shards, counts = [], {}
    for split, examples in {"train": EXAMPLES[:4], "test": EXAMPLES[4:], **more}.items():
        path = data / f"{split}-00000.parquet"
        write_rows(path, examples)
        shards.append(
            Shard(path=path.name, split=split, chips=len(examples), bytes=path.stat().st_size, sha256="")
        )
        chips = len(examples)
        counts[split] = SplitCounts(chips=chips, pictures=chips, samples=3 * chips, tasks={}, groups=())
    config = recipe(folder).datasets["stills"]
    Manifest(
        name="stills", key="k", version="0", config=config, shards=tuple(shards), splits=counts, window=None,
        origins=(), skipped_scenes=(), skipped_chips={},
    ).write(data)  # fmt: skip


def recipe(folder, **evaluation):
    stage = {
        "name": "domain",
        "enable_lape": True,
        "learning_rates": {"llm": 1e-3},
        "mixture": {"all": {"weight": 1, "datasets": ["stills"]}},
        "steps": 1,
    }
    return Recipe.model_validate({
        "name": "test",
        "output": folder,
        "datasets": {"stills": {"source": {"kind": "simulate"}, "tasks": ["crop_in_box"]}},
        "stages": [stage],
        "evaluation": {"datasets": ["stills"], "batch_size": 5, **evaluation},
    })  # fmt: skip

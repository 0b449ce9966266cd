"""How fast answers are generated in batches and one by one, and how fast they are scored.

    python benchmarks/predict.py --write docs/benchmarks.md

Generation is that of `agrilape evaluate`: the `nano` preset with LAPE, still images and short series, three
kinds of questions, on one thread of the CPU (or a GPU). Its weights are random, so that it never stops by
itself and every answer has the same number of tokens: batches gain nothing from answers that end early, nor
lose by waiting for late ones. Both cases answer the same questions, in turns, and must give the same texts.

Scoring is that of `agrilape evaluate` and `agrilape score`, from rows to scores with intervals; boxes of
tiles are joined as by `agrilape predict`.
"""

from __future__ import annotations

import argparse
import io
import math
import platform
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import shapely
import torch
from page import add_options, publish, verdict
from PIL import Image

from agrilape.config.lape import LapeConfig
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.evaluate.inference import Decoding, predict_samples
from agrilape.evaluate.metrics.matching import count_matches
from agrilape.evaluate.metrics.polygons import polygon_iou_matrices, rotated_boxes
from agrilape.evaluate.predictions import Prediction
from agrilape.evaluate.scores import score_tasks
from agrilape.geo.shapes import Box, Instant, Point
from agrilape.geo.timewindow import TimeWindow
from agrilape.model import Checkpoint, attach, build_preset
from agrilape.serve.tile_merge import TileObject, merge
from agrilape.sources.tiling import plan_windows
from agrilape.tokens import add_position_tokens

TARGETS = {"batches": 3.0, "scoring": 10.0, "tile": 4.0}  # times as fast; seconds; times the time of one
PLACES = 32  # asked about in one tile
SIDE = 128
TILE, FIELD, SLIVER = 128, 40, 3  # pixels
SCENES = 50
BOXES_PER_ROW = 8
SEASON = TimeWindow(date(2021, 3, 1), date(2021, 10, 31))


def main() -> None:
    """Measure, print, and write what was asked for."""
    options = parse_options()
    torch.set_num_threads(1)
    result = {
        "setting": setting(options),
        "generation": time_generation(options),
        "tile": time_one_tile(options),
        "scoring": time_scoring(options),
    }
    publish(options, "predict", result, render(result))


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="How fast answers are generated and scored.")
    parser.add_argument("--questions", type=int, default=192, help="questions that each case answers a round")
    parser.add_argument("--batch", type=int, default=64, help="questions per batch")
    parser.add_argument(
        "--tokens", type=int, default=24, help="length of an answer; a box and its words take 8"
    )
    parser.add_argument("--boxes", type=int, default=100_000, help="boxes that are scored")
    parser.add_argument("--rounds", type=int, default=3, help="how often the cases run in turn")
    add_options(parser)
    return parser.parse_args()


def setting(options: argparse.Namespace) -> dict[str, Any]:
    """What was measured on what."""
    cuda = torch.cuda.is_available()
    return {
        "hardware": torch.cuda.get_device_name() if cuda else f"{platform.machine()}, one thread",
        "torch": torch.__version__,
        **{name: getattr(options, name) for name in ("questions", "batch", "tokens", "boxes", "rounds")},
    }


# -- generation ---------------------------------------------------------------------------------------------


def time_generation(options: argparse.Namespace) -> dict[str, list[float]]:
    """Questions per second of each case in each round.

    Raises:
        AssertionError: Batches answered otherwise than single questions.
    """
    checkpoint = nano()
    examples = questions(options.questions)
    rates: dict[str, list[float]] = {"one by one": [], "batched": []}
    sizes = {"one by one": 1, "batched": options.batch}
    for turn in range(options.rounds):
        texts = {}
        for name in list(rates)[:: 1 if turn % 2 else -1]:
            seconds, texts[name] = answer(checkpoint, examples, sizes[name], options.tokens)
            rates[name].append(options.questions / seconds)
        assert texts["one by one"] == texts["batched"], "batches answer otherwise than single questions"
    return rates


def time_one_tile(options: argparse.Namespace) -> dict[str, float]:
    """Seconds for one question about a tile and for `PLACES` of them, in turns; the least of the rounds."""
    checkpoint, rng = nano(), np.random.default_rng(0)
    chip = Chip("c", "s", "noise", (Picture(noise(rng)),))
    samples = tuple(
        Sample(
            str(number), "c", "field_at_point", ("Which field is at ", Point(*rng.uniform(0, 1, 2)), "?"), ()
        )
        for number in range(PLACES)
    )
    cases = {"one": samples[:1], "many": samples}
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(options.rounds + 1):  # the first round is for warming up
        for name, asked in cases.items():
            seconds[name].append(answer(checkpoint, [Example(chip, asked)], PLACES, options.tokens)[0])
    return {name: min(values[1:]) for name, values in seconds.items()}


def nano() -> Checkpoint:
    """The small preset with random weights, and LAPE of its usual size."""
    model, processor = build_preset("nano", 0)
    config = add_position_tokens(processor, LapeConfig(num_spatial_tokens=150, num_temporal_tokens=50))
    attach(model, config, processor.tokenizer)
    return Checkpoint(model.eval(), processor, config)


def questions(count: int) -> list[Example]:
    """Chips of noise with three questions each, every third one a series of four dates."""
    examples = []
    for number in range(-(-count // 3)):
        rng = np.random.default_rng(number)
        dates = [date(2021, month, 1) for month in ((4, 6, 7, 9) if number % 3 == 0 else (6,))]
        pictures = tuple(Picture(noise(rng), day) for day in dates)
        chip = Chip(f"c{number}", f"s{number % SCENES}", "noise", pictures, window=SEASON)
        box = Box(0.2, 0.3, 0.5, 0.7)
        asked = {
            "field_at_point": ("Which field is at ", Point(0.4, 0.5), "?"),
            "crop_in_box": ("What grows in ", box, "?"),
            "peak_of_season": ("When is the field at ", Point(0.4, 0.5), " greenest?"),
        }
        samples = (Sample(f"{chip.id}/{task}", chip.id, task, text, (box,)) for task, text in asked.items())
        examples.append(Example(chip, tuple(samples)[: count - 3 * number]))
    return examples


def noise(rng: np.random.Generator) -> bytes:
    """A picture."""
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def answer(
    checkpoint: Checkpoint, examples: list[Example], batch: int, tokens: int
) -> tuple[float, dict[str, str]]:
    """Seconds that all questions took, and the answers."""
    began = now()
    batches = predict_samples(
        checkpoint, examples, batch_size=batch, decoding=Decoding(max_new_tokens=tokens)
    )
    texts = {row.id: row.prediction_text for rows in batches for row in rows}
    return now() - began, texts


def now() -> float:
    """Seconds on the processor, or on the clock once the accelerator has finished."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


# -- scoring ------------------------------------------------------------------------------------------------


def time_scoring(options: argparse.Namespace) -> dict[str, float]:
    """Seconds that scoring takes, least of the rounds."""
    rng = np.random.default_rng(0)
    one, several = boxes(options.boxes, rng), boxes(options.boxes, rng)
    single = rows("crop_box", one, several, 1)
    listed = rows("crop_boxes", one, several, BOXES_PER_ROW)
    moments = rows("peak_of_season", one, several, 1)
    turned = np.hstack([one, rng.uniform(-90, 90, (len(one), 1))])
    seen = pieces(options.boxes, rng)
    other = np.hstack([several, rng.uniform(-90, 90, (len(one), 1))])
    cases: dict[str, Callable[[], Any]] = {
        "one box per question: 7 metrics": lambda: score_tasks(single),
        f"{BOXES_PER_ROW} boxes per question, matched one to one: 5 metrics": lambda: score_tasks(listed),
        "a date per question: 3 metrics": lambda: score_tasks(moments),
        f"rotated boxes, {BOXES_PER_ROW} per question, matched one to one": lambda: match_rotated(
            turned, other
        ),
        f"boxes of tiles of {TILE} px, joined to the fields of a scene": lambda: merge(seen),
    }
    return {name: min(seconds(case) for _ in range(options.rounds)) for name, case in cases.items()}


def seconds(case: Callable[[], Any]) -> float:
    """Processor time of one run."""
    began = time.process_time()
    case()
    return time.process_time() - began


def boxes(count: int, rng: np.random.Generator) -> np.ndarray:
    """Random boxes `[N, 4]`, about as large as fields."""
    corner, size = rng.uniform(0, 0.7, (count, 2)), rng.uniform(0.05, 0.3, (count, 2))
    return np.hstack([corner, corner + size])


def rows(task: str, given: np.ndarray, wanted: np.ndarray, per_row: int) -> list[Prediction]:
    """Rows of so many boxes, or of moments, over scenes."""
    if task == "peak_of_season":
        pairs = [
            ((Instant(a[0]),), (Instant(b[0]),)) for a, b in zip(given.tolist(), wanted.tolist(), strict=True)
        ]
    else:
        listed = [[Box(*box) for box in side.tolist()] for side in (given, wanted)]
        pairs = [
            tuple(tuple(side[start : start + per_row]) for side in listed)
            for start in range(0, len(given), per_row)
        ]
    return [
        Prediction(str(i), f"c{i}", f"s{i % SCENES}", "noise", task, ("?",), truth, answer, window=SEASON)
        for i, (answer, truth) in enumerate(pairs)
    ]


def match_rotated(given: np.ndarray, wanted: np.ndarray) -> int:
    """Matches of rotated boxes, as `agrilape score` finds them."""
    outlines = [list(rotated_boxes(side)) for side in (given, wanted)]
    pairs = [
        (outlines[0][start : start + BOXES_PER_ROW], outlines[1][start : start + BOXES_PER_ROW])
        for start in range(0, len(given), BOXES_PER_ROW)
    ]
    return sum(count_matches(iou).true_positives for iou in polygon_iou_matrices(pairs))


def pieces(count: int, rng: np.random.Generator) -> list[TileObject]:
    """What tiles see of fields of a third of their side, each edge some pixels off."""
    span = TILE // FIELD + 2  # fields that a tile may see from side to side
    side = TILE * math.ceil(math.sqrt(count) / (span - 2))
    found: list[TileObject] = []
    for tile in plan_windows(side, side, TILE, 0.25):
        low, high = np.array(tile[:2]), np.array(tile[:2]) + TILE
        for offset in np.ndindex(span, span):
            corner = (low // FIELD + offset) * FIELD
            near, far = (np.clip(corner + size + rng.normal(0, 2, 2), low, high) for size in (0, FIELD))
            if (far - near).min() > SLIVER:
                found.append(TileObject(shapely.box(*near, *far), tile))
        if len(found) >= count:
            break
    return found[:count]


# -- the page -----------------------------------------------------------------------------------------------


def render(result: dict[str, Any]) -> str:
    """The numbers as Markdown: rates as the best of the rounds, times as the least."""
    facts, rates = result["setting"], {name: max(values) for name, values in result["generation"].items()}
    many = result["tile"]["many"] / result["tile"]["one"]
    gain = rates["batched"] / rates["one by one"]
    lines = [
        f"{facts['hardware']}, torch {facts['torch']}: {facts['questions']} questions with answers of "
        f"{facts['tokens']} tokens, batches of {facts['batch']}, the best of {facts['rounds']} rounds. "
        "Batched answers equal single ones.",
        "",
        "| generation, nano | questions per second | | target |",
        "| --- | ---: | ---: | ---: |",
        f"| one by one | {rates['one by one']:,.1f} | | |",
        f"| batched | {rates['batched']:,.1f} | {gain:.1f} times | at least {TARGETS['batches']:.0f} times: "
        f"{verdict(gain >= TARGETS['batches'])} |",
        "",
        f"{PLACES} questions about one tile, whose image is encoded once: {result['tile']['many']:.2f} s, "
        f"{many:.1f} times the {result['tile']['one']:.2f} s of one question "
        f"(at most {TARGETS['tile']:.0f} times: {verdict(many <= TARGETS['tile'])}).",
        "",
        f"| scoring or joining {facts['boxes']:,} boxes or dates | seconds | target |",
        "| --- | ---: | ---: |",
        *(
            f"| {name} | {took:.2f} | at most {TARGETS['scoring']:.0f}: "
            f"{verdict(took <= TARGETS['scoring'])} |"
            for name, took in result["scoring"].items()
        ),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""How good whole maps are: the model that ships (or another) on ground that it never saw.

    python tools/make_kits.py --source DOWNLOADS us_naip_field_polygons dk_s2_lpis2016
    python benchmarks/maps.py --write docs/benchmarks.md
    python benchmarks/maps.py --checkpoint runs/mine/stages/3-domain --scenes 10 --sets simulated

Every scene is asked through the code of `agrilape predict`, for all its fields, for crops that grow there and
for crops that do not, and scored against all parcels, beside segments of the picture whose parameters were
tuned on training ground. Simulated scenes are of seeds that no recipe uses; of the kits it is the ground that
recipe `nano` keeps out of training. Interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from page import add_options, publish, verdict

from agrilape import __version__
from agrilape.config import load_recipe
from agrilape.config.recipe import DatasetConfig, EvaluationConfig, FolderSource, Recipe, SimulateSource
from agrilape.console import warn
from agrilape.evaluate.evaluation import MapAnswers
from agrilape.evaluate.metrics.intervals import outcome
from agrilape.evaluate.summary import summarise
from agrilape.maps import ask_maps
from agrilape.model import find_checkpoint
from agrilape.prepare.from_scenes import prepare_dataset
from agrilape.report.score_tables import OUTCOMES

TRAINING_SCENES = 8
"""Simulated scenes beside those that are asked, on which the baseline is fitted."""
SETS = ("simulated", "naip", "denmark")
GOALS = {
    ("simulated", "map_fields"): {"box_f1": 0.80}, ("simulated", "map_crop"): {"box_f1": 0.65},
    ("simulated", "map_absent_crop"): {"refusal_rate": 0.90},
    ("naip", "map_fields"): {"box_f1": 0.50}, ("denmark", "map_fields"): {"box_f1": 0.50},
}  # fmt: skip
SHOWN = {
    "box_f1": "F1, boxes", "box_precision": "precision", "box_recall": "recall", "box_ap": "AP, boxes",
    "outline_f1": "F1, outlines", "outline_ap": "AP, outlines", "area_over": "area over",
    "area_under": "area under", "summed_area_ratio": "summed area", "off_fields": "off fields",
    "refusal_rate": "refused", "places": "places given",
}  # fmt: skip


def main() -> None:
    """Prepare, ask, score, and write what was asked for."""
    options = parse_options()
    recipe = recipe_of(options)
    for name in recipe.evaluation.datasets:
        prepare_dataset(name, recipe.datasets[name], recipe.output / "data" / name, recipe.output / "scenes")
    found = ask_maps(recipe, recipe.output, find_checkpoint(options.checkpoint))
    result = {"maps_left_out": found.left_out, "sets": {}}
    for name in recipe.evaluation.datasets:
        result["sets"][name] = scores(found, name)
    publish(options, "maps", result, render(result, options))


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="How good whole maps are.")
    parser.add_argument("--checkpoint", default="shipped:nano", help="a checkpoint or run folder")
    parser.add_argument("--scenes", type=int, default=30, help="simulated scenes that are asked")
    parser.add_argument(
        "--crops", type=int, default=3, help="crops per scene that are there, and that are not"
    )
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS, help="what is asked about")
    parser.add_argument("--limit", type=int, help="most maps of each set")
    parser.add_argument("--output", type=Path, default=Path("runs/map_benchmark"), help="working folder")
    add_options(parser)
    return parser.parse_args()


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe of the model that ships, with the ground of the benchmark in place of its own."""
    nano = load_recipe("nano")
    total = options.scenes + TRAINING_SCENES
    simulated = DatasetConfig(
        source=SimulateSource(scenes=total, size=512, gsd=2.5, dates=5, seed=7_018),
        tasks=("field_boxes",),
        chip=128,
        limit=4 * total,  # chips are not asked about
        split=(TRAINING_SCENES / total, 0.0, options.scenes / total),
    )
    sets = {"simulated": simulated, "naip": nano.datasets["naip"], "denmark": nano.datasets["denmark"]}
    names = [name for name in options.sets if is_there(name, sets[name].source)]
    asked = EvaluationConfig(
        datasets=tuple(names), maps=True, crops_per_map=options.crops, limit=options.limit,
        soft_argmax=True, constrained_decoding=True,
    )  # fmt: skip
    changes = {
        "datasets": {name: sets[name] for name in names},
        "evaluation": asked,
        "output": options.output,
    }
    return nano.model_copy(update=changes)


def is_there(name: str, source: SimulateSource | FolderSource) -> bool:
    """Is the ground of a set there? That of the kits is laid out by `tools/make_kits.py`."""
    there = isinstance(source, SimulateSource) or source.path.is_dir()
    if not there:
        warn(f"{name} is left out: {source.path} is not there; python tools/make_kits.py lays it out")
    return there


def scores(found: MapAnswers, name: str) -> dict[str, Any]:
    """Scores of one set's maps as in `metrics.json`."""
    numbers = [number for number, row in enumerate(found.rows) if row.chip.startswith(f"{name}/")]
    rows = [found.rows[number] for number in numbers]
    guesses = {who: [given[number] for number in numbers] for who, given in found.baselines.items()}
    rivals = {row.task: who for who, given in guesses.items() for row in given if row}
    return {"maps": len({row.chip for row in rows}), **summarise(rows, guesses, rivals, by=("crop",))}


def render(result: dict[str, Any], options: argparse.Namespace) -> str:
    """The section of the page."""
    left_out = "; ".join(f"{n} left out: {why}" for why, n in result["maps_left_out"].items())
    lines = [f"{options.checkpoint}, agrilape {__version__}. {left_out}".strip()]
    for name, found in result["sets"].items():
        lines += ["", f"**{name}**, {found['maps']} maps", ""]
        for task, own in found["tasks"].items():
            lines += table(task, own, {who: tasks.get(task, {}) for who, tasks in found["baselines"].items()})
            lines += judged(name, task, own, found["versus_baseline"].get(task))
    return "\n".join(lines)


def judged(name: str, task: str, own: dict[str, Any], versus: dict[str, Any] | None) -> list[str]:
    """Goals of a task, and the difference to the baseline with what may be said of it."""
    said = [
        f"goal {SHOWN[metric]} at least {least:.2f}: {verdict(own[metric]['value'] >= least)}"
        for metric, least in GOALS.get((name, task), {}).items()
    ]
    if versus:
        spread = "" if versus["low"] is None else f" ({versus['low']:+.2f} to {versus['high']:+.2f})"
        result = outcome(versus["low"], versus["high"], versus["p"])
        said.append(
            f"{SHOWN[versus['metric']]} less that of {versus['baseline']}: {versus['value']:+.2f}{spread}, "
            f"{'too few scenes to tell' if result == 'unknown' else OUTCOMES[result]}"
        )
    return [f"{'; '.join(said)}.", ""] if said else []


def table(task: str, own: dict[str, Any], beside: dict[str, Any]) -> list[str]:
    """The scores of one task, the model's and those beside it."""
    names = [name for name in SHOWN if name in own]
    n = max(score["n"] for score in own.values())
    head = f"| {task} (n = {n}) | " + " | ".join(SHOWN[name] for name in names) + " |"
    rows = [("model", own), *((who, scores) for who, scores in beside.items() if scores)]
    body = [
        f"| {who} | " + " | ".join(cell(scores.get(name)) for name in names) + " |" for who, scores in rows
    ]
    return [head, "| --- |" + " ---: |" * len(names), *body, ""]


def cell(score: dict[str, Any] | None) -> str:
    """A score with its interval."""
    if score is None or score["value"] is None:
        return "–"
    interval = f" ({score['low']:.2f}–{score['high']:.2f})" if score["low"] is not None else ""
    return f"{score['value']:.2f}{interval}"


if __name__ == "__main__":
    main()

"""A run folder as the pipeline writes it: made up, complete and small."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

CROPS = ("maize", "winter wheat", "rapeseed", "sugar beet", "grass")
TASKS = ("crop_box", "crop_boxes", "field_at_point", "crop_in_box", "growing_season", "peak_of_season")
STAGES = (("align", False), ("lape_warmup", True), ("domain", True))


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory) -> Path:
    """A complete run; tests that change it work on a copy."""
    return make_run(tmp_path_factory.mktemp("runs") / "trial")


def make_run(folder: Path) -> Path:
    rng = np.random.default_rng(3)
    write(folder / "recipe.yaml", yaml.safe_dump(recipe()))
    write(folder / "data/farmland/manifest.json", json.dumps(manifest()))
    for number, (name, lape) in enumerate(STAGES, start=1):
        rows = [log_row(step, number, lape, rng) for step in range(1, 201)]
        write(folder / f"stages/{number}-{name}/log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        write(folder / f"stages/{number}-{name}/stability.json", json.dumps(stability(number)))
    rows = [row for task in TASKS for row in predictions(task, folder, rng)]
    write(folder / "evaluation/predictions.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write(folder / "evaluation/metrics.json", json.dumps(metrics()))
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def recipe() -> dict:
    def stage(name: str, lape: bool) -> dict:
        return {
            "name": name, "enable_lape": lape, "steps": 200, "batch_size": 32, "questions_per_chip": 8,
            "learning_rates": {"vision": None if lape else 2e-3, "projector": 2e-3, "llm": 1.5e-3,
                               "lape": 1.5e-3 if lape else None},
            "lape_schedule": {"schedule": "continuous", "lape_warmup_steps": 60, "lape_lr_multiplier": 0.5,
                             "gate": "linear"},
            "mixture": {"remote_sensing_general": {"weight": 0.4}, "agricultural_images": {"weight": 0.4},
                        "spatial_reasoning_tasks": {"weight": 0.2}},
        }  # fmt: skip

    return {
        "name": "trial", "seed": 0, "lape": {"num_spatial_tokens": 150, "num_temporal_tokens": 50},
        "datasets": {"farmland": {"source": {"kind": "simulate", "scenes": 24, "gsd": 10.0}}},
        "stages": [stage(*item) for item in STAGES],
    }  # fmt: skip


def manifest() -> dict:
    def split(chips: int) -> dict:
        tasks = {"crop_box": 3 * chips, "crop_in_box": 2 * chips, "growing_season": chips}
        return {
            "chips": chips,
            "pictures": chips,
            "samples": 6 * chips,
            "tasks": tasks,
            "groups": ["scene_0000"],
        }

    return {
        "splits": {"train": split(812), "test": split(160)},
        "origins": [{"source": "simulate", "scenes": 24, "licence": None, "citation": None}],
        "skipped_scenes": [{"scene": "scene_0007", "reason": "no data in the whole image"}],
        "skipped_chips": {"cloud or no data": 12},
    }


def log_row(step: int, stage: int, lape: bool, rng: np.random.Generator) -> dict:
    fall = math.exp(-step / 70)
    row = {
        "step": step, "loss": 0.5 + 2.5 * fall + 0.1 * rng.random(),
        "loss_text": 0.3 + 2 * fall + 0.1 * rng.random(),
        "lr_llm": 1.5e-3 * (1 - step / 220),
        "grad_norm": 0.8 + rng.random() + (6 if step < 5 and stage > 1 else 0),
        "text_accuracy": 1 - fall,
    }  # fmt: skip
    if step % 10 == 0:
        row |= {"steps_per_second": 3.1, "samples_per_second": 640 + 30 * rng.random(),
                "mixture": {"remote_sensing_general": 0.41, "agricultural_images": 0.39}}  # fmt: skip
        if lape:
            row["lape_gradient"] = {"input": 0.1, "output": 0.4 * fall + 0.1, "injection": 0.02, "ntp": 0.2}
    if lape:
        row |= {f"loss_{axis}": 2 + 3 * fall + 0.2 * rng.random() for axis in ("height", "width", "temporal")}
        row |= {"position_accuracy": 0.4 * (1 - fall), "coordinate_error": 4 + 40 * fall,
                "lr_lape": 7e-4 * min(1, step / 60),
                "gate": min(1, step / 60) if stage == 2 else 1.0}  # fmt: skip
    return row


def stability(stage: int) -> dict:
    return {
        "steps": 200, "loss": {"first": 3.1, "last": 0.61, "spikes": [120] * (stage - 1)},
        "grad_norm": {"first": 1.0, "median": 1.3, "p95": 1.9, "max": 7.4, "spread": 1.46},
        "switch": None if stage == 1 else {"before": 0.6, "after": 1.5, "jump": 0.9},
        "advice": ["Position tokens hardly learn: raise learning_rates.lape."] if stage == 3 else [],
    }  # fmt: skip


def predictions(task: str, folder: Path, rng: np.random.Generator) -> list[dict]:
    rows = []
    for number in range(9):
        left, top = 0.1 + 0.37 * (number * 7 % 5) / 5, 0.08 + 0.4 * (number * 3 % 5) / 5
        noise = rng.normal(0, 0.012 * (number % 4), 4)
        true = [left, top, left + 0.3, top + 0.35]
        box = [float(np.clip(edge + shift, 0, 1)) for edge, shift in zip(true, noise, strict=True)]
        crop, chip = CROPS[number % len(CROPS)], f"scene_{number % 3:04d}-{number}"
        answer, prediction, text, problems = wanted(task, crop, true, box, number)
        rows.append({
            "id": f"{chip}/{task}/{number}", "chip": chip, "scene": chip.split("-")[0], "source": "simulate",
            "task": task, "question": f"Where is the {crop} field?",
            "question_parts": ["Which field is at ", {"point": [left + 0.1, top + 0.1]}, "?"]
            if task == "field_at_point" else [f"Where is the {crop} field? <b>&"],
            "answer": answer, "prediction": prediction, "prediction_text": text, "problems": problems,
            "truth": {"crop": crop}, "ground_m": [1280.0, 1280.0],
            "window": {"start": "2022-03-01", "end": "2022-10-31"},
        })  # fmt: skip
        picture(folder / f"evaluation/images/{chip}.png", true, rng)
    return rows


def wanted(task: str, crop: str, true: list, box: list, number: int) -> tuple[list, list, str, list]:
    if number == 4:
        return wanted(task, crop, true, box, 0)[0], [], "[<WIDTH-012><HEIGHT", ["a bracket is not closed"]
    if task == "crop_in_box":
        said = crop if number % 3 else "grass"
        return [crop], [said], said, []
    if task == "growing_season":
        return [{"span": [0.2, 0.6]}], [{"span": [0.2 + number / 30, 0.65]}], "[<TEMP-010><TEMP-032>]", []
    if task == "peak_of_season":
        return [{"instant": 0.45}], [{"instant": 0.45 + number / 40}], "[<TEMP-022>]", []
    more = [{"box": [0.6, 0.62, 0.95, 0.93]}] if task == "crop_boxes" else []
    return [{"box": true}, *more], [{"box": box}, *more], "[<WIDTH-012>...]", []


def picture(path: Path, field: list, rng: np.random.Generator) -> None:
    """Something like fields from above: greens and browns around the one that is asked for."""
    rows, columns = np.mgrid[0:128, 0:128]
    parcels = ((columns + 0.3 * rows) // 31).astype(int) * 7 + ((rows - 0.2 * columns) // 26).astype(int)
    palette = rng.integers((70, 90, 50), (170, 160, 100), (64, 3))
    image = palette[parcels % 64] + rng.normal(0, 6, (128, 128, 1))
    left, top, right, bottom = (int(128 * edge) for edge in field)
    image[top:bottom, left:right] = rng.normal((58, 120, 52), 6, (bottom - top, right - left, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)


def metrics() -> dict:
    def score(value: float, width: float = 0.04, n: int = 480) -> dict:
        return {"value": value, "low": value - width, "high": value + width, "n": n, "scenes": 30}

    def versus(metric: str, baseline: str, value: float, width: float = 0.05) -> dict:
        return {"metric": metric, "baseline": baseline, **score(value, width), "p": 0.002}

    def box(miou: float) -> dict:
        return {"miou": score(miou), "acc_50": score(miou + 0.1), "acc_75": score(miou / 2),
                "position_error_m": score(90 * (1 - miou), 5)}  # fmt: skip

    return {
        "tasks": {
            "crop_box": box(0.61),
            "field_at_point": box(0.4),
            "crop_in_box": {"accuracy": score(0.83, n=60)},
            "peak_of_season": {"days": score(9.2, 1.4)},
            "growing_season": {"tiou": score(0.51, 0.05)},
            "scene": {"accuracy": {"value": 0.5, "low": None, "high": None, "n": 8, "scenes": 1}},
        },
        "baselines": {
            "mean_box": {"crop_box": box(0.24)},
            "mean_box_at_point": {"field_at_point": box(0.42)},
            "majority": {"crop_in_box": {"accuracy": score(0.31)}},
            "mean_date": {
                "peak_of_season": {"days": score(21.0, 2.0)},
                "growing_season": {"tiou": score(0.62)},
            },
        },
        "versus_baseline": {
            "crop_box": versus("miou", "mean_box", 0.37),
            "field_at_point": versus("miou", "mean_box_at_point", -0.02),
            "crop_in_box": versus("accuracy", "majority", 0.52),
            "peak_of_season": versus("days", "mean_date", -11.8, 2.0),
            "growing_season": versus("tiou", "mean_date", -0.11),
        },
        "by": {"crop": {crop: {"crop_box": {"miou": score(0.5, n=90)}} for crop in CROPS}},
        "calibration": {
            "levels": [0.2, 0.5, 0.8, 0.9, 0.95],
            "place": {
                "coverage": [score(s, 0.03, 1840) for s in (0.14, 0.36, 0.6, 0.71, 0.78)],
                "width": [0.1] * 5,
            },
            "time": {
                "coverage": [score(s, 0.05, 420) for s in (0.22, 0.54, 0.81, 0.88, 0.94)],
                "width": [0.1] * 5,
            },
        },
        "confusion": {
            "crop_in_box": {
                "classes": list(CROPS),
                "matrix": [
                    [9, 1, 0, 0, 1, 1],
                    [1, 12, 0, 0, 3, 0],
                    [0, 0, 8, 0, 1, 0],
                    [2, 0, 0, 6, 1, 0],
                    [0, 4, 0, 0, 10, 0],
                ],
            }
        },
        "parse_failures": {"total": {"count": 50, "n": 2400}, "tasks": {"crop_box": {"count": 50, "n": 480}}},
        "samples_per_second": 212.0,
        "examples": {
            task: {"best": row(task, 0), "median": row(task, 3), "worst": row(task, 4)} for task in TASKS
        },
    }


def row(task: str, number: int) -> str:
    return f"scene_{number % 3:04d}-{number}/{task}/{number}"

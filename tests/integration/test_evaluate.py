"""From a checkpoint and a prepared data set to metrics, with the small preset and random weights."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from PIL import Image
from transformers import LogitsProcessor

from agrilape.config.lape import LapeConfig
from agrilape.config.recipe import Recipe
from agrilape.errors import RecipeError
from agrilape.evaluate import evaluate_run, predict_samples
from agrilape.evaluate.predict import Answerer, Decoding
from agrilape.evaluate.rows import read_rows
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Box, Instant, Point
from agrilape.geo.timewindow import TimeWindow
from agrilape.model import attach, build_preset, load_checkpoint, save_checkpoint
from agrilape.samples.manifest import Manifest, Shard, SplitCounts
from agrilape.samples.store import write_rows
from agrilape.samples.types import Chip, Example, Picture, Sample
from agrilape.tokens import add_position_tokens

SHORT = Decoding(max_new_tokens=6)


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
        "greenest": (("When is the field at ", Point(0.4, 0.5), " greenest?"), (Instant(0.5),)),
    }
    return Example(
        chip,
        tuple(
            Sample(f"{chip.id}/{task}/0", chip.id, task, *texts, {"crop": "maize", "size": "large"})
            for task, texts in drafts.items()
        ),
    )


EXAMPLES = [example(number) for number in range(8)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with a checkpoint and a prepared data set."""
    folder = tmp_path_factory.mktemp("run")
    model, processor = build_preset("nano", 0)
    config = add_position_tokens(processor, LapeConfig(num_spatial_tokens=50))
    attach(model, config, processor.tokenizer)
    save_checkpoint(folder / "stages" / "1-domain", model, processor, {"coordinates": "position_tokens"})
    write_data(folder)
    return folder


def write_data(folder):
    data = folder / "data" / "stills"
    shards, counts = [], {}
    for split, examples in {"train": EXAMPLES[:4], "test": EXAMPLES[4:]}.items():
        path = data / f"{split}-00000.parquet"
        write_rows(path, examples)
        shards.append(
            Shard(path=path.name, split=split, chips=len(examples), bytes=path.stat().st_size, sha256="")
        )
        counts[split] = SplitCounts(chips=4, pictures=4, samples=12, tasks={}, groups=())
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


@pytest.fixture(scope="module")
def checkpoint(run):
    return load_checkpoint(run / "stages" / "1-domain")


def texts(checkpoint, batch_size, decoding=SHORT, **options):
    rows = predict_samples(checkpoint, EXAMPLES, batch_size=batch_size, decoding=decoding, **options)
    return {row.id: (row.prediction_text, row.prediction) for batch in rows for row in batch}


def test_batches_answer_as_single_questions_do(checkpoint):
    assert texts(checkpoint, 8) == texts(checkpoint, 1)


def test_samples_that_are_done_are_left_out(checkpoint):
    done = {sample.id for one in EXAMPLES[:6] for sample in one.samples}
    assert set(texts(checkpoint, 8, done=done)) == {
        sample.id for one in EXAMPLES[6:] for sample in one.samples
    }


def test_constrained_answers_are_well_formed(checkpoint):
    decoding = Decoding(max_new_tokens=12, constrained=True, expectation=True)
    for rows in predict_samples(checkpoint, EXAMPLES, decoding=decoding):
        assert [row.problems for row in rows] == [()] * len(rows)


class Boxed(LogitsProcessor):
    """Leads a random model to write `[<WIDTH><HEIGHT><WIDTH><HEIGHT>]`, whichever tokens it likes there."""

    def __init__(self, tokenizer, ids, start):
        opening, closing = (tokenizer.convert_tokens_to_ids([text]) for text in "[]")
        self.steps = [opening, ids["width"], ids["height"], ids["width"][-9:], ids["height"][-9:], closing]
        self.start = start

    def __call__(self, input_ids, scores):
        allowed = self.steps[min(input_ids.shape[1] - self.start, len(self.steps) - 1)]
        scores = scores.clone()
        scores[:, list(allowed)] += 1000
        return scores


def test_expectation_states_an_interval_for_every_coordinate(checkpoint, monkeypatch):
    def lead(answerer, length):
        return [Boxed(answerer.chat.tokenizer, checkpoint.config.token_ids, length)]

    monkeypatch.setattr(Answerer, "_grammar", lead)
    decoding = Decoding(max_new_tokens=7, expectation=True)
    rows = [row for batch in predict_samples(checkpoint, EXAMPLES, decoding=decoding) for row in batch]
    assert len(rows) == 24
    for row in rows:
        (box,), (edges,) = [part for part in row.prediction if not isinstance(part, str)], row.intervals
        assert isinstance(box, Box)
        assert len(edges) == 4
        for ends in edges:
            low, high = ends[0::2], ends[1::2]
            assert list(low) == sorted(low, reverse=True)
            assert list(high) == sorted(high)
            assert high[-1] - low[-1] > 0.05  # untrained: it does not claim to be sure
    plain = predict_samples(checkpoint, EXAMPLES[:1], decoding=Decoding(max_new_tokens=7))
    assert all(row.intervals == () for batch in plain for row in batch)


def test_evaluation_of_a_run(run):
    metrics = evaluate_run(recipe(run), run)
    rows = read_rows(run / "evaluation" / "predictions.jsonl")
    assert [row.id for row in rows] == [
        f"stills/{sample.id}" for one in EXAMPLES[4:] for sample in one.samples
    ]
    assert metrics == json.loads((run / "evaluation" / "metrics.json").read_text())
    assert metrics["tasks"]["field_at_point"]["miou"]["n"] == 4
    assert metrics["baselines"]["majority"]["crop_in_box"]["accuracy"]["value"] == 1
    assert metrics["baselines"]["mean_box"]["field_at_point"]["acc_90"]["value"] == 1
    assert metrics["samples_per_second"] > 0
    chips = {row.id: row.chip for row in rows}
    for picks in metrics["examples"].values():
        for name in picks.values():
            assert Image.open(run / "evaluation" / "images" / f"{chips[name]}.png").size == (64, 64)


def test_second_evaluation_predicts_nothing_anew(run, monkeypatch):
    first = evaluate_run(recipe(run), run)
    monkeypatch.setattr("agrilape.evaluate.run.load_checkpoint", lambda _: pytest.fail("predicted again"))
    assert evaluate_run(recipe(run), run) == first


def test_a_suite_narrows_without_predicting_anew(run, tmp_path, monkeypatch):
    evaluate_run(recipe(run), run)
    path = tmp_path / "names.yaml"
    path.write_text("tasks: {crop_in_box: [macro_f1]}\nlimit: 3\nbreakdowns: [season]")
    monkeypatch.setattr("agrilape.evaluate.run.load_checkpoint", lambda _: pytest.fail("predicted again"))
    metrics = evaluate_run(recipe(run, suite=str(path)), run)
    assert (metrics["suite"], metrics["samples"]) == ("names", 3)
    assert list(metrics["tasks"]["crop_in_box"]) == ["macro_f1"]
    assert metrics["versus_baseline"]["crop_in_box"]["baseline"] in metrics["baselines"]
    assert list(metrics["by"]["season"]) == ["2021"]
    with pytest.raises(RecipeError, match="no samples of these tasks"):
        evaluate_run(recipe(run, tasks=["count"]), run)


def test_limit_and_a_changed_checkpoint_predict_anew(run):
    limited = recipe(run, limit=2)
    assert evaluate_run(limited, run)["samples"] == 6
    state = run / "evaluation" / "predictions.state.json"
    key = json.loads(state.read_text())["key"]
    os.utime(run / "stages" / "1-domain" / "lape.safetensors", (0, 0))
    evaluate_run(limited, run)
    assert json.loads(state.read_text())["key"] != key


def test_killed_evaluation_goes_on_where_it_stopped(run):
    """Killed for real once some rows are on disk; what was predicted by then is kept as it is."""
    path = run / "evaluation" / "predictions.jsonl"
    path.unlink(missing_ok=True)
    settings = recipe(run, batch_size=1)
    (run / "recipe.json").write_text(settings.model_dump_json())
    code = (
        "from pathlib import Path; from agrilape.config.recipe import Recipe\n"
        "from agrilape.evaluate import evaluate_run\n"
        "run = Path(__import__('sys').argv[1])\n"
        "evaluate_run(Recipe.model_validate_json((run / 'recipe.json').read_text()), run)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(run)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while (
        not (path.exists() and path.stat().st_size) and process.poll() is None and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {row["id"]: row for row in map(json.loads, whole_lines(path))}
    assert before
    evaluate_run(settings, run)
    after = {row["id"]: row for row in map(json.loads, whole_lines(path))}
    assert len(after) == 12
    assert {name: after[name] for name in before} == before


def whole_lines(path: Path):
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def test_run_without_a_trained_stage(run, tmp_path):
    with pytest.raises(RecipeError, match="no checkpoint"):
        evaluate_run(recipe(tmp_path), tmp_path)

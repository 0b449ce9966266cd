"""From a checkpoint and a prepared data set to metrics, with the small preset and random weights."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from transformers import LogitsProcessor

from agrilape.errors import RecipeError
from agrilape.evaluate import calibrator, evaluate_run, predict_samples
from agrilape.evaluate.calibration_run import calibrate_run
from agrilape.evaluate.calibrator import NAME, read_calibrator
from agrilape.evaluate.evaluation import image_free_answers
from agrilape.evaluate.inference import Answerer, Decoding
from agrilape.evaluate.predictions import read_rows
from agrilape.evaluate.probing.model_features import LAYERS
from agrilape.evaluate.probing.probe import probe_run
from agrilape.geo.shapes import Box
from agrilape.model import lape_of, load_checkpoint

from . import evaluate_case
from .evaluate_case import EXAMPLES, example, make_run, recipe, write_data

SHORT = Decoding(max_new_tokens=6)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


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


@pytest.mark.parametrize("done", [slice(None, None, 2), slice(16)])
def test_what_is_done_decides_neither_answers_nor_batches(run, monkeypatch, done):
    """Also of a checkpoint that never saw an image: the first features fix the scale of the injection."""
    answer, asked = Answerer.__call__, []

    def spy(answerer, batch):
        asked.append([sample.id for _, sample in batch])
        return answer(answerer, batch)

    monkeypatch.setattr(Answerer, "__call__", spy)
    fresh, resumed = (load_checkpoint(run / "stages" / "1-domain") for _ in range(2))
    whole = texts(fresh, 5)
    before, asked = asked, []
    finished = set(list(whole)[done])
    rest = texts(resumed, 5, done=finished)
    assert rest == {name: answer for name, answer in whole.items() if name not in finished}
    assert lape_of(resumed.model).unit == lape_of(fresh.model).unit
    assert all(batch in before for batch in asked)


def test_constrained_answers_are_well_formed(checkpoint):
    decoding = Decoding(max_new_tokens=12, constrained_decoding=True, soft_argmax=True)
    for rows in predict_samples(checkpoint, EXAMPLES, decoding=decoding):
        assert [row.problems for row in rows] == [()] * len(rows)


class Boxed(LogitsProcessor):
    """Leads a random model to write `[<WIDTH><HEIGHT><WIDTH><HEIGHT>]`, whichever tokens it likes there."""

    def __init__(self, tokenizer, ids, start):
        opening, closing = (tokenizer.convert_tokens_to_ids([text]) for text in "[]")
        self.steps = [
            opening,
            ids["width"][:9],
            ids["height"][:9],
            ids["width"][-9:],
            ids["height"][-9:],
            closing,
        ]
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
    decoding = Decoding(max_new_tokens=7, soft_argmax=True)
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
    assert metrics["informed_baselines"]["greenest_image"]["peak_of_season"]["days"]["n"] == 4
    assert metrics["informed_baselines"]["crop_calendar"]["peak_of_season"]["days"]["value"] == 0
    assert metrics["versus_informed"]["peak_of_season"]["baseline"] in metrics["informed_baselines"]
    assert metrics["samples_per_second"] > 0
    chips = {row.id: row.chip for row in rows}
    for picks in metrics["examples"].values():
        for name in picks.values():
            assert Image.open(run / "evaluation" / "images" / f"{chips[name]}.png").size == (64, 64)


def test_blind_guesses_are_learnt_from_the_train_split_alone(tmp_path, monkeypatch):
    """Where the test split grows something else, the most frequent answer of training is wrong there."""
    other = [
        replace(one, samples=tuple(replace(sample, answer=("oats",)) for sample in one.samples[1:2]))
        for one in EXAMPLES[4:]
    ]
    monkeypatch.setattr(evaluate_case, "EXAMPLES", [*EXAMPLES[:4], *other])
    evaluate_case.write_data(tmp_path)
    guesses, rivals = image_free_answers(recipe(tmp_path), tmp_path)
    assert [(row.answer, row.prediction) for row in guesses["majority"]] == [(("oats",), ("maize",))] * 4
    assert rivals["crop_in_box"] == "majority"


def test_second_evaluation_predicts_nothing_anew(run, monkeypatch):
    first = evaluate_run(recipe(run), run)
    monkeypatch.setattr("agrilape.evaluate.collect.load_checkpoint", lambda _: pytest.fail("predicted again"))
    assert evaluate_run(recipe(run), run) == first


def test_a_suite_narrows_without_predicting_anew(run, tmp_path, monkeypatch):
    evaluate_run(recipe(run), run)
    path = tmp_path / "names.yaml"
    path.write_text("tasks: {crop_in_box: [macro_f1]}\nlimit: 3\nbreakdowns: [season]")
    monkeypatch.setattr("agrilape.evaluate.collect.load_checkpoint", lambda _: pytest.fail("predicted again"))
    metrics = evaluate_run(recipe(run, suite=str(path)), run)
    assert (metrics["suite"], metrics["samples"]) == ("names", 3)
    assert list(metrics["tasks"]["crop_in_box"]) == ["macro_f1"]
    assert metrics["versus_baseline"]["crop_in_box"]["baseline"] in metrics["baselines"]
    assert list(metrics["by"]["season"]) == ["2021"]
    with pytest.raises(RecipeError, match="no samples of these tasks"):
        evaluate_run(recipe(run, tasks=["count"]), run)


@pytest.mark.parametrize("suite", [None, "quick"])
def test_a_misspelt_task_is_refused_also_beside_a_right_one(run, suite):
    with pytest.raises(
        RecipeError, match=r"evaluation.tasks .*'crop_inbox'(.|\n)*did you mean 'crop_in_box'"
    ):
        evaluate_run(recipe(run, tasks=["field_at_point", "crop_inbox"], suite=suite), run)


def test_limit_and_a_changed_checkpoint_predict_anew(run):
    limited = recipe(run, limit=2)
    assert evaluate_run(limited, run)["samples"] == 6
    state = run / "evaluation" / "predictions.state.json"
    key = json.loads(state.read_text())["key"]
    os.utime(run / "stages" / "1-domain" / "lape.safetensors", (0, 0))
    evaluate_run(limited, run)
    assert json.loads(state.read_text())["key"] != key


EVALUATE = """
import os, signal, sys
from pathlib import Path
from agrilape.config.recipe import Recipe
from agrilape.evaluate import evaluate_run
from agrilape.evaluate.journal import Journal
from agrilape.evaluate.inference import Decoding
Decoding.of = lambda settings: Decoding(max_new_tokens=6)
run, left, append = Path(sys.argv[1]), int(sys.argv[2]), Journal.append
def appended(journal, rows, seconds):
    global left
    append(journal, rows, seconds)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
Journal.append = appended
evaluate_run(Recipe.model_validate_json((run / "recipe.json").read_text()), run)
"""


def evaluate_in_processes(run, count, batches=0):
    """Exit codes of processes that evaluate a run, as `torchrun` starts them.

    Args:
        run: Run folder.
        count: How many.
        batches: After which each is killed as by `kill -9`; 0: never.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    crew = (
        {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)} if count > 1 else {}
    )
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {} for rank in range(count)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", EVALUATE, str(run), str(batches)],
            stderr=subprocess.DEVNULL,
            env=os.environ | crew | rank,
        )
        for rank in ranks
    ]
    return [process.wait(timeout=400) for process in processes]


def rows_on_disk(folder):
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in whole_lines(path)]
    return {row["id"]: row for row in map(json.loads, lines)}


@pytest.fixture
def untouched(run, tmp_path, monkeypatch):
    """A run that was not evaluated."""
    monkeypatch.setattr(Decoding, "of", lambda settings: Decoding(max_new_tokens=6))
    shutil.copytree(run / "stages", tmp_path / "stages")
    shutil.copytree(run / "data", tmp_path / "data")
    (tmp_path / "recipe.json").write_text(recipe(tmp_path, batch_size=3).model_dump_json())
    return tmp_path


@pytest.mark.timeout(900)  # processes start slowly on a busy machine
@pytest.mark.parametrize("count", [1, 2])
def test_killed_processes_go_on_and_make_the_same_file_as_one(untouched, count):
    """What was predicted before the kill is kept, and the rest is as it would have been."""
    folder = untouched / "evaluation"
    evaluate_run(recipe(untouched, batch_size=3), untouched)
    alone = (folder / "predictions.jsonl").read_bytes()
    scores = json.loads((folder / "metrics.json").read_text())
    shutil.rmtree(folder)
    assert evaluate_in_processes(untouched, count, batches=1) == [-signal.SIGKILL] * count
    before = rows_on_disk(folder)
    assert 0 < len(before) < 12
    if count == 1:
        evaluate_run(recipe(untouched, batch_size=3), untouched)
    else:
        assert evaluate_in_processes(untouched, count) == [0] * count
    assert (folder / "predictions.jsonl").read_bytes() == alone
    after = rows_on_disk(folder)
    assert {name: after[name] for name in before} == before
    assert not list(folder.glob("*.part-*"))
    again = json.loads((folder / "metrics.json").read_text())
    assert {**again, "samples_per_second": 0} == {**scores, "samples_per_second": 0}


def whole_lines(path: Path):
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def test_run_without_a_trained_stage(run, tmp_path):
    with pytest.raises(RecipeError, match="no checkpoint"):
        evaluate_run(recipe(tmp_path), tmp_path)


def test_a_run_is_calibrated_on_its_val_split(tmp_path, monkeypatch):
    monkeypatch.setattr(calibrator, "FEWEST", 5)
    run = make_run(tmp_path)
    asked = recipe(run, soft_argmax=True, batch_size=64)
    with pytest.raises(RecipeError, match="none of stills has a val split"):
        calibrate_run(asked, run)
    write_data(run, val=[example(number) for number in range(8, 16)])
    fitted = calibrate_run(asked, run)
    checkpoint = run / "stages" / "1-domain"
    assert read_calibrator(checkpoint) == fitted
    assert fitted.kinds["all"].answers >= 5
    before = evaluate_run(asked, run)
    assert before["confidence"]["calibrated"]
    (checkpoint / NAME).unlink()
    after = evaluate_run(asked, run)
    assert not after["confidence"]["calibrated"]
    speeds = [metrics["samples_per_second"] for metrics in (before, after)]
    assert speeds[0] == speeds[1]  # nothing was asked again: answers do not depend on the calibration


@pytest.mark.parametrize("several", [False, True], ids=["one tile", "tiles in turn"])
def test_questions_that_share_an_image_are_answered_as_each_by_itself(checkpoint, several):
    """Also of images with unequal numbers of tokens before the question, and whatever the order."""
    decoding = Decoding(max_new_tokens=8, soft_argmax=True, constrained_decoding=True)
    answerer = Answerer(checkpoint, decoding)
    chips = EXAMPLES[:4] if several else EXAMPLES[:1]
    asked = [(chip, chip.samples[number]) for number in range(3) for chip in chips]
    together = answerer(asked)
    for one, (chip, sample) in zip(together, asked, strict=True):
        (alone,) = answerer([(chip, sample)])
        assert one.text == alone.text
        assert one.confidence == pytest.approx(alone.confidence, abs=2e-4)


def test_a_run_is_probed(tmp_path, monkeypatch):
    """Random weights and noise: what the questions hold is read; a peak that never varies is not."""
    series = [repeated(evaluate_case.example(3 * number), number) for number in range(8)]
    monkeypatch.setattr(evaluate_case, "EXAMPLES", series)
    make_run(tmp_path)
    found = probe_run(recipe(tmp_path), tmp_path)
    assert found["measures"] == {"greenness": "explained", "crop": "accuracy"}
    assert found == json.loads((tmp_path / "probe.json").read_text())
    assert set(found["scores"]) == {"no features", "shown colours", *LAYERS}
    assert found["scores"]["no features"]["greenness"]["value"] == 0
    assert found["scores"]["vision tower"]["crop"]["n"] == 32
    assert set(found["versus_tower"][LAYERS[-1]]) == set(found["measures"])
    with pytest.raises(RecipeError, match="fewer than 20 questions"):
        probe_run(recipe(tmp_path), tmp_path, limit=2)


def repeated(example, number):
    """The questions of a chip four times, about one of two crops."""
    crop = {"crop": ("maize", "oats")[number % 2]}
    samples = [replace(one, id=f"{one.id}-{i}", truth=crop) for i in range(4) for one in example.samples]
    return replace(example, samples=tuple(samples))

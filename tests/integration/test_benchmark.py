"""The benchmark of LAPE's cost compares like with like, and writes what it measured."""

import json
import sys
from argparse import Namespace

import pytest
import torch
from tests.benchmarks import load


@pytest.fixture(scope="module")
def benchmark():
    return load("lape")


@pytest.fixture(scope="module")
def options():
    return Namespace(vocab=2000, hidden=128, layers=1, device="cpu", dtype="float32", rounds=1)


def test_cases_share_weights_and_compute_one_function(benchmark, options):
    torch.manual_seed(0)
    models = benchmark.build(options, *benchmark.CASES)
    heads = {model.get_output_embeddings().weight.data_ptr() for model in models.values()}
    assert len(heads) == 1
    assert benchmark.difference(models["agrilape"], models["concatenation"], options) < 1e-5
    assert benchmark.difference(models["base"], models["agrilape"], options) > 1e-3


def test_all_passes_are_timed_and_leave_the_models_alone(benchmark, options):
    models = benchmark.build(options, *benchmark.CASES)
    before = [parameter.clone() for parameter in models["agrilape"].parameters()]
    seconds = benchmark.time_all(models, options)
    assert set(seconds) == {*benchmark.PASSES, "loss"}
    assert all(min(times) > 0 for cases in seconds.values() for times in cases.values())
    assert all(map(torch.equal, before, models["agrilape"].parameters()))


@pytest.mark.parametrize(
    ("ours", "theirs", "kept"),
    [(104, 150, True), (106, 200, False), (104, 139, False), (90, 111, True), (90, 109, False)],
)
def test_a_row_passes_only_if_it_keeps_both_targets(benchmark, ours, theirs, kept):
    target = benchmark.Target(times_less=10, least=1.0, share=0.05)
    row = benchmark._row("decode, ms", {"base": 100, "agrilape": ours, "concatenation": theirs}, 1, target)
    assert ("PASS" in row, "MISS" in row) == (kept, not kept)


def test_one_command_measures_prints_and_writes(benchmark, tmp_path, monkeypatch, capsys):
    page, numbers = tmp_path / "page.md", tmp_path / "numbers.json"
    page.write_text("# Benchmarks\n\nKept.\n")
    small = ["--vocab", "2000", "--hidden", "128", "--layers", "1", "--rounds", "1"]
    monkeypatch.setattr(
        sys, "argv", [benchmark.__file__, *small, "--json", str(numbers), "--write", str(page)]
    )
    benchmark.main()
    load("page").write_section(page, "lape-cpu", "measured again")  # what every benchmark writes with
    printed = capsys.readouterr().out
    assert printed.count("| prefill") == printed.count("| train") == 2
    assert printed.count("PASS") + printed.count("MISS") == 7
    assert set(json.loads(numbers.read_text())["mebibytes"]["train"]) == set(benchmark.CASES)
    assert page.read_text().count("<!-- lape-cpu -->") == 1
    assert "Kept." in page.read_text()
    assert "measured again" in page.read_text()


def test_training_is_timed_with_and_without_lape_and_checkpoints_are_weighed(tmp_path, monkeypatch, capsys):
    benchmark, page, numbers = load("train"), tmp_path / "page.md", tmp_path / "numbers.json"
    small = ["--scenes", "2", "--size", "256", "--batch", "4", "--batches", "2", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", ["train.py", *small, "--json", str(numbers), "--write", str(page)])
    threads = torch.get_num_threads()
    benchmark.main()
    torch.set_num_threads(threads)
    result = json.loads(numbers.read_text())
    assert {name: len(values) for name, values in result["seconds"].items()} == {
        "load": 2, "without LAPE": 2, "with LAPE": 2,
    }  # fmt: skip
    assert 0 < result["checkpoints"]["7B"]["adapter"] < 0.02 * result["checkpoints"]["7B"]["whole"]
    assert result["checkpoints"]["nano"]["adapter"] < result["checkpoints"]["nano"]["whole"]
    assert "| checkpoint with LoRA and LAPE, 7B |" in page.read_text()
    assert page.read_text().count("PASS") + page.read_text().count("MISS") == 3
    assert "<!-- train-cpu -->" in page.read_text()

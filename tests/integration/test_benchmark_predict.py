"""The benchmark of prediction compares like with like, and writes what it measured."""

import json
import sys

import pytest
from tests.benchmarks import load


@pytest.fixture
def benchmark():
    return load("predict")


def test_one_command_measures_prints_and_writes(benchmark, tmp_path, monkeypatch, capsys):
    page, numbers = tmp_path / "page.md", tmp_path / "numbers.json"
    page.write_text("# Benchmarks\n\nKept.\n")
    small = ["--questions", "5", "--batch", "3", "--tokens", "3", "--boxes", "80", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", ["predict.py", *small, "--json", str(numbers), "--write", str(page)])
    benchmark.main()
    printed = capsys.readouterr().out
    assert "| batched |" in printed
    assert printed.count("PASS") + printed.count("MISS") == 7
    measured = json.loads(numbers.read_text())
    assert all(rate > 0 for rates in measured["generation"].values() for rate in rates)
    assert len(measured["scoring"]) == 5
    assert page.read_text().count("<!-- predict -->") == 1
    assert "Kept." in page.read_text()


def test_batches_that_answer_otherwise_are_not_timed(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark, "nano", lambda: None)
    monkeypatch.setattr(benchmark, "answer", lambda model, examples, batch, tokens: (1.0, {"a": str(batch)}))
    options = type("Options", (), {"questions": 2, "batch": 2, "tokens": 1, "rounds": 1})
    with pytest.raises(AssertionError, match="otherwise"):
        benchmark.time_generation(options)

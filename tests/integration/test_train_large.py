"""The benchmark of 7B models, on narrow ones, and what a dry run says of the true ones."""

import json
import sys
from pathlib import Path

from tests.benchmarks import load


def test_one_command_measures_every_way_to_train_and_writes(tmp_path, monkeypatch, capsys) -> None:
    benchmark, page, numbers = load("train"), tmp_path / "page.md", tmp_path / "numbers.json"
    given = ["--config", "qwen2_5_vl_7b", "--tiny", "--strict", "--rounds", "1"]
    monkeypatch.setattr(
        sys, "argv", [benchmark.__file__, *given, "--json", str(numbers), "--write", str(page)]
    )
    monkeypatch.syspath_prepend(str(Path(benchmark.__file__).parent))
    benchmark.main()
    cases = json.loads(numbers.read_text())["cases"]
    assert list(cases) == ["LoRA", "QLoRA in 24 GB", "projector", "all weights"]
    for name, case in cases.items():
        assert case["questions"] == 8 * (2 if "QLoRA" in name else 4), name
        assert ("operations" in case) == ("QLoRA" not in name)
        assert case.get("operations", 10**7) > 10**6
        assert len(case["seconds"]) == 1
        assert name in page.read_text()
    assert "LAPE on over off" in capsys.readouterr().out

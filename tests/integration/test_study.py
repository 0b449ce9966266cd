"""Studies, really run: what is left behind, what is made once, and that nothing can be lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from study_case import BROKEN, RANDOM, SMOOTH, InProcess, make_study

from agrilape.errors import DataError
from agrilape.evaluate.inference import Decoding
from agrilape.report.study import write_study_markdown, write_study_report
from agrilape.report.study.effects import compare_variants
from agrilape.report.study.study_files import read_study
from agrilape.study.results import read_record
from agrilape.study.runner import run_study, startable_runs
from agrilape.study.single_run import run_one
from agrilape.study.study_folder import Study

pytestmark = pytest.mark.timeout(280)
VARIANTS = (RANDOM, SMOOTH, BROKEN)
TIMES = ("seconds", "evaluation_seconds")


@pytest.fixture(scope="module", autouse=True)
def _quick(one_thread):
    """Short answers: a model that has learnt nothing never stops by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decoding, "of", lambda settings: Decoding(max_new_tokens=8))
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Study, dict[str, str]]:
    """A study of two good variants and one that fails, with why it did."""
    study = make_study(tmp_path_factory.mktemp("study"), VARIANTS)
    return study, run_study(study, InProcess())


def results(study: Study) -> dict[str, dict]:
    paths = sorted((study.output / "results").glob("*/*.json"))
    return {f"{path.parent.name}-{path.stem}": json.loads(path.read_text()) for path in paths}


def without_times(record: dict) -> dict:
    """A record without what the clock says."""
    text = json.dumps(record, sort_keys=True)
    return json.loads(
        text, object_hook=lambda item: {key: value for key, value in item.items() if key not in TIMES}
    )


def test_a_failing_variant_sinks_nothing_and_is_listed_with_its_log(finished) -> None:
    study, failed = finished
    assert set(results(study)) == {"random-0", "random-1", "smooth-0", "smooth-1", "blind-0", "blind-1"}
    assert set(failed) == {"broken-0", "broken-1"}
    assert "count" in failed["broken-0"]
    assert str(study.log_of(study.test_runs()[2])) in failed["broken-0"]
    assert json.loads((study.output / "study.json").read_text())["failed"] == failed


def test_a_stage_that_variants_share_is_trained_once_per_seed(finished) -> None:
    study, _ = finished
    cached = [path.parent for path in (study.work / "stages").glob("*/stage.json")]
    assert len(cached) == 2
    found = results(study)
    first = {name: found[name]["stages"][0] for name in found if not name.startswith("blind")}
    assert first["random-0"] == first["smooth-0"], "even its speed is that of the one training"
    assert first["random-0"]["log"] != first["random-1"]["log"]
    assert found["random-0"]["stages"][1]["log"] != found["smooth-0"]["stages"][1]["log"]


def test_a_record_holds_what_a_study_is_judged_by(finished) -> None:
    study, _ = finished
    record = results(study)["smooth-0"]
    metrics = json.loads((study.run_folder(study.test_runs()[1]) / "evaluation/metrics.json").read_text())
    for task, scored in record["scores"]["tasks"].items():
        for name, value in scored["values"].items():
            assert value == pytest.approx(metrics["tasks"][task][name]["value"], rel=1e-4, abs=1e-9)
    box = record["scores"]["tasks"]["crop_box"]["sums"][0]
    assert len(box["sums"]) == len(box["scenes"]) == 1
    assert record["stages"][0]["curve"] == {}
    assert record["stages"][1]["curve"]["step"] == [2, 4]
    assert record["parameters"]["lape"] > 0
    assert record["stages"][1]["stability"]["steps"] == 4
    assert (study.output / "results/smooth/0.json").stat().st_size < 10_000


def test_a_finished_study_is_not_run_again_but_a_changed_variant_is(finished) -> None:
    study, _ = finished
    again = InProcess()
    run_study(study, again)
    assert again.started == ["broken-0", "broken-1"]
    changed = {**SMOOTH, "set": {"lape.initialisation": "smooth", "lape.ntp": "value"}}
    folder = Path(study.path).parent
    text = Path(study.path).read_text()
    try:
        other = make_study(folder, (RANDOM, changed, BROKEN))
        assert [run.name for run in startable_runs(other)] == ["smooth-0", "broken-0", "smooth-1", "broken-1"]
    finally:
        Path(study.path).write_text(text)


def test_results_of_other_code_count_only_when_asked_for(finished, monkeypatch) -> None:
    study, _ = finished
    monkeypatch.setattr("agrilape.study.study_folder.code_key", lambda parts: "other")
    assert len(startable_runs(study)) == 6
    assert len(startable_runs(Study.open(study.path, study.output, study.work, any_code=True))) == 2


def test_looking_while_training_changes_nothing(finished, tmp_path) -> None:
    study, _ = finished
    plain = make_study(tmp_path, (SMOOTH,), curve=None, seeds={"values": [0]})
    record = json.loads(run_one(plain, plain.test_runs()[0]).read_text())
    seen = results(study)["smooth-0"]
    for ours, theirs in zip(record["stages"], seen["stages"], strict=True):
        assert ours["log"] == theirs["log"]
    assert record["scores"] == seen["scores"]


def test_an_interrupted_run_ends_as_if_nothing_had_happened(finished, tmp_path, monkeypatch) -> None:
    study, _ = finished
    alone = make_study(tmp_path, (SMOOTH,), seeds={"values": [0]})
    run = alone.test_runs()[0]
    step, left = torch.optim.AdamW.step, [7]

    def failing(self, *args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", failing)
        with pytest.raises(KeyboardInterrupt):
            run_one(alone, run)
    assert not (alone.output / run.file).exists()
    record = json.loads(run_one(alone, run).read_text())
    ours, theirs = without_times(record), without_times(results(study)["smooth-0"])
    assert ours == theirs


def test_a_study_killed_with_its_machine_goes_on(finished, tmp_path) -> None:
    """The real thing: processes of their own, killed without warning; none is left, and the rest is done."""
    study = make_study(tmp_path, (RANDOM,), seeds={"values": [0, 1]})
    command = [sys.executable, "-m", "agrilape", "-q", "ablate", study.path, "--output", str(study.output)]
    process = subprocess.Popen(
        [*command, "--work", str(study.work)], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    first = study.output / "results/random/0.json"
    deadline = time.monotonic() + 200
    while not first.exists():
        assert process.poll() is None, "it ended before its first result"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    written = first.read_text()
    rest = InProcess()
    assert run_study(study, rest) == {}
    assert "random-0" not in rest.started
    assert first.read_text() == written
    assert read_record(study.output / "results/random/1.json") is not None


def test_another_baseline_turns_the_comparison_round(finished) -> None:
    study, _ = finished
    ours = compare_variants(read_study(study.output))[0]
    theirs = compare_variants(read_study(study.output, "smooth"))[0]
    gains = [
        next(effect.gain.value for effect in one.effects if effect.variant == name)
        for one, name in ((ours, "smooth"), (theirs, "random"))
    ]
    assert gains[0] == pytest.approx(-gains[1])
    assert theirs.baseline.variant == "smooth"
    decided = {effect.variant for outcome in ("better", "worse") for effect in theirs.decided(outcome)}
    assert decided == {
        e.variant for e in theirs.effects if e.outcome in ("better", "worse") and e.variant != "blind"
    }
    with pytest.raises(DataError, match="no variant 'smoth'"):
        read_study(study.output, "smoth")


@pytest.mark.slow
def test_the_published_evidence_is_what_its_files_say(tmp_path: Path) -> None:
    root = Path(__file__).parents[2] / "docs"
    folders = [root / "studies" / name for name in ("headline", "smollm2", "real", "smollm2_real", "choices")]
    written = write_study_markdown(folders, tmp_path / "evidence.md")
    assert written.read_text() == (root / "evidence.md").read_text(), "make it again: see docs/studies.md"


def test_the_page_and_the_markdown_say_every_variant(finished) -> None:
    study, _ = finished
    page = write_study_report([study.output]).read_text()
    text = write_study_markdown([study.output]).read_text()
    for found in (page, text):
        assert all(
            word in found for word in ("random", "smooth", "image-free", "broken-0", "2 seeds", "detectable")
        )
    assert "http" not in page.replace("http-equiv", "")
    assert page.count('<img src="data:image/svg+xml') >= 3


def test_the_page_says_which_candidates_were_not_run_again(finished, tmp_path: Path) -> None:
    study, _ = finished
    shutil.copytree(study.output, tmp_path / "study")
    file = tmp_path / "study/study.json"
    record = json.loads(file.read_text())
    slow, fast = ({"stages.*.learning_rates": factor} for factor in (0.5, 1.0))
    named = [variant["name"] for variant in record["variants"]]
    record["plan"]["tune"] = {"on": "crop_box.miou", "seeds": [9], "chosen": dict.fromkeys(named, fast)}
    for variant in record["variants"]:
        variant |= {"chosen": fast, "tuning": [[slow, None], [fast, None]]}
    file.write_text(json.dumps(record))
    page = write_study_report([tmp_path / "study"]).read_text()
    assert page.count("not run again (chosen)") == page.count("<td>not run again</td>") == len(named)

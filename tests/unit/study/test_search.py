"""A search, with runs that are made up: their score is known from what they try."""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("optuna")
sys.path.insert(0, str(Path(__file__).parents[2] / "integration"))
from study_case import SMOOTH, make_study

from agrilape.study import search as module
from agrilape.study.content_keys import MAKES_RUNS, code_key
from agrilape.study.results import FORMAT, write_record
from agrilape.study.run_recipes import Run
from agrilape.study.scheduler import Schedule
from agrilape.study.study_folder import Study

RATE, TARGETS = "lape.injection_rms", "loss.targets"
SEARCH = {
    "parameters": {RATE: {"low": 0.01, "high": 1.0, "log": True}, TARGETS: ["hard", "two_hot"]},
    "trials": 12, "on": "crop_box.miou",
}  # fmt: skip


def score(settling: dict) -> float:
    return 1 - abs(settling[RATE] - 0.2) - 0.3 * (settling[TARGETS] == "hard")


class MadeUp:
    """Writes the result of a trial at once; may be cut off, as a killed search is."""

    slots = 1

    def __init__(self, study: Study, cut_after: int = 1000) -> None:
        self.study, self.left, self.started = study, cut_after, []

    def start(self, command, log, slot):
        number = int(command[command.index("--trial") + 1])
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        self.started.append(number)
        run = Run("smooth", 0, "search", number)
        values = {"miou": score(self.study.trial("smooth", number))}
        record = {"format": FORMAT, "code": code_key(MAKES_RUNS), "key": "", "seed": 0}
        write_record(
            self.study.output / run.file, {**record, "scores": {"tasks": {"crop_box": {"values": values}}}}
        )
        return Ended()

    def close(self):
        pass


class Ended:
    def poll(self):
        return 0

    def kill(self):
        pass


def test_a_killed_search_goes_on_and_its_best_settings_are_what_is_tested(tmp_path):
    study = make_study(tmp_path, (SMOOTH,), search=SEARCH, curve=None)
    first = MadeUp(study, cut_after=5)
    with pytest.raises(KeyboardInterrupt):
        module.search(Schedule(study, first))
    second = MadeUp(study)
    module.search(Schedule(study, second))
    assert first.started + second.started == list(range(12)), "the trial that was cut off is taken up again"
    tried = json.loads((study.output / "search/smooth/trials.json").read_text())
    best = max(tried.values(), key=score)
    assert study.chosen() == {"smooth": best}
    assert {run.seed: run.chosen for run in study.test_runs()} == {0: best, 1: best}
    third = MadeUp(study)
    module.search(Schedule(study, third))
    assert third.started == []


class Slow(MadeUp):
    """Trials that take time; those with the wrong targets lag behind, and never end by themselves."""

    def start(self, command, log, slot):
        number = int(command[command.index("--trial") + 1])
        settling = self.study.trial("smooth", number)
        level = 2.0 if settling[TARGETS] == "two_hot" else 5.0
        folder = self.study.run_folder(Run("smooth", 0, "search", number)) / "stages/1-warm"
        folder.mkdir(parents=True)
        rows = [
            json.dumps({"step": step, "loss": 9.0, "loss_width": level + 1 / step}) for step in range(1, 101)
        ]
        (folder / "log.jsonl").write_text("\n".join(rows) + "\n")
        if level == 2.0 or number < module.FIRST_FULL:
            return super().start(command, log, slot)
        return Endless()


class Endless:
    status = None

    def poll(self):
        return self.status

    def kill(self):
        self.status = -9


def test_trials_whose_position_loss_lags_behind_are_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    study = make_study(tmp_path, (SMOOTH,), search={**SEARCH, "sampler": "random"}, curve=None)
    schedule = Schedule(study, Slow(study))
    module.search(schedule)
    tried = json.loads((study.output / "search/smooth/trials.json").read_text())
    wrong = {f"smooth-search{n}-0" for n, one in tried.items() if one[TARGETS] == "hard" and int(n) >= 4}
    assert wrong
    assert schedule.stopped == wrong
    assert schedule.failed == {}

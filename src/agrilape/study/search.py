"""A search by Optuna: each trial is a run on the val split, and one that lags behind is stopped.

The search is kept in a journal beside the runs, so that a killed one goes on: its finished trials count, and
those that were under way are taken up again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from agrilape.console import progress, say
from agrilape.errors import RecipeError
from agrilape.study.plan import Range, Search, SettingValues
from agrilape.study.results import position_loss, read_record, score_of, write_record
from agrilape.study.run_recipes import Run
from agrilape.study.scheduler import Schedule
from agrilape.study.study_folder import BEST, TRIALS, Study, sign_of
from agrilape.train.log import read_rows

LOOK_S = 2.0
"""Seconds between looks at the losses of a trial."""
WINDOW = 10
"""Steps whose mean loss is compared with that of other trials."""
FIRST_FULL = 4
"""Trials that are never stopped, and so give the others something to be compared with."""


def search(schedule: Schedule) -> None:
    """Search the best settings of every variant of a plan, and write them to `search/<variant>/best.json`.

    Args:
        schedule: Of the study; told of trials that fail.

    Raises:
        RecipeError: Optuna is not installed.
    """
    for variant in schedule.study.plan.all_variants():
        _Searcher(schedule, variant.name).run()


@dataclass
class _Searcher:
    """The search of one variant."""

    schedule: Schedule
    variant: str
    _trials: dict[int, Any] = field(default_factory=dict)
    _settings: dict[str, SettingValues] = field(default_factory=dict)
    _looked: dict[int, tuple[float, int]] = field(default_factory=dict)

    @property
    def study(self) -> Study:
        return self.schedule.study

    @property
    def asked(self) -> Search:
        assert self.study.plan.search is not None
        return self.study.plan.search

    def run(self) -> None:
        """Do the trials that are missing, and note the best settings of all."""
        self._journal = _open(self.study, self.variant)
        folder = self.study.output / "search" / self.variant
        self._settings = dict(read_record(folder / TRIALS) or {})
        interrupted = [trial for trial in self._journal.get_trials() if trial.state.name == "RUNNING"]
        first = [self._again(trial) for trial in interrupted]
        first += [run for _ in range(self.schedule.launcher.slots - len(first)) if (run := self._next())]
        if first:
            with progress(f"search {self.variant}", self._missing() + len(first), "trials") as track:
                self.schedule.work_off(first, track, self._is_hopeless, self._conclude)
        if any(trial.value is not None for trial in self._journal.get_trials()):
            best = self._journal.best_trial
            value = sign_of(self.asked.on) * best.value
            say(f"search {self.variant}: {self.asked.on} is {value:.4g} at best, with {best.params}")
            write_record(folder / BEST, dict(best.params))

    def _missing(self) -> int:
        return max(0, self.asked.trials - len(self._journal.get_trials()))

    def _next(self) -> Run | None:
        """A new trial, if there are to be more."""
        if not self._missing():
            return None
        trial = self._journal.ask()
        settling = {key: _suggest(trial, key, values) for key, values in self.asked.parameters.items()}
        return self._begin(trial, settling)

    def _again(self, frozen: Any) -> Run:
        """A trial that was under way when the search was killed."""
        import optuna

        trial = optuna.trial.Trial(self._journal, frozen._trial_id)
        return self._begin(trial, dict(frozen.params))

    def _begin(self, trial: Any, settling: SettingValues) -> Run:
        self._trials[trial.number] = trial
        self._settings[str(trial.number)] = settling
        write_record(self.study.output / "search" / self.variant / TRIALS, self._settings)
        return Run(self.variant, self.asked.seed, "search", trial.number, settling)

    def _is_hopeless(self, run: Run) -> bool:
        """Tell Optuna the trial's latest losses; does it say that the trial lags behind?"""
        if not self.asked.prune:
            return False
        if time.monotonic() - self._looked.get(run.number, (0.0, 0))[0] < LOOK_S:
            return False
        self._report(run)
        return bool(self._trials[run.number].should_prune())

    def _report(self, run: Run) -> None:
        """Tell Optuna the losses since the last look, as means over a few steps."""
        _, step = self._looked.get(run.number, (0.0, 0))
        losses = _losses(self.study, run)
        for end in range(step + WINDOW, len(losses) + 1, WINDOW):
            self._trials[run.number].report(-sum(losses[end - WINDOW : end]) / WINDOW, end)
            step = end
        self._looked[run.number] = (time.monotonic(), step)

    def _conclude(self, run: Run) -> Run | None:
        """Tell Optuna how a trial ended; returns the next one."""
        from optuna.trial import TrialState

        trial = self._trials[run.number]
        self._report(run)  # a short trial may have ended between two looks, and others are measured by it
        record = read_record(self.study.output / run.file)
        score = score_of(record, self.asked.on) if record else None
        if score is not None:
            self._journal.tell(trial, sign_of(self.asked.on) * score)
        elif run.name in self.schedule.stopped:
            self._journal.tell(trial, state=TrialState.PRUNED)
        else:
            self._journal.tell(trial, state=TrialState.FAIL)
        return self._next()


def _losses(study: Study, run: Run) -> list[float]:
    """Position loss of the steps of a run so far, over all stages; the whole loss where it has none."""
    folders = sorted(
        (study.run_folder(run) / "stages").glob("*-*"), key=lambda path: int(path.name.split("-")[0])
    )
    rows = [row for folder in folders for row in read_rows(folder / "log.jsonl")]
    positions = [loss for row in rows if (loss := position_loss(row)) is not None]
    return positions or [float(row["loss"]) for row in rows]


def _suggest(trial: Any, key: str, values: Any) -> Any:
    if isinstance(values, Range):
        return trial.suggest_float(key, values.low, values.high, log=values.log)
    return trial.suggest_categorical(key, list(values))


def _open(study: Study, variant: str) -> Any:
    """The Optuna study of a variant, with its journal."""
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise RecipeError("a search needs Optuna", "pip install agrilape[search]") from error
    asked = study.plan.search
    assert asked is not None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = study.work / "search"
    folder.mkdir(parents=True, exist_ok=True)
    sampler = (
        optuna.samplers.TPESampler(seed=asked.seed, constant_liar=True)  # trials run side by side
        if asked.sampler == "tpe"
        else optuna.samplers.RandomSampler(seed=asked.seed)
    )
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / f"{study.plan.name}-{variant}.journal"))),
        study_name=f"{study.plan.name}-{variant}",
        sampler=sampler,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=FIRST_FULL, n_warmup_steps=2 * WINDOW),
        direction="maximize",
        load_if_exists=True,
    )

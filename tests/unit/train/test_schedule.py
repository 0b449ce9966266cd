"""Schedules against their formulas, step by step."""

import itertools
import math

import pytest

from agrilape.config.recipe import LapeSchedule, LearningRates, MixtureEntry, StageConfig
from agrilape.train.schedule import factor_of, gate_factor, lape_factor, main_factor

STEPS, WARMUP, LAPE_WARMUP = 100, 10, 40


def stage(**schedule) -> StageConfig:
    return StageConfig(
        name="warm",
        enable_lape=True,
        learning_rates=LearningRates(lape=1e-3),
        mixture={"all": MixtureEntry(weight=1, datasets=("d",))},
        steps=STEPS,
        warmup_steps=WARMUP,
        lape_schedule=LapeSchedule(lape_warmup_steps=LAPE_WARMUP, **schedule),
    )


def test_stepped_is_the_published_formula_with_its_jump() -> None:
    config = stage(schedule="stepped", lape_lr_multiplier=0.5)
    for step in range(STEPS):
        wanted = 0.1 * step / LAPE_WARMUP if step < LAPE_WARMUP else 0.5
        assert lape_factor(step, config) == wanted
    assert lape_factor(LAPE_WARMUP - 1, config) < 0.1
    assert lape_factor(LAPE_WARMUP, config) == 0.5


def test_continuous_rises_to_the_multiplier_and_then_decays_without_a_jump() -> None:
    config = stage(schedule="continuous", lape_lr_multiplier=0.5)
    factors = [lape_factor(step, config) for step in range(STEPS + 1)]
    assert factors[0] == 0
    assert factors[LAPE_WARMUP] == max(factors) == 0.5
    assert factors[-1] == pytest.approx(0, abs=1e-12)
    assert max(abs(b - a) for a, b in itertools.pairwise(factors)) < 0.02
    for step in range(LAPE_WARMUP, STEPS):
        progress = (step - LAPE_WARMUP) / (STEPS - LAPE_WARMUP)
        assert factors[step] == pytest.approx(0.25 * (1 + math.cos(math.pi * progress)))


def test_same_follows_the_main_schedule_at_the_multipliers_share() -> None:
    config = stage(schedule="same", lape_lr_multiplier=0.25)
    main = factor_of("llm", config)
    assert [factor_of("lape", config)(s) for s in range(STEPS)] == [0.25 * main(s) for s in range(STEPS)]


@pytest.mark.parametrize("decay", ["cosine", "linear", "constant"])
def test_main_schedule(decay) -> None:
    for step in range(STEPS + 5):
        progress = min((step - WARMUP) / (STEPS - WARMUP), 1)
        after = {"cosine": (1 + math.cos(math.pi * progress)) / 2, "linear": 1 - progress, "constant": 1.0}
        wanted = step / WARMUP if step < WARMUP else after[decay]
        assert main_factor(step, WARMUP, STEPS, decay) == pytest.approx(wanted)


def test_no_warmup_starts_at_the_peak() -> None:
    assert main_factor(0, 0, STEPS, "cosine") == 1


def test_gate_opens_over_the_warmup() -> None:
    for step in range(STEPS):
        share = min(step / LAPE_WARMUP, 1)
        assert gate_factor(step, stage(gate="off").lape_schedule) == 1
        assert gate_factor(step, stage(gate="linear").lape_schedule) == pytest.approx(share)
        wanted = (1 - math.cos(math.pi * share)) / 2
        assert gate_factor(step, stage(gate="cosine").lape_schedule) == pytest.approx(wanted)

import math
import random

import pytest

from agrilape.train.stability import advice, measure, spikes


def rows(losses, **columns):
    return [
        {"step": i + 1, "loss": x, "grad_norm": 1.0, **{k: v[i] for k, v in columns.items()}}
        for i, x in enumerate(losses)
    ]


def falling(n=200):
    return [math.exp(-i / 60) + 0.02 * math.sin(7 * i) for i in range(n)]


def test_a_smooth_descent_has_no_spikes_and_planted_ones_are_found() -> None:
    losses = falling()
    assert spikes(losses) == []
    losses[90] += 3
    losses[150] += 3
    assert spikes(losses) == [90, 150]


def test_measures_name_steps_and_the_jump_at_the_switch() -> None:
    before, losses = rows([1.0] * 60), falling()
    losses[120] += 5
    result = measure(rows(losses), before)
    assert result["loss"]["spikes"] == [121]
    assert result["switch"]["before"] == 1.0
    assert result["switch"]["jump"] == result["switch"]["after"] - 1.0
    assert result["grad_norm"]["spread"] == 1.0
    assert measure(rows(losses))["switch"] is None


def test_advice_when_positions_never_learn_and_when_text_is_crowded_out() -> None:
    n = 100
    stuck = rows(falling(n), coordinate_error=[30.0] * n, loss_text=[1.0] * n)
    assert ["hardly learn" in s for s in advice(stuck)] == [True]
    crowded = rows(
        falling(n),
        coordinate_error=[30.0 - 0.25 * i for i in range(n)],
        loss_text=[1 + 0.01 * i for i in range(n)],
    )
    assert ["crowd out" in s for s in advice(crowded)] == [True]
    well = rows(
        falling(n),
        coordinate_error=[30.0 - 0.25 * i for i in range(n)],
        loss_text=[2 - 0.01 * i for i in range(n)],
    )
    assert advice(well) == []


@pytest.mark.parametrize("seed", range(40))
def test_a_text_loss_that_only_scatters_crowds_nothing_out(seed) -> None:
    """As where hardly anything trains: few text tokens a step, some hard and some easy."""
    rng = random.Random(seed)
    n = 2000
    falls = [30.0 - 0.01 * i for i in range(n)]
    scattered = rows(
        falling(n), coordinate_error=falls, loss_text=[rng.choice((4.0, 11.0)) for _ in range(n)]
    )
    rare = rows(falling(n), coordinate_error=falls, loss_text=[4.0 * (rng.random() < 0.1) for _ in range(n)])
    assert advice(scattered) == advice(rare) == []


def test_a_gate_that_opens_is_not_blamed_on_position_tokens() -> None:
    """The injection disturbs a model that cannot adapt; once it is whole, the text loss stays."""
    n = 200
    gate = [min(1.0, i / 60) for i in range(n)]
    falls = [30.0 - 0.1 * i for i in range(n)]
    disturbed = rows(falling(n), coordinate_error=falls, gate=gate, loss_text=[0.3 + 0.5 * g for g in gate])
    assert advice(disturbed) == []
    risen = [0.3 + 0.5 * g + 0.01 * max(0, i - 60) for i, g in enumerate(gate)]
    crowded = rows(falling(n), coordinate_error=falls, gate=gate, loss_text=risen)
    assert ["crowd out" in s for s in advice(crowded)] == [True]


def test_data_that_were_not_used_are_counted_and_said():
    logged = rows([1.0] * 3)
    logged[1] |= {"left_out": 2, "too_long": 5}
    logged[2] |= {"left_out": 1, "too_long": 0}
    result = measure(logged)
    assert (result["left_out"], result["too_long"]) == (3, 5)
    assert [sentence.split()[0] for sentence in result["advice"]] == ["3", "5"]
    assert measure(rows([1.0] * 3))["advice"] == []

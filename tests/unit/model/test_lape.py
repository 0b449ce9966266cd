import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agrilape.config.lape import AXES, LapeConfig
from agrilape.errors import ModelError
from agrilape.model import Lape
from agrilape.model.footprint import footprint, two_hot
from agrilape.model.gradients import GradientRecord
from agrilape.model.propagation import propagate, propagation_matrix

IDS = {"height": (9, 4, 30), "width": (2, 17, 5), "temporal": (21, 20)}


def make(tied=False, **settings):
    torch.manual_seed(0)
    settings = {"token_ids": IDS, **settings}
    lape = Lape(LapeConfig(num_spatial_tokens=3, num_temporal_tokens=2, **settings), 6, tied)
    for parameter in lape.parameters():
        torch.nn.init.normal_(parameter)
    return lape


@given(
    start=st.floats(0, 1), end=st.floats(0, 1), bins=st.integers(2, 200)
)  # fmt: skip
def test_a_footprint_is_the_mean_of_interpolation_over_its_length(start, end, bins):
    start, end = sorted((start, end))
    weights = footprint(torch.tensor([start]), torch.tensor([end]), bins)[0]
    points = torch.linspace(start, end, 20001)
    expected = two_hot(points, bins).mean(0)
    assert weights.sum().item() == pytest.approx(1, abs=1e-4)
    assert (weights >= -1e-4).all()
    torch.testing.assert_close(weights, expected, atol=2e-3, rtol=0)


@given(p=st.floats(0, 1), bins=st.integers(2, 1000))
def test_two_hot_interpolates_at_the_continuous_index(p, bins):
    weights = two_hot(torch.tensor([p], dtype=torch.float64), bins)[0]
    index = (weights * torch.arange(bins)).sum().item()
    assert index == pytest.approx(p * (bins - 1), abs=1e-9)
    assert (weights > 0).sum() <= 2


def test_nowhere_gets_nothing():
    nan = torch.tensor([torch.nan])
    assert (footprint(nan, nan, 5) == 0).all()
    assert (two_hot(nan, 5) == 0).all()


def test_gradient_propagation_leaves_values_and_spreads_gradients():
    rows = torch.randn(5, 2, requires_grad=True)
    matrix = propagation_matrix(5)
    spread = propagate(rows, matrix, "gradient")
    assert torch.equal(spread, rows)
    spread[2].sum().backward()
    assert rows.grad[:, 0].tolist() == [0.25, 0.5, 2.0, 0.5, 0.25]


def test_value_propagation_smooths_without_growth():
    matrix = propagation_matrix(7, normalised=True)
    torch.testing.assert_close(propagate(torch.ones(7, 2), matrix, "value"), torch.ones(7, 2))


@pytest.mark.parametrize("tied", [True, False])
def test_tokens_are_read_and_written_through_their_own_rows(tied):
    lape = make(tied)
    ids = torch.tensor([[4, 0, 21, 17, 100]])
    base = torch.zeros(1, 5, 6)
    embedded = lape.embed(ids, base).detach()
    assert torch.equal(embedded[0, 0], lape.table("height", "in")[1])
    assert torch.equal(embedded[0, 2], lape.table("temporal", "in")[0])
    assert torch.equal(embedded[0, 3], lape.table("width", "in")[1])
    assert (embedded[0, [1, 4]] == 0).all()
    hidden = torch.randn(1, 1, 6)
    logits = lape.write_logits(hidden, torch.full((1, 1, 40), 7.0)).detach()
    assert logits[0, 0, 30] == pytest.approx((hidden[0, 0] @ lape.table("height", "out")[2]).item(), rel=1e-5)
    assert (logits[0, 0, [0, 1, 3, 39]] == 7).all()
    assert (lape.table("height", "out") is lape.table("height", "in")) == tied


NEIGHBOURS = {"height": (10, 11, 12), "width": (13, 14, 15), "temporal": (16, 17)}


@pytest.mark.parametrize("ids", [IDS, NEIGHBOURS], ids=["scattered", "adjacent"])
def test_the_base_has_no_part_in_written_columns(ids):
    lape = make(token_ids=ids)
    hidden, base = torch.randn(2, 3, 6, requires_grad=True), torch.randn(2, 3, 40, requires_grad=True)
    logits = lape.write_logits(hidden, base.clone())
    columns = [token for axis in AXES for token in ids[axis]]
    rows = torch.cat([lape.table(axis, "out") for axis in AXES])
    torch.testing.assert_close(logits[..., columns], hidden @ rows.T)
    logits.square().sum().backward()
    expected = 2 * base.detach()
    expected[..., columns] = 0
    torch.testing.assert_close(base.grad, expected)
    torch.testing.assert_close(hidden.grad, 2 * (hidden @ rows.T) @ rows)


def test_injection_follows_scales_gate_and_time():
    lape = make(injection_rms=None, injection_scale_width=0.0)
    point = torch.tensor([[0.5, 1.0, 0.5, 1.0]])
    mean = {axis: (lape.table(axis, "in") + lape.table(axis, "out")) / 2 for axis in AXES}
    still, dated = (lape.injection(point, torch.tensor([t])) for t in (torch.nan, 0.0))
    torch.testing.assert_close(still[0], mean["height"][2])
    torch.testing.assert_close(dated[0], mean["height"][2] + mean["temporal"][0])
    lape.gate = 0.25
    torch.testing.assert_close(lape.injection(point, torch.tensor([torch.nan])), still / 4)


def test_a_learned_gate_starts_closed_and_gets_a_gradient():
    lape = make(gate="learned", injection_rms=None)
    lape.axis_gates.data.zero_()
    added = lape.injection(torch.tensor([[0.0, 0.0, 0.5, 0.5]]), torch.tensor([0.5]))
    assert (added == 0).all()
    added.sum().backward()
    assert (lape.axis_gates.grad != 0).all()


def test_calibration_sets_the_share_of_the_features_once_and_is_saved():
    lape = make(injection_rms=0.3)
    features = 5 * torch.randn(4000, 6)
    lape.calibrate(features)
    rows = torch.cat([(lape.table(axis, "in") + lape.table(axis, "out")) / 2 for axis in AXES])
    share = (rows * lape.unit).square().mean().sqrt() / features.square().mean().sqrt()
    assert share.item() == pytest.approx(0.3, rel=1e-5)
    unit = lape.unit.item()
    lape.calibrate(features * 100)
    assert lape.unit.item() == unit
    again = make(injection_rms=0.3)
    again.load_state_dict(lape.state_dict())
    again.calibrate(features * 100)
    assert again.unit.item() == unit


def test_rows_stay_in_float32():
    lape = make().to(torch.bfloat16).half()
    assert {value.dtype for value in lape.state_dict().values()} == {torch.float32}


def test_the_gradient_record_tells_uses_apart():
    lape = make(injection_rms=None)
    lape.record = GradientRecord()
    lape.embed(torch.tensor([[4]]), torch.zeros(1, 1, 6)).sum().backward()
    norms = lape.record.norms(lape)
    assert norms["input"] == pytest.approx(6**0.5)
    assert norms["output"] == norms["injection"] == 0
    spread = torch.tensor([0.5, 1, 0.5]).norm().item() * 6**0.5
    assert norms["ntp"] == pytest.approx(spread)


@pytest.mark.parametrize("ntp", ["gradient", "value", "off"])
def test_the_record_of_one_pass_holds_nothing_of_other_uses_or_passes(ntp):
    lape = make(injection_rms=None, ntp=ntp)
    place = torch.tensor([[0.0, 0.0, 0.5, 0.5]]), torch.tensor([0.5])
    for uses in (("input", "injection"), ("injection",), ("input",)):
        lape.record = record = GradientRecord()
        total = torch.zeros(())
        if "input" in uses:
            total = total + lape.embed(torch.tensor([[4]]), torch.zeros(1, 1, 6)).sum()
        if "injection" in uses:
            total = total + lape.injection(*place).sum()
        total.backward()
        norms = record.norms(lape)
        assert norms["input"] == pytest.approx(6**0.5 if "input" in uses else 0)
        assert (norms["injection"] > 0) == ("injection" in uses)


def test_a_copy_has_its_own_rows():
    lape = make()
    twin = copy.deepcopy(lape)
    twin.table("width", "in").data.zero_()
    assert lape.table("width", "in").abs().sum() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [({"height": (9, 4)}, "other numbers"), ({"width": (2, 17, 9)}, "share a vocabulary id")],
)
def test_token_ids_that_do_not_fit_the_settings_are_refused(change, message):
    config = LapeConfig(num_spatial_tokens=3, num_temporal_tokens=2, token_ids={**IDS, **change})
    with pytest.raises(ModelError, match=message):
        Lape(config, 6, tied=False)


def test_token_ids_are_required():
    with pytest.raises(ModelError, match="add_position_tokens"):
        Lape(LapeConfig(), 6, tied=False)

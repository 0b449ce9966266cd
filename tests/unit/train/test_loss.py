"""The loss against dense distributions in float64."""

import pytest
import torch
from scipy.stats import wasserstein_distance

from agrilape.config.lape import LapeConfig
from agrilape.config.recipe import LossConfig
from agrilape.train.loss import KINDS, AnswerCriterion, summarise

BINS = {"height": 6, "width": 6, "temporal": 4}
IDS = {"height": (20, 21, 22, 23, 24, 25), "width": (9, 8, 7, 6, 5, 4), "temporal": (30, 32, 34, 36)}
VOCABULARY = 40
LAPE = LapeConfig(num_spatial_tokens=6, num_temporal_tokens=4, token_ids=IDS)


def batch():
    """Two sequences with text, both spatial axes and time, and a coordinate at each edge of its axis."""
    torch.manual_seed(0)
    logits = torch.randn(2, 5, VOCABULARY, dtype=torch.float64, requires_grad=True)
    places = {
        (0, 1): ("height", 2.3),
        (0, 2): ("width", 5.0),
        (1, 0): ("temporal", 0.0),
        (1, 3): ("width", 3.75),
    }
    labels = torch.full((2, 5), -100)
    targets = torch.full((2, 5), float("nan"))
    labels[0, 3], labels[1, 4] = 0, 39
    for at, (axis, u) in places.items():
        labels[at], targets[at] = IDS[axis][round(u)], u
    return logits, labels, targets, places


def dense(kind: str, axis: str, u: float, sigma: float) -> torch.Tensor:
    target = torch.zeros(VOCABULARY, dtype=torch.float64)
    ids = torch.tensor(IDS[axis])
    if kind == "hard":
        target[ids[round(u)]] = 1
    elif kind == "two_hot":
        low = min(int(u), BINS[axis] - 2)
        target[ids[low]], target[ids[low + 1]] = 1 - (u - low), u - low
    else:
        places = torch.arange(BINS[axis], dtype=torch.float64)
        target[ids] = torch.exp(-((places - u) ** 2) / (2 * sigma**2))
        target /= target.sum()
    return target


@pytest.mark.parametrize("kind", ["hard", "two_hot", "gaussian"])
def test_equals_the_dense_cross_entropy_in_value_and_gradient(kind) -> None:
    logits, labels, targets, places = batch()
    config = LossConfig(targets=kind, gaussian_sigma=0.8, spatial_pos_weight=2.0, temporal_pos_weight=0.5)
    got = AnswerCriterion(config, LAPE)(logits, labels, targets)
    log_p = logits.log_softmax(-1)
    wanted = -log_p[0, 3, 0] - log_p[1, 4, 39]
    for at, (axis, u) in places.items():
        weight = 0.5 if axis == "temporal" else 2.0
        wanted = wanted - weight * (dense(kind, axis, u, 0.8) * log_p[at]).sum()
    wanted = wanted / 6
    torch.testing.assert_close(got.loss.double(), wanted, rtol=1e-5, atol=1e-6)
    mine, theirs = (torch.autograd.grad(x, logits, retain_graph=True)[0] for x in (got.loss, wanted))
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_sums_are_split_by_kind_and_summarised() -> None:
    logits, labels, targets, places = batch()
    with torch.no_grad():
        logits[0, 2, IDS["width"][5]] = 50  # certain and right
        logits[1, 0, IDS["temporal"][3]] = 50  # certain and three bins off
    sums = AnswerCriterion(LossConfig(targets="hard"), LAPE)(logits, labels, targets).sums
    assert dict(zip(KINDS, sums[:, 1].tolist(), strict=True)) == {
        "text": 2, "height": 1, "width": 2, "temporal": 1
    }  # fmt: skip
    assert sums[KINDS.index("temporal"), 3] == pytest.approx(3, abs=1e-4)
    assert sums[KINDS.index("temporal"), 2] == 0
    assert sums[KINDS.index("width"), 2] >= 1
    values = summarise(sums)
    assert values["loss_temporal"] == pytest.approx(float(sums[3, 0]))
    assert values["position_accuracy"] == pytest.approx(float(sums[1:, 2].sum()) / len(places))


def test_answers_may_be_pointed_out_so_that_nothing_waits_for_the_device() -> None:
    logits, labels, targets, _ = batch()
    criterion = AnswerCriterion(LossConfig(), LAPE)
    answered = (labels.flatten() != -100).nonzero().squeeze(1)
    found, told = (criterion(logits, labels, targets, answered=given) for given in (None, answered))
    torch.testing.assert_close(told, found)
    some = criterion(logits, labels, targets, answered=answered[:2])
    assert some.sums[:, 1].sum() == 2


def test_accumulated_batches_add_up_to_one_batch() -> None:
    logits, labels, targets, _ = batch()
    criterion = AnswerCriterion(LossConfig(), LAPE)
    whole = criterion(logits, labels, targets).loss
    parts = [criterion(logits[i : i + 1], labels[i : i + 1], targets[i : i + 1], 6).loss for i in range(2)]
    torch.testing.assert_close(parts[0] + parts[1], whole)


def test_label_is_the_target_where_no_exact_position_is_known() -> None:
    logits, labels, targets, _ = batch()
    soft = AnswerCriterion(LossConfig(targets="two_hot"), LAPE)(
        logits, labels, torch.full_like(targets, torch.nan)
    )
    hard = AnswerCriterion(LossConfig(targets="hard"), LAPE)(logits, labels, targets)
    torch.testing.assert_close(soft.loss, hard.loss)


def test_without_position_tokens_every_token_is_text() -> None:
    logits, labels, targets, _ = batch()
    got = AnswerCriterion(LossConfig())(logits, labels, targets)
    wanted = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(got.loss.double(), wanted, rtol=1e-5, atol=1e-6)
    assert set(summarise(got.sums)) == {"loss_text", "text_accuracy"}


def test_a_batch_without_answers_has_no_loss() -> None:
    logits, labels, targets, _ = batch()
    got = AnswerCriterion(LossConfig(), LAPE)(logits, torch.full_like(labels, -100), targets)
    assert got.loss == 0
    assert summarise(got.sums) == {}


def test_a_second_backward_pass_is_refused_not_wrong() -> None:
    logits, labels, targets, _ = batch()
    loss = AnswerCriterion(LossConfig(), LAPE)(logits, labels, targets).loss
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace"):
        loss.backward()


def test_logits_are_left_as_they_were() -> None:
    logits, labels, targets, _ = batch()
    before = logits.detach().clone()
    AnswerCriterion(LossConfig(), LAPE)(logits, labels, targets).loss.backward()
    assert torch.equal(logits, before)


def test_distance_is_the_wasserstein_distance_to_the_truth() -> None:
    """Against the definition, by scipy, for every coordinate; words have none."""
    logits, labels, targets, places = batch()
    weights = {"spatial_pos_weight": 2.0, "temporal_pos_weight": 0.5}
    plain = AnswerCriterion(LossConfig(**weights), LAPE)(logits, labels, targets)
    far = AnswerCriterion(LossConfig(distance_weight=3.0, **weights), LAPE)(logits, labels, targets)
    wanted = 0.0
    for at, (axis, u) in places.items():
        last = BINS[axis] - 1
        stated = logits[at][torch.tensor(IDS[axis])].softmax(-1).detach()
        true = dense("two_hot", axis, u, 1.0)[torch.tensor(IDS[axis])]
        bins = torch.arange(last + 1) / last
        distance = wasserstein_distance(bins, bins, stated, true)
        wanted += 3.0 * (0.5 if axis == "temporal" else 2.0) * distance / 6
    assert (far.loss - plain.loss).item() == pytest.approx(wanted, rel=1e-6)
    assert torch.equal(far.sums, plain.sums)  # what is logged stays comparable


def test_distance_pulls_towards_the_truth_from_afar() -> None:
    """Cross-entropy raises the true bin alone; with distance, of two wrong bins the nearer one gains."""
    gradients = {}
    for weight in (0.0, 5.0):
        logits = torch.zeros(1, 1, VOCABULARY, dtype=torch.float64, requires_grad=True)
        label, target = torch.tensor([[IDS["height"][0]]]), torch.tensor([[0.0]])
        AnswerCriterion(LossConfig(distance_weight=weight), LAPE)(logits, label, target).loss.backward()
        gradients[weight] = logits.grad[0, 0, list(IDS["height"])]
    assert gradients[0.0][1] == pytest.approx(gradients[0.0][5])
    assert gradients[5.0][1] < gradients[5.0][3] < gradients[5.0][5]


def test_without_distance_recipes_are_what_they_were() -> None:
    assert "distance_weight" not in LossConfig().model_dump()
    assert LossConfig(distance_weight=2).model_dump()["distance_weight"] == 2

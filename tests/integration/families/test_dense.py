"""LAPE against the formulas of its design, written out densely: values and gradients of one whole pass."""

import copy
from itertools import product

import numpy as np
import pytest
import torch
from tests.rounding import assert_same_but_for_rounding

from agrilape.config.lape import AXES
from agrilape.model import attach, lape_of

SIDE = 4  # patches along an edge of the tiny LLaVA's image
SCALES = {"height": 0.5, "width": 2.0, "temporal": 1.5}
TIMES = torch.tensor([0.3, torch.nan])
SHARE = 0.3  # of the features' rms, at which the injection begins
SAMPLES = 4000  # points of an interval over which a footprint's mean is taken


@pytest.fixture(params=list(product([False, True], ["fixed", "learned"])), ids=str)
def case(request, family_case):
    tied, gate = request.param
    case = family_case("llava", tied)
    case.plain = copy.deepcopy(case.model)
    scales = {f"injection_scale_{axis}": scale for axis, scale in SCALES.items()}
    attach(case.model, case.config.model_copy(update={"gate": gate, "injection_rms": SHARE, **scales}))
    lape = lape_of(case.model)
    lape.gate = 0.25
    if gate == "learned":
        lape.axis_gates.data = torch.tensor([0.4, 0.7, 0.9])
    return case


def interpolated(table, p):
    """The table at coordinates in [0, 1], by the one convention u = p (N - 1)."""
    u = p * (len(table) - 1)
    low = u.floor().long().clamp(max=len(table) - 2)
    share = (u - low).unsqueeze(1)
    return (1 - share) * table[low] + share * table[low + 1]


def mean_over_patch(table, index):
    middle = (torch.arange(SAMPLES) + 0.5) / SAMPLES
    return interpolated(table, (index + middle) / SIDE).mean(0)


def dense_pass(case, data, rows):
    """Logits of the base model whose matrices and visual features hold the rows outright."""
    model, lape = case.plain, lape_of(case.model)
    matrices = []
    for direction, module in (
        ("in", case.model.get_input_embeddings()),
        ("out", case.model.get_output_embeddings()),
    ):
        matrix = module.weight.detach().clone()
        for axis in AXES:
            matrix[list(case.config.token_ids[axis])] = rows[axis, direction]
        matrices.append(matrix)
    features = model.model.get_image_features(data["pixel_values"]).pooler_output
    features = torch.cat(list(features)).detach()
    mean = {axis: (rows[axis, "in"] + rows[axis, "out"]) / 2 for axis in AXES}
    power = torch.cat(list(mean.values())).detach().square().mean()
    unit = SHARE * (features.square().mean() / power).sqrt()
    torch.testing.assert_close(lape.unit, unit)
    gates = lape.axis_gates.detach() if lape.config.gate == "learned" else torch.ones(3)
    weight = {axis: 0.25 * unit * SCALES[axis] * gates[k] for k, axis in enumerate(AXES)}
    places = [(image, row, column) for image in range(2) for row in range(SIDE) for column in range(SIDE)]
    added = []
    for image, row, column in places:
        one = weight["height"] * mean_over_patch(mean["height"], row)
        one = one + weight["width"] * mean_over_patch(mean["width"], column)
        if not TIMES[image].isnan():
            one = one + weight["temporal"] * interpolated(mean["temporal"], TIMES[image : image + 1])[0]
        added.append(one)
    shown = (data["input_ids"] == model.config.image_token_id).unsqueeze(-1)
    embedded = matrices[0][data["input_ids"]].masked_scatter(shown, features + torch.stack(added))
    hidden = model.model.language_model(inputs_embeds=embedded, attention_mask=data["attention_mask"])
    return hidden.last_hidden_state @ matrices[1].T


def test_a_whole_pass_equals_the_dense_formulas(case):
    random = np.random.default_rng(2)
    pictures = [random.integers(0, 255, (32, 32, 3), dtype=np.uint8) for _ in range(2)]
    data = case.inputs([[[1, 11], pictures[0], [207, 310, 3, 12]], [[1], pictures[1], [5, 204, 317, 14, 9]]])
    labels = data["input_ids"].masked_fill(data["input_ids"] == case.model.config.image_token_id, -100)
    lape = lape_of(case.model)

    ours = case.model(**data, image_times=TIMES).logits
    cross_entropy(ours, labels).backward()
    tables = {(axis, way): lape.table(axis, way) for axis in AXES for way in ("in", "out")}
    rows = {key: table.detach().clone().requires_grad_() for key, table in tables.items()}
    dense = dense_pass(case, data, rows)
    assert_same_but_for_rounding(ours, dense)

    cross_entropy(dense, labels).backward()
    for axis in AXES:
        bins = torch.arange(case.config.bins(axis))
        spread = torch.eye(len(bins)) + 0.5 ** (bins[:, None] - bins[None, :]).abs()
        for way in ("in", "out"):
            direct = rows[axis, way].grad
            if lape.tied:
                direct = rows[axis, "in"].grad + rows[axis, "out"].grad
            assert_same_but_for_rounding(tables[axis, way].grad, spread.T @ direct)


def cross_entropy(logits, labels):
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())

"""Which activations are computed again where part of a model is frozen, on tiny models of every family."""

import pytest
import torch
from tests.rounding import assert_same_but_for_rounding

from agrilape.model import attach, parameter_groups
from agrilape.model.grids import FAMILIES
from agrilape.train.gradient_checkpointing import Frozen, recompute_layers
from agrilape.train.optim import freeze

NAMES = sorted(FAMILIES)
TIMES = torch.tensor([0.2, float("nan")])


def inputs(case):
    pictures = torch.randint(
        0, 255, (2, 40, 60, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(5)
    )
    return case.inputs([[[1, 11 + k], pictures[k].numpy(), [12, 207, 310, 3, 20 + k]] for k in range(2)])


def passes(family_case, name, again, trained=("projector",)):
    """A step with the rest frozen: gradients, layers computed, would the tower learn, modules seen."""
    case = family_case(name)
    data = inputs(case)
    model = attach(case.model, case.config)
    freeze(parameter_groups(model), dict.fromkeys(trained, 1.0))
    if again:
        recompute_layers(model)
    calls, learning = [], []
    for layer in model.base_model.get_decoder().layers:
        layer.self_attn.register_forward_hook(lambda *_: calls.append(1))
    tower = getattr(model.base_model, "visual", None) or getattr(model.base_model, "vision_tower", None)
    tower = tower or model.base_model.vision_model
    for key, module in tower.named_modules():
        if "merger" not in key and key and "embed" in key:
            module.register_forward_hook(lambda *a: learning.append(getattr(a[-1], "requires_grad", False)))
    model.train()
    Frozen(model).rest()
    model(**data, labels=data["input_ids"], image_times=TIMES, use_cache=False).loss.backward()
    gradients = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
    return gradients, len(calls), any(learning), len(learning)


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_language_model_is_computed_again_and_a_frozen_tower_runs_forward_only(family_case, name):
    plain, once, *_ = passes(family_case, name, again=False)
    gradients, twice, learns, looked = passes(family_case, name, again=True)
    assert twice == 2 * once > 0
    assert looked, "the tower's embedding was seen"
    assert not learns
    assert gradients.keys() == plain.keys()
    for key, value in gradients.items():
        assert_same_but_for_rounding(value, plain[key])


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_a_frozen_layer_with_dropout_of_its_own_stays_at_rest(family_case, name):
    model = family_case(name).model
    freeze(parameter_groups(model), {"projector": 1.0})
    recompute_layers(model)
    first, second = model.base_model.get_decoder().layers
    first.dropout = 0.1  # as some decoders have it, beside modules for dropout
    model.train()
    Frozen(model).rest()
    assert (first.training, second.training) == (False, True)
    assert not any(module.training for _, module in second.named_children()), "nor does what is in one train"

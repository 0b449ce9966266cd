"""Every family passes images through a float32 projector beside a base model in bfloat16."""

import pytest
import torch

from agrilape.model import attach, parameter_groups
from agrilape.model.frozen_base import keep_projector_in_float32
from agrilape.model.grids import FAMILIES


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_the_projector_learns_in_float32_beside_a_base_in_bfloat16(family_case, name) -> None:
    case = family_case(name)
    pictures = torch.randint(
        0, 255, (2, 40, 60, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(5)
    )
    data = case.inputs([[[1, 11 + k], pictures[k].numpy(), [12, 207, 310, 3, 20 + k]] for k in range(2)])
    model = case.model.bfloat16()
    keep_projector_in_float32(model)
    attach(model, case.config)
    data["pixel_values"] = data["pixel_values"].bfloat16()
    outputs = model(**data, labels=data["input_ids"], use_cache=False)
    assert outputs.logits.dtype == torch.bfloat16
    outputs.loss.backward()
    members = parameter_groups(model)["projector"]
    assert {value.dtype for _, value in members} == {torch.float32}
    assert sum(float(value.grad.abs().sum()) for _, value in members if value.grad is not None) > 0

"""Embeddings made outside: a stock model that is given them computes what the model with LAPE computes."""

import copy

import numpy as np
import pytest
import torch

from agrilape.errors import ModelError
from agrilape.model import attach, lape_of, merge
from agrilape.serve.embeddings import image_embeddings, input_embeddings

STILL = float("nan")


@pytest.fixture(params=["qwen2_5_vl", "llava_onevision"])
def case(request, family_case):
    return family_case(request.param, False)


@pytest.fixture
def inputs(case):
    random = np.random.default_rng(3)
    first, second, third = (
        random.integers(0, 255, (*size, 3), dtype=np.uint8) for size in ((50, 90), (100, 40), (32, 32))
    )
    return case.inputs([[[1, 11], first, [12, 207, 310, 3]], [[1], second, [5, 204], third, [317]]])


@pytest.fixture
def models(case, inputs):
    """The model with LAPE, whose rows and injection are no mere beginning, and the stock model from it."""
    torch.manual_seed(1)
    model = attach(case.model, case.config)
    lape = lape_of(model)
    for rows in lape.parameters():
        torch.nn.init.normal_(rows)
    with torch.no_grad():
        model(**inputs, image_times=torch.tensor([0.1, 0.7, STILL]))  # it sees images, and knows their scale
    return model, merge(copy.deepcopy(model))


def positions_of(model, inputs):
    """Qwen's position ids, which an engine works out from the prompt."""
    if "image_grid_thw" not in inputs:
        return {}
    known = {
        name: inputs[name]
        for name in ("image_grid_thw", "attention_mask", "mm_token_type_ids")
        if name in inputs
    }
    return {"position_ids": model.base_model.get_rope_index(inputs["input_ids"], **known)[0]}


@torch.no_grad()
def test_a_stock_model_computes_the_same_bit_for_bit(models, inputs):
    model, merged = models
    times = torch.tensor([0.1, 0.7, STILL])
    positions = positions_of(model, inputs)
    expected = model(**inputs, **positions, image_times=times, output_hidden_states=True)
    images = image_embeddings(model, {**inputs, "image_times": times})
    assert type(lape_of(merged)) is type(None)
    stock = merged(
        inputs_embeds=input_embeddings(merged, inputs["input_ids"], images),
        attention_mask=inputs["attention_mask"],
        output_hidden_states=True,
        **positions,
    )
    assert torch.equal(stock.hidden_states[0], expected.hidden_states[0])
    assert torch.equal(stock.hidden_states[-1], expected.hidden_states[-1])
    seen = inputs["attention_mask"].bool()
    assert torch.equal(stock.logits[seen], expected.logits[seen])


@torch.no_grad()
def test_times_and_places_are_in_the_embeddings(models, inputs):
    model, merged = models
    one, other = (
        torch.cat(image_embeddings(model, {**inputs, "image_times": torch.tensor(times)}).images)
        for times in ([0.1, 0.7, STILL], [0.9, 0.7, STILL])
    )
    count = len(image_embeddings(model, inputs).images[0])
    assert not torch.equal(one[:count], other[:count])
    assert torch.equal(one[count:], other[count:])
    data = image_embeddings(model, inputs).for_vllm()
    assert set(data) - {"image_embeds"} <= {"image_grid_thw", "image_sizes"}
    assert len(data["image_embeds"]) in (3, len(one))
    with pytest.raises(ModelError, match="not attached"):
        image_embeddings(merged, inputs)
    with pytest.raises(ModelError, match="placeholders"):
        input_embeddings(merged, inputs["input_ids"][:, :-8], image_embeddings(model, inputs))


def test_a_family_that_needs_more_is_refused(family_case):
    case = family_case("qwen3_vl", False)
    with pytest.raises(ModelError, match="qwen3_vl"):
        image_embeddings(attach(case.model, case.config), {})

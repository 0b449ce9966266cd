"""LAPE on every supported family, with tied and untied embeddings."""

import copy
from itertools import product

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.rounding import assert_same_but_for_rounding

from agrilape.errors import ModelError
from agrilape.model import (
    Lape,
    attach,
    detach,
    lape_of,
    load_adapter,
    merge,
    parameter_groups,
    save_adapter,
)  # fmt: skip
from agrilape.model.grids import FAMILIES

NAMES = sorted(set(FAMILIES) - {"qwen2_vl"})
STILL = float("nan")
TIMES = torch.tensor([0.1, 0.7, STILL])


@pytest.fixture(
    params=list(product(NAMES, [False, True])), ids=lambda p: f"{p[0]}-{'tied' if p[1] else 'untied'}"
)
def case(request, family_case):
    return family_case(*request.param)


def pictures():
    random = np.random.default_rng(3)
    return [random.integers(0, 255, (*size, 3), dtype=np.uint8) for size in ((50, 90), (100, 40), (32, 32))]


@pytest.fixture
def inputs(case):
    """Two prompts with one and two images and position tokens of every axis, padded on the left."""
    first, second, third = pictures()
    return case.inputs([[[1, 11], first, [12, 207, 310, 3, 13]], [[1], second, [5, 204], third, [317, 14]]])


def plain(inputs, case):
    """Without what only LAPE understands."""
    return {k: v for k, v in inputs.items() if k != "image_sizes" or case.name.startswith("llava_")}


def zero(lape):
    for parameter in lape.parameters():
        parameter.data.zero_()


def test_text_logits_stay_as_they_were_when_rows_are_zero(case, inputs):
    inputs["input_ids"][inputs["input_ids"] >= 300] = 42  # beyond the base vocabulary
    with torch.no_grad():
        ids = case.token_ids[case.token_ids < 300]
        case.model.get_input_embeddings().weight[ids] = 0
        before = case.model(**plain(inputs, case)).logits
        attach(case.model, case.config)
        zero(lape_of(case.model))
        after = case.model(**inputs, image_times=TIMES).logits
    text = torch.ones(before.shape[-1], dtype=torch.bool)
    text[ids] = False
    torch.testing.assert_close(after[..., :300][..., text], before[..., text], rtol=0, atol=0)
    assert (after[..., case.token_ids] == 0).all()


def test_disabled_lape_is_the_base_model(case, inputs):
    inputs["input_ids"][inputs["input_ids"] >= 300] = 42
    with torch.no_grad():
        before = case.model(**plain(inputs, case)).logits
        attach(case.model, case.config)
        lape_of(case.model).enabled = False
        after = case.model(**inputs, image_times=TIMES).logits
        assert torch.equal(after[..., :300], before)
        detach(case.model)
        assert torch.equal(case.model(**plain(inputs, case)).logits[..., :300], before)
    assert not any(isinstance(module, Lape) for module in case.model.modules())


def test_only_lape_moves_and_the_loss_scores_position_tokens(case, inputs):
    attach(case.model, case.config)
    lape = lape_of(case.model)
    for group, named in parameter_groups(case.model).items():
        for _, parameter in named:
            parameter.requires_grad_(group == "lape")
    before = {name: value.detach().clone() for name, value in case.model.named_parameters()}
    optimiser = torch.optim.SGD(lape.parameters(), lr=0.1)
    labels = torch.where(torch.isin(inputs["input_ids"], case.token_ids), inputs["input_ids"], -100)
    losses = []
    for _ in range(3):
        optimiser.zero_grad()
        outputs = case.model(**inputs, image_times=TIMES, labels=labels)
        manual = torch.nn.functional.cross_entropy(
            outputs.logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten()
        )
        assert_same_but_for_rounding(outputs.loss, manual)
        outputs.loss.backward()
        losses.append(outputs.loss.item())
        optimiser.step()
    assert losses[-1] < losses[0]
    for name, value in case.model.named_parameters():
        assert torch.equal(value, before[name]) != name.startswith("lape."), name
        assert (value.grad is None) != name.startswith("lape."), name


def test_base_rows_of_position_tokens_get_no_gradient(case, inputs):
    attach(case.model, case.config)
    case.model(**inputs, labels=inputs["input_ids"]).loss.backward()
    model = case.model
    for weight in {model.get_input_embeddings().weight, model.get_output_embeddings().weight}:
        assert (weight.grad[case.token_ids] == 0).all()
        assert weight.grad.abs().sum() > 0


def test_generation(case, inputs):
    """Greedy, sampled and in beams: finite scores, and the same answers without a cache."""
    attach(case.model, case.config)
    marks = list(range(290, 300))  # an image placeholder in an answer would ask for an image
    known = {**inputs, "image_times": TIMES, "max_new_tokens": 6, "suppress_tokens": marks}
    kept = {"output_scores": True, "output_logits": True, "return_dict_in_generate": True}
    for how in ({"do_sample": False}, {"do_sample": True, "top_k": 0}, {"do_sample": False, "num_beams": 3}):
        answers = []
        for use_cache in (True, False):
            torch.manual_seed(0)
            output = case.model.generate(**known, **how, **kept, use_cache=use_cache)
            assert all(logits.isfinite().all() for logits in output.logits)
            for scores in output.scores:
                assert (~scores.isfinite()).nonzero()[:, 1].unique().tolist() == marks
            answers.append(output.sequences)
        assert torch.equal(*answers), how


def test_left_padding_and_company_do_not_change_an_answer(case, inputs):
    attach(case.model, case.config)
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    together = case.model.generate(**inputs, image_times=TIMES, **options)[:, -6:]
    first, second, third = pictures()
    alone = [
        case.inputs([[[1, 11], first, [12, 207, 310, 3, 13]]]),
        case.inputs([[[1], second, [5, 204], third, [317, 14]]]),
    ]
    for row, data, times in zip(together, alone, (TIMES[:1], TIMES[1:]), strict=True):
        assert torch.equal(case.model.generate(**data, image_times=times, **options)[0, -6:], row)


def test_times_reach_only_their_own_image(case, inputs):
    attach(case.model, case.config)
    with torch.no_grad():
        still = case.model(**inputs).logits
        dated = case.model(**inputs, image_times=torch.tensor([STILL, 0.5, STILL])).logits
    assert torch.equal(still[0], dated[0])
    assert not torch.equal(still[1], dated[1])
    with pytest.raises(ModelError, match="one per image"):
        case.model(**inputs, image_times=TIMES[:2])


def test_merged_model_equals_the_one_without_injection(case, inputs, tmp_path):
    attach(case.model, case.config.model_copy(update={"injection": "off"}))
    with torch.no_grad():
        before = case.model(**inputs).logits
        merge(case.model)
        assert_same_but_for_rounding(case.model(**plain(inputs, case)).logits, before)
        case.model.save_pretrained(tmp_path)
        again = type(case.model).from_pretrained(tmp_path)
        assert_same_but_for_rounding(again(**plain(inputs, case)).logits, before)


def test_rows_may_be_tied_where_the_base_is_not_and_the_other_way_round(case, inputs, tmp_path):
    """Merging untied rows gives the head a matrix of its own and clears the tie in the configuration."""
    settings = {"injection": "off", "tied": not case.tied}
    attach(case.model, case.config.model_copy(update=settings))
    with torch.no_grad():
        before = case.model(**inputs).logits
        merge(case.model).save_pretrained(tmp_path)
        again = type(case.model).from_pretrained(tmp_path)
        assert_same_but_for_rounding(again(**plain(inputs, case)).logits, before)
    for model in (case.model, again):
        assert model.get_input_embeddings().weight is not model.get_output_embeddings().weight
        assert not model.config.tie_word_embeddings
        assert not model.config.get_text_config().tie_word_embeddings


def test_adapter_round_trip(case, inputs, family_case, tmp_path):
    attach(case.model, case.config)
    for group, named in parameter_groups(case.model).items():
        for _, parameter in named:
            parameter.requires_grad_(group in ("lape", "projector"))
            parameter.data += 0.01 * (group in ("lape", "projector"))
    lape_of(case.model).gate = 0.25
    with torch.no_grad():
        before = case.model(**inputs, image_times=TIMES).logits
        save_adapter(tmp_path / "adapter", case.model)
        again, config = load_adapter(tmp_path / "adapter", family_case(case.name, case.tied).model)
        assert torch.equal(again(**inputs, image_times=TIMES).logits, before)
    assert config == lape_of(case.model).config
    assert lape_of(again).gate == 0.25
    written = load_file(tmp_path / "adapter" / "trained.safetensors")
    assert set(written) == {name for name, _ in parameter_groups(case.model)["projector"]}


def test_deepcopy_is_independent(case, inputs):
    attach(case.model, case.config)
    twin = copy.deepcopy(case.model)
    with torch.no_grad():
        before = case.model(**inputs, image_times=TIMES).logits
        zero(lape_of(twin))
        assert torch.equal(case.model(**inputs, image_times=TIMES).logits, before)
        assert (twin(**inputs, image_times=TIMES).logits[..., case.token_ids] == 0).all()


def test_gradient_checkpointing_changes_nothing(case, inputs):
    attach(case.model, case.config)
    gradients = []
    for on in (False, True):
        twin = copy.deepcopy(case.model).train()
        if on:
            twin.gradient_checkpointing_enable()
        twin(**inputs, labels=inputs["input_ids"], image_times=TIMES).loss.backward()
        gradients.append({name: value.grad for name, value in lape_of(twin).named_parameters()})
    assert_same_but_for_rounding(gradients[1], gradients[0])


def test_bfloat16_keeps_rows_in_float32(case, inputs):
    case.model.to(torch.bfloat16)
    attach(case.model, case.config).to(torch.bfloat16)
    lape = lape_of(case.model)
    assert all(value.dtype == torch.float32 for value in lape.state_dict().values())
    outputs = case.model(**inputs, labels=inputs["input_ids"], image_times=TIMES)
    outputs.loss.backward()
    assert torch.isfinite(outputs.loss)
    assert all(value.grad.isfinite().all() and value.grad.abs().sum() > 0 for value in lape.parameters())


def test_a_model_without_a_head_is_refused(family_case):
    case = family_case("llava")
    with pytest.raises(ModelError, match="AutoModelForImageTextToText"):
        attach(case.model.base_model, case.config)


def test_attaching_twice_or_detaching_nothing_is_refused(case):
    with pytest.raises(ModelError, match="not attached"):
        detach(case.model)
    attach(case.model, case.config)
    with pytest.raises(ModelError, match="already"):
        attach(case.model, case.config)


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl", "llava_onevision"])
def test_a_video_is_shown_only_where_it_needs_no_dates(family_case, name):
    """Qwen3-VL's video method calls its image method, which must not inject on its own account."""
    case = family_case(name)
    if name == "llava_onevision":
        video = {"pixel_values_videos": torch.rand(1, 4, 3, 32, 32)}
    else:
        video = {
            "pixel_values_videos": torch.rand(2 * 4 * 4, 3 * 2 * 8 * 8),
            "video_grid_thw": torch.tensor([[2, 4, 4]]),
        }

    def features():
        with torch.no_grad():
            return torch.cat(list(case.model.base_model.get_video_features(**video).pooler_output))

    before = features()
    attach(case.model, case.config)
    with pytest.raises(ModelError, match="list of images"):
        features()
    lape_of(case.model).enabled = False
    assert torch.equal(features(), before)

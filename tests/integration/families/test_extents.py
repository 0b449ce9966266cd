"""Extents of visual tokens: they cover the image, and they lie where the pixels are that the tokens see."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agrilape.errors import ModelError
from agrilape.model.grids import FAMILIES, ImageCall, extents_of

NAMES = [*sorted(FAMILIES), "llava, class token", "llava, pixtral"]
SIDES = st.integers(9, 130)
ATTENTION = ("self_attn.out_proj", "attn.proj.", "attention.projection_layer", "attention.o_proj")
TILED = {"idefics3", "smolvlm", "internvl", "llava_next", "llava_onevision"}


@pytest.fixture(scope="module", params=NAMES)
def case(request, family_case):
    """A model whose tokens see only their own patch: attention contributes nothing."""
    case = family_case(request.param)
    for name, parameter in case.model.base_model.named_parameters():
        if any(part in name for part in ATTENTION):
            parameter.data.zero_()
    return case


def see(case, pictures):
    """Features and extents of pictures, one after the other."""
    data = case.inputs([[[1], *pictures]])
    names = ("image_sizes", "image_grid_thw", "batch_num_images", "input_ids")
    known = {name: data[name] for name in names if name in data}
    extents = extents_of(case.model.config)(ImageCall(case.model.config, data["pixel_values"], **known))
    with torch.no_grad():
        features = case.model.base_model.get_image_features(**case.vision(data)).pooler_output
    return torch.cat([part.flatten(0, -2) for part in features]), extents


def grey(height, width):
    return np.full((height, width, 3), 90, np.uint8)


def coverage(extents, points=193):
    """How many tokens lie over each point of a fine lattice that avoids all edges."""
    line = (torch.arange(points) + 0.4142) / points
    x, y = torch.meshgrid(line, line, indexing="xy")
    left, top, right, bottom = (edge[:, None, None] for edge in extents[~extents.isnan().any(1)].unbind(1))
    return ((left <= x) & (x < right) & (top <= y) & (y < bottom)).sum(0)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(sizes=st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=3))
def test_extents_cover_each_image_evenly_and_match_the_tokens(case, sizes):
    features, extents = see(case, [grey(*size) for size in sizes])
    assert len(extents) == len(sizes)
    assert sum(map(len, extents)) == len(features)
    for one in extents:
        placed = one[~one.isnan().any(1)]
        assert placed.min() == 0
        assert placed.max() == 1
        assert (placed[:, 2:] > placed[:, :2]).all()
        layers = coverage(one).unique()
        assert len(layers) == 1, "some ground is seen by more tokens than other ground"
        assert layers.item() in ((1, 2) if case.name in TILED else (1,))


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(height=SIDES, width=SIDES, x=st.floats(0.2, 0.8), y=st.floats(0.2, 0.8), others=st.integers(0, 1))
@example(height=9, width=109, x=0.5, y=0.5, others=0)  # thinner than a patch once it fits the canvas
@example(height=109, width=9, x=0.5, y=0.5, others=0)
def test_a_token_sees_the_ground_under_its_extent(case, height, width, x, y, others):
    before, after = grey(height, width), grey(height, width)
    x0, x1 = int((x - 0.2) * width), int((x + 0.2) * width) + 1
    y0, y1 = int((y - 0.2) * height), int((y + 0.2) * height) + 1
    after[y0:y1, x0:x1] = 255
    neighbours = [grey(40, 60)] * others
    plain, extents = see(case, [*neighbours, before])
    changed, _ = see(case, [*neighbours, after])
    own = slice(sum(map(len, extents[:-1])), None)
    difference = (plain - changed).abs().amax(1)[own]
    left, top, right, bottom = (extents[-1] * torch.tensor([width, height] * 2)).unbind(1)
    blur = 4 + 0.13 * max(height, width)  # resampling kernels, pooled and interpolated cells
    inside = (left >= x0 - 0.01) & (right <= x1 + 0.01) & (top >= y0 - 0.01) & (bottom <= y1 + 0.01)
    far = (right < x0 - blur) | (left > x1 + blur) | (bottom < y0 - blur) | (top > y1 + blur)
    assert (difference[inside] > 1e-5).all()
    assert (difference[far | left.isnan()] < 1e-5).all()


def test_an_unknown_family_names_the_known_ones(family_case):
    config = family_case("llava").model.config
    config.model_type = "unheard_of"
    with pytest.raises(ModelError, match=r"unheard_of.*llava_onevision(.|\n)*grids\.py"):
        extents_of(config)


def test_tiles_of_unknown_arrangement_are_refused(family_case):
    case = family_case("internvl")
    data = case.inputs([[[1], grey(40, 90)]])
    with pytest.raises(ModelError, match="image_sizes"):
        extents_of(case.model.config)(
            ImageCall(case.model.config, data["pixel_values"], input_ids=data["input_ids"])
        )


def test_a_prompt_that_another_processor_made_is_refused(family_case):
    case = family_case("idefics3")
    data = case.inputs([[[1], grey(40, 90)]])
    data["input_ids"] = data["input_ids"][:, :-3]
    with pytest.raises(ModelError, match="placeholders"):
        extents_of(case.model.config)(
            ImageCall(case.model.config, data["pixel_values"], input_ids=data["input_ids"])
        )

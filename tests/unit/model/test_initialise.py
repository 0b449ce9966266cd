import pytest
import torch
from torch.nn.functional import normalize

from agrilape.config.lape import AXES, LapeConfig
from agrilape.errors import ModelError
from agrilape.model import Lape, build_preset
from agrilape.model.initialise import initialise

BINS = 150


@pytest.fixture(scope="module")
def tokenizer():
    return build_preset("nano").processor.tokenizer


def rows(method, tokenizer=None, tied=False):
    torch.manual_seed(1)
    ids = {axis: tuple(range(1000 + BINS * k, 1000 + BINS * (k + 1))) for k, axis in enumerate(AXES)}
    config = LapeConfig(
        num_spatial_tokens=BINS, num_temporal_tokens=BINS, token_ids=ids, initialisation=method
    )
    lape = Lape(config, 64, tied)
    text = 3 + 2 * torch.randn(2000, 64)
    initialise(lape, text, text / 4, tokenizer)
    return lape, torch.cat([text[:1000], text[1000 + 3 * BINS :]])  # without the position tokens' own


def test_reference_is_what_torch_layers_begin_with():
    lape, _ = rows("reference")
    assert lape.table("width", "in").std().item() == pytest.approx(1, rel=0.05)
    assert lape.table("width", "out").abs().max() <= 1 / 8


def test_statistics_have_the_mean_and_a_tenth_of_the_deviation_of_text():
    lape, text = rows("statistics")
    table = lape.table("height", "in")
    torch.testing.assert_close(table.mean(0), text.mean(0), atol=0.1, rtol=0)
    assert (table - text.mean(0)).std().item() == pytest.approx(0.2, rel=0.1)


def test_mean_rows_are_the_mean():
    lape, text = rows("mean")
    torch.testing.assert_close(lape.table("temporal", "out"), (text / 4).mean(0).expand(BINS, -1))


def test_smooth_rows_change_with_distance_at_the_norm_of_text():
    lape, text = rows("smooth")
    for direction, scale in (("in", 1), ("out", 1 / 4)):
        table = lape.table("width", direction)
        torch.testing.assert_close(table.norm(dim=1), (text.norm(dim=1).mean() * scale).expand(BINS))
        unit = normalize(table, dim=1)
        alike = unit @ unit.T
        assert alike.diagonal(1).min() > 0.9
        assert alike.diagonal(75).mean() < alike.diagonal(10).mean() < alike.diagonal(1).mean()
    assert not torch.allclose(lape.table("width", "in"), lape.table("height", "in"))


def test_numerals_are_the_embeddings_of_numbers_in_order(tokenizer):
    lape, text = rows("numerals", tokenizer)
    zero, one, two = (tokenizer.convert_tokens_to_ids(digit) for digit in "012")
    expected = (4 * text[zero] + 2 * text[one] + text[two]) / 7
    torch.testing.assert_close(lape.table("width", "in")[12], expected)
    assert not torch.allclose(lape.table("width", "in")[12], lape.table("width", "in")[21])
    with pytest.raises(ModelError, match="tokenizer"):
        rows("numerals")


def test_numerals_are_found_behind_position_tokens_too(tokenizer):
    ids = {axis: (2 * k, 2 * k + 1) for k, axis in enumerate(AXES)}
    settings = {"num_spatial_tokens": 2, "num_temporal_tokens": 2, "initialisation": "numerals"}
    lape, text = Lape(LapeConfig(token_ids=ids, **settings), 64, True), torch.randn(2000, 64)
    initialise(lape, text, text, tokenizer)
    zero, one = (tokenizer.convert_tokens_to_ids(digit) for digit in "01")
    assert zero > max(ids["temporal"])
    torch.testing.assert_close(lape.table("width", "in")[1], (6 * text[zero] + text[one]) / 7)

import pytest
import torch
from tokenizers import AddedToken

from agrilape.config.lape import AXES, LapeConfig
from agrilape.errors import ModelError
from agrilape.tokens import PositionIds, add_position_tokens


def test_tokens_are_found_whole_between_any_text(positioned, codec):
    processor, config = positioned
    text = "maize[<WIDTH-003><HEIGHT-019>] <TEMP-009>."
    ids = processor.tokenizer(text)["input_ids"]
    assert [i for i in ids if i in config.token_ids["width"]] == [config.token_ids["width"][3]]
    assert config.token_ids["height"][19] in ids
    assert config.token_ids["temporal"][9] in ids
    assert processor.tokenizer.decode(ids, skip_special_tokens=True) == text


def test_adding_again_changes_nothing(positioned, config):
    processor, resolved = positioned
    size = len(processor.tokenizer)
    assert add_position_tokens(processor, config) == resolved
    assert add_position_tokens(processor.tokenizer, config) == resolved
    assert len(processor.tokenizer) == size


def test_more_tokens_later_leave_the_first_ones_where_they_were(positioned):
    processor, resolved = positioned
    more = add_position_tokens(processor, LapeConfig(num_spatial_tokens=25, num_temporal_tokens=10))
    assert more.token_ids["width"][:20] == resolved.token_ids["width"]
    assert len(set(more.token_ids["width"] + more.token_ids["height"])) == 50


def test_tokens_survive_saving(positioned, config, tmp_path):
    processor, resolved = positioned
    processor.tokenizer.save_pretrained(tmp_path)
    again = type(processor.tokenizer).from_pretrained(tmp_path)
    size = len(again)
    assert add_position_tokens(again, config) == resolved
    assert len(again) == size


def test_a_tokenizer_that_would_drop_the_tokens_is_refused(tokenizer, config):
    tokenizer.add_tokens([AddedToken("<WIDTH-003>", special=True)])
    with pytest.raises(ModelError, match="width position tokens"):
        add_position_tokens(tokenizer, config)


def test_lookup_tells_axis_and_index_of_any_id(positioned):
    _, config = positioned
    positions = PositionIds.of(config)
    for number, name in enumerate(AXES):
        axis, index = positions.lookup(positions.ids[name])
        assert (axis == number).all()
        assert torch.equal(index, torch.arange(config.bins(name)))
    axis, index = positions.lookup(torch.tensor([[-100, 0], [5, 10**9]]))
    assert (axis == -1).all()
    assert (index == -1).all()


def test_lookup_without_resolved_ids_says_what_to_do(config):
    with pytest.raises(ModelError, match="add_position_tokens"):
        PositionIds.of(config)

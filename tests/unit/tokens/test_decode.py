import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from agrilape.errors import ModelError
from agrilape.geo.shapes import Box, Polygon, Span
from agrilape.tokens import Chat, PositionIds, TrainingItem, add_position_tokens, parse, prompt_batch
from agrilape.tokens.decode import CoordinateGrammar, expected_position, expected_positions, read_answers


def write(grammar, tokenizer, config, seed, length, rows=4):
    """Follow random scores that love brackets and positions; the answers as text."""
    generator = torch.Generator().manual_seed(seed)
    vocabulary = len(tokenizer)
    likely = [i for ids in config.token_ids.values() for i in ids]
    likely += [tokenizer.convert_tokens_to_ids(t) for t in "[]"]
    bias = torch.zeros(vocabulary)
    bias[likely] = 4.0
    ids = torch.zeros(rows, 1, dtype=torch.long)
    while ids.shape[1] < length:
        scores = torch.randn(rows, vocabulary, generator=generator) * 2 + bias
        ids = torch.cat([ids, grammar(ids, scores).argmax(dim=-1, keepdim=True)], dim=1)
    return [tokenizer.decode(row, skip_special_tokens=True) for row in ids[:, 1:]]


def sentencepiece_tokenizer():
    """Like Gemma's and Llama's: single bytes are tokens, and brackets come in all company."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", "[", "]", "▁[", "[[", "][", "],", "▁[]", "[a", "<", "▁<", ">", "▁maize", ":"]
    pieces += ["WIDTH", "HEIGHT", "TEMP", "-", "0", "00", "000", "3"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    backend = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    backend.normalizer = normalizers.Replace(" ", "▁")
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence(parts)
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="</s>")


@pytest.mark.parametrize("seed", range(12))
def test_no_vocabulary_can_spell_brackets_or_positions_past_the_grammar(config, codec, seed):
    tokenizer = sentencepiece_tokenizer()
    config = add_position_tokens(tokenizer, config)
    grammar = CoordinateGrammar(tokenizer, PositionIds.of(config), 80)
    ours = ["<0x5B>", "<0x5D>", "<0x3C>", "<", "▁<", "[[", "][", "▁[]", "[a", "],", "▁["]
    bias = torch.zeros(len(tokenizer))
    bias[tokenizer.convert_tokens_to_ids(ours)] = 6.0
    texts = write(lambda ids, scores: grammar(ids, scores + bias), tokenizer, config, seed, 80)
    answers = [parse(text, codec) for text in texts]
    assert [answer.problems for answer in answers] == [()] * 4
    assert not any("<" in part for answer in answers for part in answer.parts if isinstance(part, str))
    assert any(answer.shapes for answer in answers)
    free = write(lambda ids, scores: scores + bias, tokenizer, config, seed, 80)
    assert all(parse(text, codec).problems for text in free)


@pytest.mark.parametrize("max_vertices", [2, 3, 8])
@pytest.mark.parametrize("length", range(2, 40))
def test_whatever_the_scores_and_wherever_it_ends_the_answer_is_well_formed(
    positioned, codec, max_vertices, length
):
    processor, config = positioned
    grammar = CoordinateGrammar(processor.tokenizer, PositionIds.of(config), 10, max_vertices).until(length)
    for text in write(grammar, processor.tokenizer, config, seed=length, length=length):
        parsed = parse(text, codec)
        assert parsed.problems == (), text
        for shape in parsed.shapes:
            assert not isinstance(shape, Polygon) or 3 <= len(shape.points) <= max_vertices


def test_every_shape_can_be_written(positioned, codec):
    processor, config = positioned
    grammar = CoordinateGrammar(processor.tokenizer, PositionIds.of(config), 200)
    texts = [text for seed in range(10) for text in write(grammar, processor.tokenizer, config, seed, 200)]
    kinds = {type(shape).__name__ for text in texts for shape in parse(text, codec).shapes}
    assert kinds == {"Point", "Box", "Polygon", "Instant", "Span"}


def test_without_the_grammar_the_same_scores_write_nonsense(positioned, codec):
    processor, config = positioned
    texts = write(lambda ids, scores: scores, processor.tokenizer, config, 0, 60)
    assert all(parse(text, codec).problems for text in texts)


def test_a_sound_answer_passes_unchanged(positioned, codec, still):
    processor, config = positioned
    chat = Chat(processor, codec)
    grammar = CoordinateGrammar(processor.tokenizer, PositionIds.of(config))
    for sample in still.samples:
        ids = torch.tensor([[0, *chat.answer(sample).ids]])
        for end in range(1, ids.shape[1]):
            scores = torch.zeros(1, len(processor.tokenizer))
            assert grammar(ids[:, :end], scores)[0, ids[0, end]] == 0


def test_a_vocabulary_without_brackets_is_refused(positioned):
    _, config = positioned

    class Words:
        def __init__(self):
            self.added_tokens_decoder = {}

        def __len__(self):
            return 3

        def convert_ids_to_tokens(self, ids):
            return ["a", "b", "c"]

    with pytest.raises(ModelError, match="square brackets"):
        CoordinateGrammar(Words(), PositionIds.of(config))


@settings(deadline=None)
@given(u=st.floats(0, 19), window=st.integers(1, 4))
def test_a_two_hot_distribution_gives_its_position_back(u, window):
    low = min(int(u), 18)
    weights = torch.zeros(20, dtype=torch.float64)
    weights[low], weights[low + 1] = 1 - (u - low), u - low
    assert expected_position(weights.log(), window).item() == pytest.approx(u, abs=1e-4)


def test_a_second_mode_far_away_does_not_count():
    weights = torch.full((20,), 1e-9)
    weights[3], weights[4], weights[15] = 0.4, 0.2, 0.39
    assert expected_position(weights.log()).item() == pytest.approx(3 + 1 / 3, abs=1e-3)


def test_a_model_writes_sub_bin_coordinates(positioned, codec, still, series, tiny_model):
    processor, config = positioned
    model, chat, positions = tiny_model(processor, "sdpa"), Chat(processor, codec), PositionIds.of(config)
    batch = prompt_batch(chat, [TrainingItem(e, e.samples) for e in (still, series)])
    batch.pop("image_times")
    start = batch["input_ids"].shape[1]
    opener = processor.tokenizer.convert_tokens_to_ids("[")
    batch["input_ids"][:, -1] = opener  # as if the model had begun to answer with a bracket
    output = model.generate(
        **batch,
        max_new_tokens=12,
        do_sample=False,
        logits_processor=[CoordinateGrammar(processor.tokenizer, positions, start + 12)],
        output_scores=True,
        return_dict_in_generate=True,
        eos_token_id=chat.stop_id,
        pad_token_id=processor.tokenizer.pad_token_id,
    )
    generated = torch.cat([torch.full((5, 1), opener), output.sequences[:, start:]], dim=1)
    none = torch.full_like(output.scores[0], 0.0)
    finer = expected_positions(generated, (none, *output.scores), positions)
    coarse, fine = read_answers(chat, generated), read_answers(chat, generated, finer)
    assert [parsed.problems for _, parsed in coarse] == [()] * 5
    for (text, whole), (same, exact) in zip(coarse, fine, strict=True):
        assert text == same
        assert whole.shapes
        assert list(map(type, whole.parts)) == list(map(type, exact.parts))
        for one, other in zip(whole.shapes, exact.shapes, strict=True):
            if isinstance(one, Box | Span):
                assert tuple(other) == pytest.approx(tuple(one), abs=2 / 9)
                assert tuple(other) != tuple(one)

import dataclasses
import math
import pickle

import pytest
import torch
from tests.rounding import assert_same_but_for_rounding

from agrilape.dataset.types import Picture
from agrilape.errors import DataError, ModelError
from agrilape.geo.shapes import Box
from agrilape.tokens import Chat, Collator, PositionIds, TrainingItem, packing_of, parse, prompt_batch, render


def asked(example, question, answer):
    return dataclasses.replace(example.samples[0], question=question, answer=answer)


@pytest.fixture
def items(still, series):
    return [TrainingItem(still, still.samples), TrainingItem(series, series.samples)]


def answers(batch, processor):
    """Decoded answers, row by row, split where the labels pause."""
    for labels in batch["labels"]:
        run = []
        for label in [*labels.tolist(), -100]:
            if label >= 0:
                run.append(label)
            elif run:
                yield processor.tokenizer.decode(run)
                run = []


@pytest.mark.parametrize("packing", [torch.bool, None])
@pytest.mark.parametrize("coordinates", ["position_tokens", "text"])
def test_exactly_the_answers_are_learnt(positioned, codec, items, packing, coordinates):
    processor, _ = positioned
    batch = Collator(processor, codec, coordinates, packing)(items)
    wanted = [f" {render(s.answer, codec, coordinates)}</s>" for item in items for s in item.samples]
    assert list(answers(batch, processor)) == wanted


def test_targets_are_the_exact_positions(positioned, codec, items):
    processor, config = positioned
    batch = Collator(processor, codec)(items)
    axis, index = PositionIds.of(config).lookup(batch["labels"])
    targets = batch["position_targets"]
    assert torch.equal(axis >= 0, ~targets.isnan())
    assert ((targets - index).abs()[axis >= 0] <= 0.5 + 1e-5).all()
    box = torch.tensor([0.1 * 19, 0.2 * 19, 0.613 * 19, 19.0])
    assert torch.allclose(targets[0][axis[0] >= 0][:4], box)


def test_numerals_have_no_targets_and_single_digits(positioned, codec, still):
    processor, _ = positioned
    batch = Collator(processor, codec, "text")([TrainingItem(still, still.samples[:1])])
    assert batch["position_targets"].isnan().all()
    labels = [t for t in batch["labels"][0].tolist() if t >= 0]
    digits = [processor.tokenizer.decode([t]) for t in labels]
    assert [d for d in digits if d.isdigit()] == list("100200612999")


def test_series_name_the_date_of_each_image(positioned, codec, series, still):
    processor, _ = positioned
    chat = Chat(processor, codec)
    assert chat.prefix(still.chip) == "<s>user: <image>"
    assert chat.prefix(series.chip) == (
        "<s>user: [<TEMP-001>]<image>\n[<TEMP-004>]<image>\n[<TEMP-006>]<image>"
    )
    times = Collator(processor, codec)(
        [TrainingItem(still, still.samples), TrainingItem(series, series.samples)]
    )["image_times"]
    assert times[0].isnan()
    assert times[1:].tolist() == pytest.approx([59 / 364, 151 / 364, 243 / 364])


def test_rows_are_padded_to_a_multiple_of_eight(positioned, codec, items):
    processor, _ = positioned
    batch = Collator(processor, codec)(items)
    rows, length = batch["input_ids"].shape
    assert (rows, length % 8) == (2, 0)
    assert batch["attention_mask"].shape == (2, 1, length, length)
    assert batch["attention_mask"].any(dim=-1).all()  # no position attends to nothing
    assert batch["pixel_values"].shape == (4, 3, 32, 32)
    assert (batch["input_ids"] == processor.image_token_id).sum() == 4 * 16


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_questions_are_answered_as_if_alone(positioned, codec, items, tiny_model, attention):
    processor, _ = positioned
    model = tiny_model(processor, attention)
    packing = packing_of(model)
    assert packing == {"sdpa": torch.bool, "eager": torch.float32}[attention]
    packed, alone = (
        Collator(processor, codec, packing=packing)(items),
        Collator(processor, codec, packing=None)(items),
    )
    learnt = {}
    for name, batch in (("packed", packed), ("alone", alone)):
        batch = {k: v for k, v in batch.items() if k not in ("position_targets", "image_times")}
        labels = batch.pop("labels")
        with torch.no_grad():
            logits = model(**batch).logits[:, :-1]
        wanted = labels[:, 1:] >= 0
        learnt[name] = logits[wanted], labels[:, 1:][wanted]
    assert torch.equal(learnt["packed"][1], learnt["alone"][1])
    assert_same_but_for_rounding(learnt["packed"][0], learnt["alone"][0])
    assert learnt["packed"][0].std() > 0.1  # the logits say something at all


def test_a_question_does_not_see_another(positioned, codec, still, tiny_model):
    processor, _ = positioned
    model = tiny_model(processor, "sdpa")
    collate = Collator(processor, codec)
    other = dataclasses.replace(still.samples[0], answer=("something quite different",))
    both = collate([TrainingItem(still, (still.samples[1], still.samples[0]))])
    changed = collate([TrainingItem(still, (still.samples[1], other))])
    first = int((both["labels"][0] == collate.chat.stop_id).nonzero()[0])
    keys = ("input_ids", "attention_mask", "position_ids", "pixel_values")
    with torch.no_grad():
        one, two = (model(**{k: b[k] for k in keys}).logits[0, :first] for b in (both, changed))
    assert_same_but_for_rounding(one, two)


def test_models_with_masks_of_their_own_get_a_row_per_question(positioned, tiny_model):
    model = tiny_model(positioned[0], "sdpa")
    model.config.model_type = "paligemma"
    assert packing_of(model) is None


def test_too_long_questions_are_left_out_whole_and_counted(positioned, codec, still, series):
    processor, _ = positioned
    long = asked(still, ("why " * 300,), ("because",))
    collate = Collator(processor, codec, max_length=256)
    batch = collate([TrainingItem(still, (long, still.samples[1]))])
    assert collate.dropped == 1
    told = collate.chat.question(still.samples[1]).ids, collate.chat.answer(still.samples[1]).ids
    assert collate.task_tokens == {still.samples[1].task: sum(map(len, told))}
    assert list(answers(batch, processor)) == [" winter wheat</s>"]
    batch = collate([TrainingItem(still, (long,)), TrainingItem(series, series.samples)])
    assert collate.dropped == 2
    assert len(batch["input_ids"]) == 1
    assert len(batch["pixel_values"]) == len(batch["image_times"]) == 3
    with pytest.raises(DataError, match="256 tokens"):
        collate([TrainingItem(still, (long,))])


def test_prompts_are_what_training_showed_before_the_answer(positioned, codec, items):
    processor, _ = positioned
    collate = Collator(processor, codec, packing=None)
    trained, prompts = collate(items), prompt_batch(collate.chat, items)
    assert prompts["input_ids"].shape[1] % 8 == 0
    for row, mask, ids, labels in zip(
        prompts["input_ids"], prompts["attention_mask"], trained["input_ids"], trained["labels"], strict=True
    ):
        prompt = row[mask.bool()]
        assert mask[-1] == 1
        assert torch.equal(prompt, ids[: len(prompt)])
        assert int((labels >= 0).nonzero()[0]) == len(prompt)
    assert torch.equal(prompts["pixel_values"], trained["pixel_values"])


def test_a_batch_generates_as_single_prompts_do(positioned, codec, items, tiny_model):
    processor, _ = positioned
    model = tiny_model(processor, "sdpa")
    chat = Chat(processor, codec)

    def generate(batch):
        batch.pop("image_times")
        out = model.generate(
            **batch, max_new_tokens=6, do_sample=False, eos_token_id=chat.stop_id, pad_token_id=0
        )
        return out[:, batch["input_ids"].shape[1] :]

    together = generate(prompt_batch(chat, items))
    singles = [TrainingItem(item.example, (s,)) for item in items for s in item.samples]
    for row, single in zip(together, singles, strict=True):
        alone = generate(prompt_batch(chat, [single]))[0]
        assert torch.equal(row[: len(alone)], alone)


def test_words_that_spell_a_placeholder_or_a_position_do_no_harm(positioned, codec, still):
    processor, _ = positioned
    odd = asked(still, ("What is an <image>?",), ("It is <WIDTH-003> and <WIDTH-999>",))
    batch = Collator(processor, codec)([TrainingItem(still, (odd,))])
    assert (batch["input_ids"] == processor.image_token_id).sum() == 16
    targets = batch["position_targets"]
    assert targets[~targets.isnan()].tolist() == [3.0]


def test_a_damaged_image_is_named(positioned, codec, still):
    processor, _ = positioned
    chip = dataclasses.replace(still.chip, pictures=(Picture(b"no image"),))
    with pytest.raises(DataError, match="chip still"):
        Collator(processor, codec)([TrainingItem(dataclasses.replace(still, chip=chip), still.samples)])


def test_a_processor_without_a_template_is_refused(positioned, codec):
    processor, _ = positioned
    processor.chat_template = None
    with pytest.raises(ModelError, match="chat template"):
        Chat(processor, codec)


VICUNA = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ content['text'] + ' ' }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for content in message['content'] %}{% if content['type'] == 'image' %}<|vision|><image><|/vision|>"
    "{% else %}{{ content['text'] | trim }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize(
    ("template", "prefix", "conversation"),
    [
        (
            VICUNA,
            "USER: [<TEMP-001>]<image>\n[",
            "\nWhen was it green? ASSISTANT:| [<TEMP-003><TEMP-006>]</s>",
        ),
        (
            CHATML,
            "<|im_start|>user\n[<TEMP-001>]<|vision|><image><|/vision|>[",
            "<|/vision|>When was it green?<|im_end|>\n<|im_start|>assistant\n"
            "|[<TEMP-003><TEMP-006>]<|im_end|>",
        ),
    ],
)
def test_templates_of_other_families_are_followed(positioned, codec, series, template, prefix, conversation):
    processor, _ = positioned
    processor.tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<image>", "<|im_start|>", "<|im_end|>"]}
    )
    processor.chat_template = template
    chat = Chat(processor, codec)
    assert chat.prefix(series.chip).startswith(prefix)
    pieces = chat.question(series.samples[0]), chat.answer(series.samples[0])
    assert "|".join(processor.tokenizer.decode(piece.ids) for piece in pieces) == conversation


def test_what_a_model_wrote_reads_back(positioned, codec, still):
    processor, _ = positioned
    batch = Collator(processor, codec)([TrainingItem(still, still.samples[:1])])
    (written,) = answers(batch, processor)
    parsed = parse(written.removesuffix("</s>"), codec)
    assert [type(part) for part in parsed.parts] == [str, Box, str]
    assert not parsed.problems
    assert not math.isnan(parsed.shapes[0].left)


def test_position_tokens_that_the_tokenizer_lacks_are_asked_for(processor, codec, still):
    with pytest.raises(ModelError, match="add_position_tokens"):
        Collator(processor, codec)([TrainingItem(still, still.samples)])


def test_a_collator_can_be_sent_to_another_process(positioned, codec, items):
    collate = Collator(positioned[0], codec)
    here, there = collate(items), pickle.loads(pickle.dumps(collate))(items)
    assert all(torch.equal(here[name].nan_to_num(), there[name].nan_to_num()) for name in here)

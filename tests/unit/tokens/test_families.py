"""Prompts must be, token for token, what each family's processor makes of the whole conversation."""

import pytest
import torch
from tests.processors import FAMILIES, build_processor
from transformers import Gemma3Processor, LlavaProcessor, PaliGemmaProcessor, Qwen3VLProcessor

from agrilape.geo.shapes import Instant
from agrilape.tokens import Collator, TrainingItem, add_position_tokens, prompt_batch, render
from agrilape.tokens.chat import image_times
from agrilape.tokens.image_prefix import decode_pictures

IMAGES_FIRST = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}<image>{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ '\n' + content['text'] }}{% endfor %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture(params=FAMILIES)
def family(request, tokenizer, config):
    processor = build_processor(request.param, tokenizer)
    add_position_tokens(processor, config)
    return processor


def whole_prompt(processor, codec, chip, sample):
    """The prompt's tokens as the processor itself makes them, in one go."""
    content = []
    for time in image_times(chip):
        if time is not None:
            content.append({"type": "text", "text": render((Instant(time),), codec)})
        content.append({"type": "image"})
    content.append({"type": "text", "text": render(sample.question, codec)})
    if isinstance(processor, PaliGemmaProcessor):  # has no chat: images and words are all there is
        text = "".join(part.get("text", "<image>") for part in content)
    else:
        turns = [{"role": "user", "content": content}]
        text = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    images = [decode_pictures(chip)]
    return processor(text=[text], images=images, add_special_tokens=False, return_tensors="pt")["input_ids"][
        0
    ]


def test_prompts_are_the_processors_own(family, codec, still, series):
    collate = Collator(family, codec, packing=None)
    items = [TrainingItem(example, example.samples) for example in (still, series)]
    prompts = prompt_batch(collate.chat, items)
    questions = [(item.example.chip, sample) for item in items for sample in item.samples]
    for row, mask, question in zip(prompts["input_ids"], prompts["attention_mask"], questions, strict=True):
        assert torch.equal(row[mask.bool()], whole_prompt(family, codec, *question))
    end = "</s>" if isinstance(family, PaliGemmaProcessor) else "<|im_end|>"
    assert family.tokenizer.decode(collate.chat.stop_id) == end


def test_what_the_processor_says_of_tokens_goes_on_over_the_text(family, codec, still):
    batch = Collator(family, codec, packing=None)([TrainingItem(still, still.samples)])
    per_token = {name: value for name, value in batch.items() if name.endswith("type_ids")}
    assert per_token or not isinstance(family, Gemma3Processor | PaliGemmaProcessor | Qwen3VLProcessor)
    answers = isinstance(family, PaliGemmaProcessor)
    for name, value in per_token.items():
        images = torch.isin(batch["input_ids"], torch.tensor(family.image_token_ids))
        assert torch.equal(value == 1, batch["labels"] != -100 if answers else images), name


def test_paligemma_trains_on_what_its_processor_makes_of_prompt_and_answer(tokenizer, config, codec, still):
    processor = build_processor("paligemma", tokenizer)
    add_position_tokens(processor, config)
    batch = Collator(processor, codec, packing=None)([TrainingItem(still, still.samples[:1])])
    sample = still.samples[0]
    question, answer = render(sample.question, codec), render(sample.answer, codec)
    images = decode_pictures(still.chip)
    whole = processor(text=["<image>" + question], suffix=[answer], images=images, return_tensors="pt")
    length = whole["input_ids"].shape[1]
    for name in ("input_ids", "labels", "token_type_ids", "attention_mask"):
        assert torch.equal(batch[name][:, :length], whole[name]), name


def test_dates_stay_with_their_images_where_a_template_puts_images_first(positioned, codec, series):
    processor: LlavaProcessor = positioned[0]
    processor.tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    processor.chat_template = IMAGES_FIRST
    chat = Collator(processor, codec).chat
    assert chat.prefix(series.chip) == "<|im_start|>user " + "".join(
        f"[<TEMP-00{n}>]<image>" for n in (1, 4, 6)
    )
    question = processor.tokenizer.decode(chat.question(series.samples[0]).ids)
    assert question == "\nWhen was it green?<|im_end|><|im_start|>assistant\n"

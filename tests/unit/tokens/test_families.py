"""Prompts must be, token for token, what each family's processor makes of the whole conversation."""

import pytest
import torch
from transformers import (
    Gemma3ImageProcessorPil,
    Gemma3Processor,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    LlavaProcessor,
)

from agrilape.geo.shapes import Instant
from agrilape.tokens import Collator, TrainingItem, add_position_tokens, prompt_batch, render
from agrilape.tokens.chat import image_times
from agrilape.tokens.prefix import decode_pictures

TURNS = (
    "{{% for message in messages %}}{{{{ '{start}' + message['role'] + '\n' }}}}"
    "{{% for content in message['content'] %}}{{% if content['type'] == 'image' %}}{image}"
    "{{% else %}}{{{{ content['text'] | trim }}}}{{% endif %}}{{% endfor %}}{{{{ '{end}\n' }}}}{{% endfor %}}"
    "{{% if add_generation_prompt %}}{{{{ '{start}assistant\n' }}}}{{% endif %}}"
)
CHATML = TURNS.format(start="<|im_start|>", end="<|im_end|>", image="<image>")
IMAGES_FIRST = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}<image>{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ '\n' + content['text'] }}{% endfor %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TILES = {"image_grid_pinpoints": [[32, 64], [64, 32], [64, 64]]}


def llava_next(tokenizer):
    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, **TILES
    )
    return LlavaNextProcessor(
        images, tokenizer, patch_size=8, vision_feature_select_strategy="full", chat_template=CHATML
    )


def idefics3(tokenizer):
    images = Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    return Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=CHATML)


def gemma3(tokenizer):
    for name, text in {"boi": "<start_of_image>", "eoi": "<end_of_image>", "image": "<soft>"}.items():
        tokenizer.add_tokens([text], special_tokens=True)
        setattr(tokenizer, f"{name}_token", text)
        setattr(tokenizer, f"{name}_token_id", tokenizer.convert_tokens_to_ids(text))
    template = "{{ bos_token }}" + TURNS.format(
        start="<|im_start|>", end="<|im_end|>", image="<start_of_image>"
    )
    images = Gemma3ImageProcessorPil(size={"height": 32, "width": 32})
    return Gemma3Processor(images, tokenizer, image_seq_length=4, chat_template=template)


@pytest.fixture(params=[llava_next, idefics3, gemma3], ids=lambda family: family.__name__)
def family(request, tokenizer, config):
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    processor = request.param(tokenizer)
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
    assert family.tokenizer.decode(collate.chat.stop_id) == "<|im_end|>"


def test_what_the_processor_says_of_tokens_keeps_their_length(family, codec, still):
    batch = Collator(family, codec, packing=None)([TrainingItem(still, still.samples)])
    per_token = {name: value for name, value in batch.items() if name.endswith("type_ids")}
    assert bool(per_token) == isinstance(family, Gemma3Processor)
    for value in per_token.values():
        assert torch.equal(value == 1, batch["input_ids"] == family.tokenizer.image_token_id)


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

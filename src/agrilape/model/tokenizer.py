"""A small byte-level BPE tokenizer for the built-in models: words and crop names are single tokens."""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

_CROPS = """
winter wheat spring wheat durum wheat winter barley spring barley rye oats triticale maize corn silage grain
sorghum rice soybean soybeans sunflower rapeseed canola oilseed rape potato potatoes beet sugar beet
sugarcane cotton pea peas bean beans lentil lentils alfalfa lucerne clover grass grassland meadow pasture
fallow bare soil vineyard orchard olive fruit vegetables legumes forage hemp flax millet peanut tobacco
coffee cereal cereals crop crops other mixed
"""
# One token each, also with the comma or semicolon after it: the 64 cells of a `layout` answer then follow the
# 64 visual tokens at one fixed distance, and a model trained from scratch soon learns to look at the image.
_COVER = (
    "winter wheat", "winter barley", "rapeseed", "maize", "sugar beet", "potato", "sunflower", "grassland",
    "fallow", "other",
)  # fmt: skip
_NAMES = (
    "spring wheat", "durum wheat", "spring barley", "oilseed rape",
    "top left", "top right", "bottom left", "bottom right",
)  # fmt: skip
_LAND = """
annual permanent herbaceous vegetation forest wood woodland tree trees shrub highway road industrial
residential buildings farmstead river lake sea water wetland cropland field fields land ground background
cover use image scene parcel boundary pivot stress drought pest disease flooded irrigated sown emerged
mature harvested small medium large
"""
_SPEECH = """
a an and are as at between by date dates day days each for from give here how in is it list locate many me
most name no none not of on one only or say show shows the there this three to two under what when where
which who with yes zero row rows column part middle top bottom left right centre center upper lower north
south east west near inside outside January February March April May June July August September October
November December early late spring summer autumn winter week month year season green greenest peak sensor
metres hectares ha location
"""
IMAGE_TOKEN = "<image>"  # noqa: S105
_SPECIAL = ("<|pad|>", "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", IMAGE_TOKEN)
_CONTENT = (
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
)
NANO_TEMPLATE = (
    "<|begin|>{% for message in messages %}<|{{ message['role'] }}|>" + _CONTENT + "<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SMOLLM2_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n" + _CONTENT + "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Train the tokenizer; the same words always give the same tokenizer.

    Whole words become tokens with and without a blank before them, digits stay single, and any other text is
    spelled in bytes.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=100_000,  # never reached: merging ends when every word is one token
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    cells = [name + separator for name in _COVER for separator in ("", ",", ";")]
    tokens = [form for name in (*cells, *_NAMES) for form in (name, f" {name}", name.capitalize())]
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in tokens])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",  # noqa: S106
        bos_token="<|begin|>",  # noqa: S106
        eos_token="<|end|>",  # noqa: S106
        additional_special_tokens=["<|user|>", "<|assistant|>", "<|system|>", IMAGE_TOKEN],
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _texts() -> list[str]:
    # Imported here, since samples bring the geospatial libraries, which models of the hub do without.
    from agrilape.dataset.prompt_templates import load_prompt_templates

    questions = [text for templates in load_prompt_templates().questions.values() for text in templates]
    words = {word for text in (*questions, _CROPS, _LAND, _SPEECH) for word in text.split() if word.isalpha()}
    forms = sorted(words | {word.capitalize() for word in words})
    return [text for word in forms for text in (word, f" {word}")]

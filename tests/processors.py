"""Processors of every supported family, made on the spot: real classes around a tiny tokenizer.

Some families bring a video processor, which needs torchvision, and SmolVLM's needs num2words besides. Here
they do without both, since agrilape shows acquisitions as images. Pixtral's cannot, and is skipped.
"""

from types import SimpleNamespace
from unittest.mock import patch

import transformers as hf
from transformers.models.smolvlm import processing_smolvlm
from transformers.processing_utils import ProcessorMixin

TURNS = (
    "{{% for message in messages %}}{{{{ '<|im_start|>' + message['role'] + '\n' }}}}"
    "{{% for content in message['content'] %}}{{% if content['type'] == 'image' %}}{image}"
    "{{% else %}}{{{{ content['text'] | trim }}}}{{% endif %}}{{% endfor %}}"
    "{{{{ '<|im_end|>\n' }}}}{{% endfor %}}"
    "{{% if add_generation_prompt %}}{{{{ '<|im_start|>assistant\n' }}}}{{% endif %}}"
)
CHATML = TURNS.format(image="<image>")
QWEN = TURNS.format(image="<|vision_start|><|image_pad|><|vision_end|>")
TILES = [[32 * rows, 32 * columns] for rows in range(1, 4) for columns in range(1, 4)]


def _fixed(processor):
    return lambda: processor(size={"height": 32, "width": 32}, do_center_crop=False)


def _qwen():
    return hf.Qwen2VLImageProcessorPil(
        patch_size=8, size={"shortest_edge": 16 * 16 * 4, "longest_edge": 16 * 16 * 30}
    )


def _idefics(processor):
    return lambda: processor(size={"longest_edge": 96}, max_image_size={"longest_edge": 32})


IMAGE_PROCESSORS = {
    "llava": _fixed(hf.CLIPImageProcessorPil),
    "llava, class token": _fixed(hf.CLIPImageProcessorPil),
    "llava, pixtral": lambda: hf.PixtralImageProcessorPil(
        size={"longest_edge": 64}, patch_size={"height": 8, "width": 8}
    ),
    "llava_next": lambda: hf.LlavaNextImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_grid_pinpoints=TILES
    ),
    "llava_onevision": lambda: hf.LlavaOnevisionImageProcessorPil(
        size={"height": 32, "width": 32}, image_grid_pinpoints=TILES
    ),
    "qwen2_vl": _qwen,
    "qwen2_5_vl": _qwen,
    "qwen3_vl": _qwen,
    "idefics3": _idefics(hf.Idefics3ImageProcessorPil),
    "smolvlm": _idefics(hf.SmolVLMImageProcessorPil),
    "internvl": lambda: hf.GotOcr2ImageProcessorPil(
        size={"height": 32, "width": 32}, crop_to_patches=True, max_patches=6
    ),
    "paligemma": _fixed(hf.SiglipImageProcessorPil),
    "gemma3": lambda: hf.Gemma3ImageProcessorPil(size={"height": 32, "width": 32}),
}  # fmt: skip


def build_processor(name, tokenizer):
    """The processor of a family, as its tiny model in `tests/integration/families` expects it.

    Args:
        name: `config.model_type`.
        tokenizer: With `<image>` among its tokens; gets the special tokens of the family.
    """
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    with (
        patch.object(ProcessorMixin, "check_argument_for_proper_class", lambda *_: None),
        patch.object(processing_smolvlm, "num2words", str),
    ):
        return _PROCESSORS[name](IMAGE_PROCESSORS[name](), tokenizer)


def _llava(images, tokenizer):
    return hf.LlavaProcessor(
        images, tokenizer, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=CHATML,
    )  # fmt: skip


def _llava_next(images, tokenizer):
    return hf.LlavaNextProcessor(
        images, tokenizer, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=CHATML,
    )  # fmt: skip


def _llava_onevision(images, tokenizer):
    tokenizer.add_tokens(["<video>"], special_tokens=True)
    return hf.LlavaOnevisionProcessor(
        images, tokenizer, None, num_image_tokens=16, vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_4", chat_template=CHATML,
    )  # fmt: skip


def _qwen_vl(processor):
    def build(images, tokenizer):
        tokens = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
        tokenizer.add_tokens(tokens, special_tokens=True)
        return processor(images, tokenizer, None, chat_template=QWEN)

    return build


def _idefics3(images, tokenizer):
    return hf.Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=CHATML)


def _smolvlm(images, tokenizer):
    marks = ["<fake_token_around_image>", "<global-img>", "<video>"]
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tokenizer.add_tokens([*marks, *tiles], special_tokens=True)
    videos = SimpleNamespace(num_frames=1, fps=1)  # looked at even where there is no video
    return hf.SmolVLMProcessor(images, tokenizer, videos, image_seq_len=4, chat_template=CHATML)


def _internvl(images, tokenizer):
    _name_tokens(
        tokenizer, start_image="<img>", end_image="</img>", context_image="<IMG_CONTEXT>", video="<video>"
    )
    template = TURNS.format(image="<IMG_CONTEXT>\n")
    return hf.InternVLProcessor(images, tokenizer, None, image_seq_length=4, chat_template=template)


def _paligemma(images, tokenizer):
    images.image_seq_length = 16
    return hf.PaliGemmaProcessor(images, tokenizer)


def _gemma3(images, tokenizer):
    _name_tokens(tokenizer, boi="<start_of_image>", eoi="<end_of_image>", image="<soft>")
    template = "{{ bos_token }}" + TURNS.format(image="<start_of_image>")
    return hf.Gemma3Processor(images, tokenizer, image_seq_length=4, chat_template=template)


def _name_tokens(tokenizer, **names):
    """Give a tokenizer tokens by attribute, as the settings of a checkpoint's tokenizer do."""
    tokenizer.add_tokens(list(names.values()), special_tokens=True)
    tokenizer._set_model_specific_special_tokens({f"{name}_token": text for name, text in names.items()})


_PROCESSORS = {
    "llava": _llava, "llava_next": _llava_next, "llava_onevision": _llava_onevision,
    "qwen2_vl": _qwen_vl(hf.Qwen2VLProcessor),
    "qwen2_5_vl": _qwen_vl(hf.Qwen2_5_VLProcessor), "qwen3_vl": _qwen_vl(hf.Qwen3VLProcessor),
    "idefics3": _idefics3, "smolvlm": _smolvlm, "internvl": _internvl, "paligemma": _paligemma,
    "gemma3": _gemma3,
}  # fmt: skip
FAMILIES = sorted(_PROCESSORS)

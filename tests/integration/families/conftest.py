"""Tiny random models of every supported family."""

from itertools import chain

import pytest
import torch
import transformers as hf
from tests.processors import IMAGE_PROCESSORS, TILES, build_processor

from agrilape.config.lape import AXES, LapeConfig
from agrilape.model import attach
from agrilape.model.tokenizer import build_tokenizer
from agrilape.tokens import Chat, PositionCodec, add_position_tokens

VOCABULARY, IMAGE, VIDEO, START, END, NEWLINE = 300, 290, 291, 292, 293, 294
TEXT = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 2048, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
VISION = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
}  # fmt: skip


def _clip():
    return hf.CLIPVisionConfig(**VISION, image_size=32, patch_size=8, projection_dim=16)


def _siglip(**kwargs):
    return hf.SiglipVisionConfig(
        **VISION, **{"image_size": 32, "patch_size": 8, "vision_use_head": False} | kwargs
    )


def _llava(tied):
    return hf.LlavaForConditionalGeneration, hf.LlavaConfig(
        vision_config=_clip(), text_config=hf.LlamaConfig(**TEXT, tie_word_embeddings=tied),
        image_token_id=IMAGE, vision_feature_layer=-1, tie_word_embeddings=tied,
    )  # fmt: skip


def _llava_with_class_token(tied):
    model, config = _llava(tied)
    config.vision_feature_select_strategy = "full"
    return model, config


def _llava_pixtral(tied):
    vision = hf.PixtralVisionConfig(**VISION, image_size=128, patch_size=8)
    return hf.LlavaForConditionalGeneration, hf.LlavaConfig(
        vision_config=vision, text_config=hf.MistralConfig(**TEXT, tie_word_embeddings=tied),
        image_token_id=IMAGE, vision_feature_layer=-1, tie_word_embeddings=tied,
        vision_feature_select_strategy="full",
    )  # fmt: skip


def _qwen2_vl(tied):
    rope = {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}}
    return hf.Qwen2VLForConditionalGeneration, hf.Qwen2VLConfig(
        text_config={**TEXT, **rope, "tie_word_embeddings": tied}, tie_word_embeddings=tied,
        vision_config={
            "embed_dim": 16, "hidden_size": 32, "depth": 2, "num_heads": 2, "patch_size": 8, "mlp_ratio": 2,
            "temporal_patch_size": 2,
        },
        image_token_id=IMAGE, video_token_id=VIDEO, vision_start_token_id=START, vision_end_token_id=END,
    )  # fmt: skip


def _llava_next(tied):
    return hf.LlavaNextForConditionalGeneration, hf.LlavaNextConfig(
        vision_config=_clip(), text_config=hf.LlamaConfig(**TEXT, tie_word_embeddings=tied),
        image_token_id=IMAGE, vision_feature_layer=-1, tie_word_embeddings=tied,
        image_grid_pinpoints=TILES,
    )  # fmt: skip


def _llava_onevision(tied):
    return hf.LlavaOnevisionForConditionalGeneration, hf.LlavaOnevisionConfig(
        vision_config=_siglip(), text_config=hf.Qwen2Config(**TEXT, tie_word_embeddings=tied),
        image_token_id=IMAGE, video_token_id=VIDEO, vision_feature_layer=-1, tie_word_embeddings=tied,
        image_grid_pinpoints=TILES, vision_aspect_ratio="anyres_max_4",
        vision_feature_select_strategy="full",
    )  # fmt: skip


def _qwen2_5_vl(tied):
    rope = {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}}
    return hf.Qwen2_5_VLForConditionalGeneration, hf.Qwen2_5_VLConfig(
        text_config={**TEXT, **rope, "tie_word_embeddings": tied}, tie_word_embeddings=tied,
        vision_config={
            "hidden_size": 16, "intermediate_size": 24, "depth": 2, "num_heads": 2, "patch_size": 8,
            "window_size": 32, "fullatt_block_indexes": [1], "out_hidden_size": 32, "temporal_patch_size": 2,
        },
        image_token_id=IMAGE, video_token_id=VIDEO, vision_start_token_id=START, vision_end_token_id=END,
    )  # fmt: skip


def _qwen3_vl(tied):
    rope = {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}}
    return hf.Qwen3VLForConditionalGeneration, hf.Qwen3VLConfig(
        text_config={**TEXT, **rope, "head_dim": 16, "tie_word_embeddings": tied}, tie_word_embeddings=tied,
        vision_config={
            "hidden_size": 16, "intermediate_size": 24, "depth": 2, "num_heads": 2, "patch_size": 8,
            "out_hidden_size": 32, "temporal_patch_size": 2, "deepstack_visual_indexes": [0],
            "num_position_embeddings": 64,
        },
        image_token_id=IMAGE, video_token_id=VIDEO, vision_start_token_id=START, vision_end_token_id=END,
    )  # fmt: skip


def _idefics(model, config, vision):
    def build(tied):
        return model, config(
            vision_config=vision(**VISION, image_size=32, patch_size=8), scale_factor=2, image_token_id=IMAGE,
            text_config=hf.LlamaConfig(**TEXT, tie_word_embeddings=tied), tie_word_embeddings=tied,
        )  # fmt: skip

    return build


def _internvl(tied):
    return hf.InternVLForConditionalGeneration, hf.InternVLConfig(
        vision_config={**VISION, "image_size": 32, "patch_size": 8}, image_token_id=IMAGE, image_seq_length=4,
        text_config=hf.Qwen2Config(**TEXT, tie_word_embeddings=tied), tie_word_embeddings=tied,
    )  # fmt: skip


def _paligemma(tied):
    text = hf.Gemma2Config(**TEXT, head_dim=16, tie_word_embeddings=tied)
    return hf.PaliGemmaForConditionalGeneration, hf.PaliGemmaConfig(
        vision_config=_siglip(projection_dim=32), text_config=text, projection_dim=32,
        tie_word_embeddings=tied, image_token_id=IMAGE,
    )  # fmt: skip


def _gemma3(tied):
    text = hf.Gemma3TextConfig(**TEXT, head_dim=16, tie_word_embeddings=tied)
    return hf.Gemma3ForConditionalGeneration, hf.Gemma3Config(
        vision_config=_siglip(), text_config=text, image_token_id=IMAGE, mm_tokens_per_image=4,
        boi_token_id=START, eoi_token_id=END, tie_word_embeddings=tied,
    )  # fmt: skip


CONFIGS = {
    "llava": _llava, "llava, class token": _llava_with_class_token, "llava, pixtral": _llava_pixtral,
    "qwen2_vl": _qwen2_vl, "llava_next": _llava_next, "llava_onevision": _llava_onevision,
    "qwen2_5_vl": _qwen2_5_vl, "qwen3_vl": _qwen3_vl, "internvl": _internvl, "paligemma": _paligemma,
    "gemma3": _gemma3,
    "idefics3": _idefics(
        hf.Idefics3ForConditionalGeneration, hf.Idefics3Config, hf.models.idefics3.Idefics3VisionConfig
    ),
    "smolvlm": _idefics(hf.SmolVLMForConditionalGeneration, hf.SmolVLMConfig, hf.SmolVLMVisionConfig),
}  # fmt: skip


SIZED = ("llava_next", "llava_onevision", "internvl", "llava, pixtral")  # need the sizes of images


class Case:
    """A tiny model of one family, its image processor, and prompts for it."""

    def __init__(self, name, tied=False, seed=0):
        torch.manual_seed(seed)
        model, config = CONFIGS[name](tied)
        self.name, self.tied = name, tied
        self.model = model(config).eval()
        for key, parameter in self.model.named_parameters():
            if key.endswith("mm_input_projection_weight"):  # Gemma 3 begins with zeros
                torch.nn.init.normal_(parameter)
        self.images = IMAGE_PROCESSORS[name]()

    @property
    def config(self):
        """LAPE with ids scattered over the vocabulary and beyond it, in no order."""
        return LapeConfig(
            num_spatial_tokens=8, num_temporal_tokens=4,
            token_ids={
                "height": tuple(range(207, 199, -1)), "width": tuple(range(310, 318)),
                "temporal": (3, 5, 9, 7),
            },
        )  # fmt: skip

    @property
    def token_ids(self):
        return torch.tensor([token for axis in AXES for token in self.config.token_ids[axis]])

    def inputs(self, prompts):
        """Model inputs for prompts, each a list of pictures (uint8 arrays) and lists of token ids."""
        pictures = [[part for part in prompt if not isinstance(part, list)] for prompt in prompts]
        nested = self.name in ("idefics3", "smolvlm", "llava_onevision")
        extra = {"return_row_col_info": True} if self.name in ("idefics3", "smolvlm") else {}
        shown = pictures if nested else list(chain(*pictures))
        data = dict(self.images(shown, return_tensors="pt", **extra))
        sizes = torch.tensor([picture.shape[:2] for picture in chain(*pictures)])
        data["image_sizes"] = data.get("image_sizes", sizes)  # Pixtral's are those after resizing
        data["input_ids"] = self._tokens(prompts, iter(self._placeholders(data)))
        data["attention_mask"] = (data["input_ids"] != 0).long()
        if self.name not in SIZED:
            del data["image_sizes"]
        for name in ("rows", "cols", "num_patches", "num_crops"):
            data.pop(name, None)
        if self.name.startswith("qwen") or self.name in ("gemma3", "paligemma"):
            kind = "mm_token_type_ids" if self.name.startswith("qwen") else "token_type_ids"
            data[kind] = (data["input_ids"] == IMAGE).long()
        return data

    def _tokens(self, prompts, placeholders):
        rows = [
            list(chain(*(part if isinstance(part, list) else next(placeholders) for part in prompt)))
            for prompt in prompts
        ]
        longest = max(map(len, rows))
        return torch.tensor([[0] * (longest - len(row)) + row for row in rows])

    def _placeholders(self, data):
        if self.name in (
            "idefics3",
            "smolvlm",
        ):  # START stands for <fake_token_around_image>, 295 for <global-img>
            for rows, columns in zip(chain(*data["rows"]), chain(*data["cols"]), strict=True):
                cut = []
                for row in range(rows):
                    for column in range(columns):
                        cut += [START, 220 + row * 6 + column, *[IMAGE] * 4]
                    cut += [NEWLINE]
                yield [*cut, *[NEWLINE] * bool(rows), START, 295, *[IMAGE] * 4, START]
        elif self.name == "internvl":
            for tiles in data["num_patches"]:
                yield [START, *[IMAGE] * 4 * int(tiles), END]
        else:
            with torch.no_grad():
                features = self.model.base_model.get_image_features(**self.vision(data)).pooler_output
            for part in features:
                yield [START, *[IMAGE] * len(part), END]

    def vision(self, data):
        """The arguments of `get_image_features`."""
        known = ["pixel_values", "image_grid_thw"]
        if self.name in SIZED and self.name != "internvl":
            known += ["image_sizes", "batch_num_images"]
        return {name: data[name] for name in known if name in data}


class Speaker:
    """A tiny model and the real processor of its family, which share their special tokens."""

    def __init__(self, name, tied=False):
        self.model = Case(name, tied).model
        self.processor = build_processor(name, build_tokenizer())
        self._rename_tokens()

    def attach(self):
        """Give it LAPE, and what is needed to ask it about places."""
        settings = LapeConfig(num_spatial_tokens=20, num_temporal_tokens=10)
        self.config = add_position_tokens(self.processor, settings)
        self.codec = PositionCodec(self.config)
        self.chat = Chat(self.processor, self.codec)
        attach(self.model, self.config, self.processor.tokenizer)
        return self

    def _rename_tokens(self):
        """Tell the model the ids that its processor uses, and make room for its words."""
        config, processor = self.model.config, self.processor
        tokenizer = processor.tokenizer
        image = processor.image_token_id
        if config.model_type == "gemma3":  # its processor calls the token before an image so
            image, config.boi_token_id = tokenizer.image_token_id, image
        config.image_token_id = config.image_token_index = image
        if config.model_type.startswith("qwen"):
            config.vision_start_token_id = tokenizer.convert_tokens_to_ids("<|vision_start|>")
            config.video_token_id = tokenizer.convert_tokens_to_ids("<|video_pad|>")
        self.model.resize_token_embeddings(len(tokenizer), mean_resizing=False)


@pytest.fixture(scope="session")
def speaker():
    """Builds a `Speaker`: `speaker(family, tied)`."""
    return Speaker


@pytest.fixture(scope="session")
def family_case():
    """Builds a `Case`: `family_case(family, tied)`."""
    return Case

"""A release of LLaVA-ST in its true layout, as a checkpoint of LLaVA-OneVision with LAPE."""

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.processors import build_processor
from torch.nn import functional as F
from typer.testing import CliRunner

from agrilape.cli.app import app
from agrilape.errors import ModelError
from agrilape.model import lape_of, load_checkpoint
from agrilape.model.footprint import centre
from agrilape.model.grids import grid
from agrilape.model.llava_st import import_llava_st
from agrilape.model.tokenizer import build_tokenizer

SPATIAL, TEMPORAL, WIDTH = 12, 9, 32
TABLES = {
    f"{axis}_{way}_embeddings.weight": bins
    for axis, bins in {"spatial_height": SPATIAL, "spatial_width": SPATIAL, "temporal": TEMPORAL}.items()
    for way in ("input", "output")
}
OTHERS = "non_lora_trainables.bin"
EXTRA = ["<im_start>", "<im_end>", "<im_patch>", "<TEMP-INPUT>", "<TEMP-OUTPUT>"]


def tables(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(bins, WIDTH, generator=generator) for name, bins in TABLES.items()}


@pytest.fixture
def base(speaker, tmp_path, monkeypatch):
    """A tiny LLaVA-OneVision in a folder; its processor needs torchvision to be loaded from there."""
    made = speaker("llava_onevision")
    made.model.save_pretrained(tmp_path / "base")
    made.processor.save_pretrained = made.processor.tokenizer.save_pretrained
    for module in ("llava_st", "checkpoint"):
        monkeypatch.setattr(f"agrilape.model.{module}.load_processor", lambda *_: made.processor)
    return made


def write_lora(folder, model, rank=2, alpha=6):
    """`non_lora_trainables.bin` beside an adapter, as stage 3 leaves them."""
    folder.mkdir()
    others = {
        "mm_projector.0.weight": torch.full_like(model.model.multi_modal_projector.linear_1.weight, 0.5),
        "image_newline": torch.full((WIDTH,), 0.25),
        "vision_resampler.proj.weight": torch.ones(3, 3),
    }
    content = {f"base_model.model.model.{name}": value for name, value in {**tables(), **others}.items()}
    torch.save(content, folder / OTHERS)
    generator = torch.Generator().manual_seed(1)
    query = "base_model.model.model.layers.1.self_attn.q_proj"
    factors = {
        f"{query}.lora_A.weight": torch.randn(rank, WIDTH, generator=generator),
        f"{query}.lora_B.weight": torch.randn(WIDTH, rank, generator=generator),
    }
    save_file(factors, folder / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return factors[f"{query}.lora_B.weight"] @ factors[f"{query}.lora_A.weight"] * alpha / rank


def write_whole(folder, model, tokenizer):
    """All weights in safetensors under LLaVA's own names, with its own numbers of tokens."""
    folder.mkdir()
    names = {
        "model.language_model.": "model.",
        "model.vision_tower.": "model.vision_tower.vision_tower.vision_model.",
        "model.multi_modal_projector.linear_1.": "model.mm_projector.0.",
        "model.multi_modal_projector.linear_2.": "model.mm_projector.2.",
    }
    content = {f"model.{name}": value for name, value in tables().items()}
    for name, value in model.state_dict().items():
        before = next((prefix for prefix in names if name.startswith(prefix)), "")
        content[names.get(before, "") + name.removeprefix(before)] = value + 1
    text = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda one: one[1])]
    order = [*reversed(text), *EXTRA]  # numbered otherwise than the base model
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        content[name] = torch.arange(len(order)).float()[:, None].expand(-1, WIDTH).contiguous()
    save_file(content, folder / "model.safetensors")
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(order[:-5])}))
    (folder / "added_tokens.json").write_text(
        json.dumps({token: len(order) - 5 + i for i, token in enumerate(EXTRA)})
    )
    return {token: number for number, token in enumerate(order)}


def test_a_release_with_lora_becomes_a_checkpoint(base, tmp_path):
    delta = write_lora(tmp_path / "release", base.model)
    result = CliRunner().invoke(
        app,
        [
            "import",
            "llava-st",
            str(tmp_path / "release"),
            str(tmp_path / "out"),
            "--base",
            str(tmp_path / "base"),
        ],
    )
    assert result.exit_code == 0, result.output
    loaded = load_checkpoint(tmp_path / "out")
    lape, wanted = lape_of(loaded.model), tables()
    assert torch.equal(lape.table("height", "in"), wanted["spatial_height_input_embeddings.weight"])
    assert torch.equal(lape.table("width", "out"), wanted["spatial_width_output_embeddings.weight"])
    assert torch.equal(lape.table("temporal", "in"), wanted["temporal_input_embeddings.weight"])
    inner, before = loaded.model.model, base.model.model
    assert (inner.multi_modal_projector.linear_1.weight == 0.5).all()
    assert (inner.image_newline == 0.25).all()
    query = [one.language_model.layers[1].self_attn.q_proj.weight for one in (inner, before)]
    torch.testing.assert_close(query[0] - query[1], delta, atol=1e-5, rtol=1e-4)
    assert loaded.meta["imported"]["skipped"] == {"model.vision_resampler": 1}
    vocabulary = loaded.processor.tokenizer.get_vocab()
    assert loaded.config.token_ids["temporal"] == tuple(
        vocabulary[f"<TEMP-{i:03d}>"] for i in range(TEMPORAL)
    )


def test_a_release_with_all_weights_keeps_each_token_its_row(base, tmp_path):
    tokenizer = build_processor("llava_onevision", build_tokenizer()).tokenizer
    theirs = write_whole(tmp_path / "release", base.model, tokenizer)
    found = import_llava_st(tmp_path / "release", tmp_path / "base", tmp_path / "out")
    assert (found.taken, found.skipped) == (len(base.model.state_dict()), {})
    loaded = load_checkpoint(tmp_path / "out").model
    for token, number in tokenizer.get_vocab().items():
        for module in (loaded.get_input_embeddings(), loaded.get_output_embeddings()):
            assert (module.weight[number] == theirs[token]).all(), token
    layer = "model.language_model.layers.0.mlp.up_proj.weight"
    assert torch.equal(loaded.state_dict()[layer], base.model.state_dict()[layer] + 1)


@pytest.mark.parametrize(("bins", "patches"), [(100, 27), (100, 24), (50, 27), (10, 27)])
def test_interpolation_at_centres_is_the_published_one(bins, patches):
    """Linear interpolation of the table to as many rows as there are patches, in float64."""
    table = torch.randn(bins, 16, dtype=torch.float64)
    published = F.interpolate(table.T[None], size=(patches,), mode="linear")[0].T
    edges = torch.linspace(0, 1, patches + 1, dtype=torch.float64)
    ours = centre(edges[:-1], edges[1:], bins) @ table
    assert (ours - published).abs().max() < 1e-10


def test_injection_is_the_published_one(base, family_case, tmp_path):
    """Features + height + width + time, a still image at the first time, with nothing scaled."""
    write_lora(tmp_path / "release", base.model)
    import_llava_st(tmp_path / "release", tmp_path / "base", tmp_path / "out")
    model, rows = load_checkpoint(tmp_path / "out").model, tables()
    mean = {
        axis: (rows[f"{axis}_input_embeddings.weight"] + rows[f"{axis}_output_embeddings.weight"]) / 2
        for axis in ("spatial_height", "spatial_width", "temporal")
    }
    lape = lape_of(model)
    side = 4
    resized = [
        F.interpolate(mean[f"spatial_{axis}"].T[None], size=(side,), mode="linear")[0].T
        for axis in ("height", "width")
    ]
    published = resized[0][:, None] + resized[1][None]
    times = torch.linspace(0, 1, TEMPORAL).repeat_interleave(side**2)
    added = lape.injection(grid(side, side).repeat(TEMPORAL, 1), times).view(TEMPORAL, side, side, WIDTH)
    torch.testing.assert_close(added, published + mean["temporal"][:, None, None], atol=1e-5, rtol=1e-5)

    picture = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    case = family_case("llava_onevision")
    inputs = case.vision(case.inputs([[picture]]))
    still = model.model.get_image_features(**inputs).pooler_output
    lape.enabled = False
    plain = model.model.get_image_features(**inputs).pooler_output
    overview = (still[0] - plain[0])[: side**2].view(side, side, WIDTH)
    torch.testing.assert_close(overview, published + mean["temporal"][0], atol=1e-4, rtol=1e-4)


class Payload:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / OTHERS).unlink(), "0 of LLaVA-ST's six tables"),
        (lambda folder: (folder / OTHERS).write_bytes(b"no"), "cannot read"),
        (lambda folder: (folder / OTHERS).write_bytes(pickle.dumps(Payload())), "cannot read"),
        (lambda folder: torch.save({"model.a": Payload()}, folder / OTHERS), "cannot read"),
        (lambda folder: torch.save([torch.ones(1)], folder / OTHERS), "something else"),
        (lambda folder: rewrite(folder, temporal_input=torch.ones(4, WIDTH)), "temporal tables"),
        (lambda folder: rewrite(folder, **dict.fromkeys(NAMES, torch.ones(5, 7))), "7 wide"),
        (lambda folder: (folder / "adapter_config.json").write_text('{"peft_type": "IA3"}'), "kind IA3"),
        (lambda folder: (folder / "adapter_config.json").write_text(
            '{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "use_dora": true}'), "use_dora"),
    ],
)  # fmt: skip
def test_what_is_no_release_is_refused(base, tmp_path, damage, said, capsys):
    write_lora(tmp_path / "release", base.model)
    damage(tmp_path / "release")
    with pytest.raises(ModelError, match=said):
        import_llava_st(tmp_path / "release", tmp_path / "base", tmp_path / "out")
    assert "run" not in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


NAMES = [name.removesuffix("_embeddings.weight") for name in TABLES]


def rewrite(folder, **changed):
    content = torch.load(folder / OTHERS, weights_only=True)
    for name, value in changed.items():
        content[f"base_model.model.model.{name}_embeddings.weight"] = value
    torch.save(content, folder / OTHERS)


def test_another_family_is_no_base(family_case, base, tmp_path):
    write_lora(tmp_path / "release", base.model)
    family_case("llava").model.save_pretrained(tmp_path / "llava")
    with pytest.raises(ModelError, match=r"family llava,(.|\n)*llava-onevision"):
        import_llava_st(tmp_path / "release", tmp_path / "llava", tmp_path / "out")

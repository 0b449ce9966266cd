"""The images of a chip are prepared and encoded once for all questions about it, in every family."""

import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import torch
from tests.processors import FAMILIES

from agrilape.dataset.types import Picture
from agrilape.geo.timewindow import TimeWindow
from agrilape.model import detach, lape_of
from agrilape.model.shared_images import shared_images
from agrilape.tokens import Collator, TrainingItem, packing_of

sys.path.insert(0, str(Path(__file__).parents[1]))
import train_case as case

ROUNDED = 1e-6


@pytest.fixture
def items():
    """A series of three images with two questions, and a still with three."""
    still, *others = (case.example(number) for number in range(4))
    pictures = tuple(
        Picture(one.chip.pictures[0].data, date(2023, month, 1))
        for one, month in zip(others, (3, 6, 9), strict=True)
    )
    window = TimeWindow(date(2023, 1, 1), date(2023, 12, 31))
    series = replace(others[0], chip=replace(others[0].chip, pictures=pictures, window=window))
    return [TrainingItem(series, series.samples[:2]), TrainingItem(still, still.samples[:3])]


def counted(processor, monkeypatch) -> list[int]:
    """How many images each call of the image processor prepares."""
    cls, calls = type(processor.image_processor), []
    original = cls.__call__

    def call(self, images, *args, **kwargs):
        nested = isinstance(images[0], list)
        calls.append(sum(map(len, images)) if nested else len(images))
        return original(self, images, *args, **kwargs)

    monkeypatch.setattr(cls, "__call__", call)
    return calls


def learnt(base, batch):
    """Logits at the answers' places, question by question, loss gradients, and images encoded."""
    model = base.model
    model.zero_grad()
    batch = {name: value for name, value in batch.items() if name != "position_targets"}
    batch = {k: v.double() if torch.is_floating_point(v) else v for k, v in batch.items()}
    if batch["attention_mask"].dtype == torch.float64:
        batch["attention_mask"] = batch["attention_mask"].clamp(min=torch.finfo(torch.float64).min)
    if lape_of(model) is None:
        batch.pop("image_times")
        if base.processor.__class__.__name__ == "InternVLProcessor":
            batch.pop("image_sizes")
    labels = batch.pop("labels")
    pixels = batch["pixel_values"].numel()
    with shared_images(model, batch["input_ids"], batch.pop("chip_of_row", None)):
        logits = model(**batch, use_cache=False).logits
    wanted = labels[:, 1:] >= 0
    rows = logits[:, :-1][wanted]
    torch.nn.functional.cross_entropy(rows, labels[:, 1:][wanted]).backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return rows.detach(), gradients, pixels


def same(one, other) -> None:
    """In float64, but for the root-mean-square norms of transformers and LAPE's rows, which are float32."""
    assert torch.allclose(one[0], other[0], rtol=0, atol=ROUNDED)
    assert one[0].std() > 1e-3, "the logits say something"
    assert one[1].keys() == other[1].keys()
    largest = max(value.abs().max() for value in other[1].values())
    for name, value in one[1].items():
        assert (value - other[1][name]).abs().max() <= ROUNDED * largest, name


@pytest.mark.parametrize("lape", [True, False])
@pytest.mark.parametrize("name", FAMILIES)
def test_sharing_the_images_of_a_chip_changes_nothing(speaker, items, name, lape, monkeypatch) -> None:
    base = speaker(name).attach()
    base.model.double()
    if not lape:
        detach(base.model)
    calls = counted(base.processor, monkeypatch)
    packing, made, prepared = packing_of(base.model), {}, {}
    assert (packing is not None) == (name not in ("paligemma", "gemma3"))
    for way, kind, share in (
        ("alone", None, False), ("shared", None, True), ("packed", packing, True)
    ):  # fmt: skip
        calls.clear()
        made[way] = learnt(
            base, Collator(base.processor, base.codec, packing=kind, share_images=share)(items)
        )
        prepared[way] = sum(calls)
    images, questions = 3 + 1, 2 * 3 + 3 * 1
    assert prepared["shared"] == prepared["packed"] == images
    same(made["shared"], made["alone"])
    same(made["packed"], made["alone"])
    assert made["shared"][2] == made["packed"][2] < made["alone"][2]
    if name not in ("llava_next", "idefics3", "smolvlm", "internvl"):  # which pad, or cut in tiles
        assert made["alone"][2] * images == made["shared"][2] * questions


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_position_ids_of_qwen_are_the_models_own(speaker, items, name, monkeypatch) -> None:
    base = speaker(name).attach()
    calls = counted(base.processor, monkeypatch)
    batch = Collator(base.processor, base.codec, packing=None)(items)
    assert sum(calls) == 4, "prepared once, though each question has images of its own"
    assert len(batch["image_grid_thw"]) == 2 * 3 + 3 * 1
    own, _ = base.model.model.get_rope_index(
        batch["input_ids"], batch["mm_token_type_ids"], batch["image_grid_thw"],
        attention_mask=batch["attention_mask"],
    )  # fmt: skip
    assert torch.equal(batch["position_ids"], own)
    assert own.max() > 8

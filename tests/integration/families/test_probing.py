"""Features at the asked place, of every way in which families lay out visual tokens."""

import io
from datetime import date

import numpy as np
import pytest
import torch
from PIL import Image

from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.evaluate.probing.model_features import LAYERS, place_features
from agrilape.geo.shapes import Point
from agrilape.geo.timewindow import TimeWindow
from agrilape.model import Checkpoint

YEAR = TimeWindow(date(2021, 1, 1), date(2021, 12, 31))


def asked(number, months, point):
    pictures = []
    for month in months:
        pixels = np.random.default_rng(month + 100 * number).integers(0, 255, (48, 64, 3), np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        pictures.append(Picture(stream.getvalue(), date(2021, month, 1)))
    chip = Chip(f"c{number}", "s", "own", tuple(pictures), window=YEAR)
    sample = Sample(f"{chip.id}/t/0", chip.id, "t", ("At ", point, "?"), ("maize",))
    return Example(chip, (sample,)), sample, point


ASKED = [
    asked(1, (4, 7), Point(0.1, 0.2)),
    asked(2, (5, 6, 9), Point(0.8, 0.9)),
    asked(3, (6,), Point(0.5, 0.5)),
]


@pytest.mark.parametrize(
    "name", ["llava", "qwen2_5_vl", "idefics3", "llava_onevision", "internvl", "paligemma"]
)
def test_features_do_not_depend_on_the_batch(speaker, name):
    made = speaker(name).attach()
    checkpoint = Checkpoint(made.model.eval(), made.processor, made.config)
    together = list(place_features(checkpoint, ASKED))
    assert [one.place.shape[:2] for one in together] == [(len(LAYERS), 2), (len(LAYERS), 3), (len(LAYERS), 1)]
    for one, found in zip(ASKED, together, strict=True):
        (alone,) = place_features(checkpoint, [one])
        np.testing.assert_allclose(found.place, alone.place, atol=2e-4)
        np.testing.assert_allclose(found.end, alone.end, atol=2e-4)


def test_features_are_those_of_the_asked_place(speaker):
    """The token that a place gets in the model: two places of one patch share it, others do not."""
    made = speaker("qwen2_5_vl").attach()
    checkpoint = Checkpoint(made.model.eval(), made.processor, made.config)
    near, far = Point(0.12, 0.22), Point(0.9, 0.8)
    example, sample, place = ASKED[0]
    here, beside, there = place_features(
        checkpoint, [(example, sample, place), (example, sample, near), (example, sample, far)]
    )
    assert np.allclose(here.place, beside.place, atol=1e-4)
    assert not np.allclose(here.place[0], there.place[0], atol=1e-2)
    assert np.allclose(here.end, there.end, atol=1e-4)
    assert torch.is_grad_enabled()

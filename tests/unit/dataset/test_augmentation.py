import io

import numpy as np
import pytest
from affine import Affine
from PIL import Image

from agrilape.dataset.augmentation import apply_symmetry, colour_jitter, dihedral
from agrilape.dataset.prompt_templates import layout_text
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Box, Instant, Point, Polygon
from agrilape.sources.tiling import encode_png

BOX = Box(0.25, 0.0, 0.5, 0.125)  # columns 2-3 and row 0 of 8 x 8


def example(*samples, shape=(8, 8)):
    picture = np.zeros((*shape, 3), np.uint8)
    picture[0, 2:4] = 255
    grid = Georeference("EPSG:32632", Affine(10, 2, 5e5, 1, -10, 5e6), shape[1], shape[0])
    return Example(Chip("c", "s", "fake", (Picture(encode_png(picture)),), grid), samples)


def sample(question=(), answer=(), **truth):
    return Sample("c/t/0", "c", "t", question, answer, truth)


@pytest.mark.parametrize("k", range(8))
def test_boxes_follow_the_pixels(k):
    turned = dihedral(example(sample(("where?",), (BOX,))), k)
    pixels = np.asarray(Image.open(io.BytesIO(turned.chip.pictures[0].data)))[..., 0]
    (box,) = turned.samples[0].answer
    left, top, right, bottom = (round(edge * 8) for edge in box)
    assert (pixels[top:bottom, left:right] == 255).all()
    assert (right - left) * (bottom - top) == 2


@pytest.mark.parametrize("k", range(8))
@pytest.mark.parametrize("shape", [(8, 8), (6, 8)])
def test_places_on_the_map_stay(k, shape):
    before = example(shape=shape)
    after = dihedral(before, k)
    for point in (Point(0, 0), Point(0.3, 0.1), Point(1, 1)):
        expected = before.chip.georeference.to_map(point)
        assert after.chip.georeference.to_map(apply_symmetry(point, k)) == pytest.approx(expected)
    width, height = Image.open(io.BytesIO(after.chip.pictures[0].data)).size
    assert (after.chip.georeference.width, after.chip.georeference.height) == (width, height)


def test_the_symmetries_differ_and_times_stay():
    assert len({apply_symmetry(Point(0.1, 0.3), k) for k in range(8)}) == 8
    assert apply_symmetry(Instant(0.3), 5) == Instant(0.3)
    assert apply_symmetry("north", 5) == "north"


@pytest.mark.parametrize("k", range(8))
def test_outlines_keep_their_sense(k):
    def signed_area(outline):
        x, y = np.array(outline.points).T
        return np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))

    outline = Polygon((Point(0, 0), Point(1, 0), Point(0.5, 0.5)))
    assert signed_area(apply_symmetry(outline, k)) == pytest.approx(signed_area(outline))


@pytest.mark.parametrize("k", range(8))
def test_boxes_of_an_answer_stay_in_order_with_their_sizes(k):
    boxes = (Box(0.0, 0.5, 0.1, 0.9), Box(0.2, 0.1, 0.3, 0.2), Box(0.7, 0.3, 1.0, 0.4))
    (turned,) = dihedral(example(sample((), boxes, sizes=["a", "b", "c"])), k).samples
    assert list(turned.answer) == sorted(turned.answer)
    size_of = {apply_symmetry(box, k): size for box, size in zip(boxes, "abc", strict=True)}
    assert turned.truth["sizes"] == [size_of[box] for box in turned.answer]


def test_words_turn_too():
    asked = sample(("What grows at the top left?",), ("maize",), place="top left")
    named = sample(("Where is the maize?",), ("right",), place="right")
    grid = [["a", "b"], ["c", "d"]]
    laid = sample(("What grows where?",), (layout_text(grid),), grid=grid)
    turned = dihedral(example(asked, named, laid), 1).samples  # anticlockwise
    assert turned[0].question == ("What grows at the bottom left?",)
    assert turned[1].answer == ("top",)
    assert turned[2].answer == ("b, d; a, c",)
    assert dihedral(example(asked), 4).samples[0].question == ("What grows at the top right?",)


def test_there_are_eight():
    with pytest.raises(ValueError, match="0 to 7"):
        dihedral(example(), 8)


@pytest.mark.parametrize("k", range(8))
def test_a_chip_is_left_as_it_is_if_words_hold_only_for_the_picture_as_it_is(k):
    oriented = sample(("What is at the upper left?",), ("a farm",), oriented=True)
    before = example(oriented, sample(("where?",), (BOX,)))
    assert dihedral(before, k) == before


def test_other_light_falls_alike_on_all_pictures_of_a_series():
    grey = Picture(encode_png(np.full((4, 4, 3), 100, np.uint8)))
    chip = Chip("c", "s", "fake", (grey, grey))
    lit = colour_jitter(Example(chip, ()), np.random.default_rng(3), 1.0).chip.pictures
    one, other = (np.asarray(Image.open(io.BytesIO(picture.data))) for picture in lit)
    assert (one == other).all()
    assert (one != 100).any()
    assert np.unique(one.reshape(-1, 3), axis=0).shape == (1, 3)


def test_no_light_changes_at_strength_zero():
    chip = Chip("c", "s", "fake", (Picture(encode_png(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))),))
    lit = colour_jitter(Example(chip, ()), np.random.default_rng(3), 0.0).chip.pictures[0]
    assert (np.asarray(Image.open(io.BytesIO(lit.data))).ravel() == np.arange(48)).all()

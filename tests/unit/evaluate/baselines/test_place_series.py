import io
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from PIL import Image

from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.evaluate.baselines.place_series import greenness, place_series
from agrilape.geo.shapes import Box, Point
from agrilape.geo.timewindow import TimeWindow

YEAR = TimeWindow(date(2021, 1, 1), date(2021, 12, 31))
FIELD = np.s_[8:24, 4:20]


def picture(colour, day, around=(90, 80, 70)):
    """A field of one colour, in pixels (4, 8) to (20, 24) of 32, with a little noise."""
    noise = np.random.default_rng(day.month).normal(0, 2, (32, 32, 3))
    pixels = np.full((32, 32, 3), around) + noise
    pixels[FIELD] = colour + noise[FIELD]
    stream = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "PNG")
    return Picture(stream.getvalue(), day)


def asked(*question, meta=None):
    """What is seen of the place of a question, on a brown and a green date."""
    pictures = (picture((120, 100, 80), date(2021, 4, 1)), picture((60, 130, 50), date(2021, 7, 1)))
    chip = Chip("c", "scene", "own", pictures, window=YEAR, meta=meta or {})
    return place_series(Example(chip, (Sample("c/t/0", "c", "t", question, ("?",)),)))[0]


def test_the_field_around_a_point_is_found():
    seen = asked("When is ", Point(0.3, 0.4), " greenest?")
    assert seen.box == pytest.approx(Box(4 / 32, 8 / 32, 20 / 32, 24 / 32))
    assert seen.times == pytest.approx([90 / 364, 181 / 364])
    assert seen.colours * 255 == pytest.approx(np.array([(120, 100, 80), (60, 130, 50)]), abs=1)
    assert seen.index[1] > seen.index[0] + 0.1


def test_a_box_is_its_own_place():
    seen = asked("What grows in ", Box(0.125, 0.25, 0.625, 0.75), "?")
    assert seen.colours[1] * 255 == pytest.approx((60, 130, 50), abs=1)


@pytest.mark.parametrize("corner", [Point(0, 0), Point(1, 1), Box(1, 1, 1, 1)])
def test_the_edge_of_the_picture_is_a_place(corner):
    assert np.isfinite(asked("What is at ", corner).colours).all()


def test_questions_of_no_place_or_two_have_none():
    assert asked("Where is maize?") is None
    assert asked("Which is larger, ", Point(0.1, 0.1), " or ", Point(0.5, 0.5), "?") is None


def test_stills_have_no_time():
    chip = Chip("c", "scene", "own", (replace(picture((1, 2, 3), date(2021, 4, 1)), acquired=None),))
    sample = Sample("c/t/0", "c", "t", (Point(0.3, 0.4),), ("maize",))
    assert np.isnan(place_series(Example(chip, (sample,)))[0].times).all()


def test_false_colour_is_read_as_ndvi():
    colours = np.array([0.6, 0.2, 0.1])
    assert greenness(colours, ("nir", "red", "green")) == pytest.approx(0.5)
    assert greenness(colours, ("red", "green", "blue")) == pytest.approx(0.2 / 0.9)

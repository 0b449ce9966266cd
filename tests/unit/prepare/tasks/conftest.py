"""Chips with fields whose answers can be seen at a glance."""

import random

import shapely
from affine import Affine

from agrilape.dataset.types import Chip
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Box
from agrilape.prepare.annotations import VisibleField
from agrilape.prepare.tasks import ask

CHIP = Chip("c", "s", "fake", ())
GROUND = Georeference("EPSG:32632", Affine(10, 0, 500_000, 0, -10, 5_500_000), 100, 100)  # 1000 m a side
ON_MAP = Chip("c", "s", "fake", (), GROUND)


def crop_field(name, crop, left, top, right, bottom, clear=True, **facts):
    """A rectangular field."""
    outline = shapely.box(left, top, right, bottom)
    return VisibleField(name, crop, outline, Box(left, top, right, bottom), clear, **facts)


def questions(view, *tasks, limit=100, seed=0, **settings):
    """What is asked about a view."""
    return ask(view, tasks, limit, random.Random(seed), **settings)

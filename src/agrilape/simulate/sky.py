"""When the satellite comes by, and what the weather lets through."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrilape.simulate.canvas import Floats, fractal

SUN = (0.55, -0.83)
"""Direction towards the sun on the map, east and north: a morning pass, sun in the south-south-east."""


@dataclass(frozen=True)
class Weather:
    """Clouds over a scene on one day.

    Attributes:
        cloud: Opacity in 0-1, `[H, W]`.
        shade: Share of the sunlight that reaches the ground, `[H, W]`.
    """

    cloud: Floats
    shade: Floats

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Pixels not to be trusted: cloud or its shadow."""
        return (self.cloud > 0.08) | (self.shade < 0.9)


def acquisition_days(rng: np.random.Generator, count: int, first: int, last: int) -> list[int]:
    """Irregular days in order: one somewhere in each of `count` equal stretches of the season."""
    edges = np.linspace(first, last + 1, count + 1)
    return [int(rng.uniform(a, b)) for a, b in itertools.pairwise(edges)]


def draw_weather(rng: np.random.Generator, size: int, gsd: float, cloudy: float = 0.3) -> Weather | None:
    """Draw the clouds of one day; None for a clear sky.

    Args:
        rng: The clouds.
        size: Side of the scene in pixels.
        gsd: Pixel side in metres.
        cloudy: Chance of clouds; they then cover up to 35 % of the scene.
    """
    if rng.random() > cloudy:
        return None
    noise = fractal(rng, size, 1.7, longest=2500 / gsd)
    thickness = np.clip((noise - np.quantile(noise, 1 - 0.35 * rng.beta(1.2, 1.5))) / 0.7, 0, 1)
    cloud = thickness * (2 - thickness)
    height = rng.uniform(600, 1500)
    columns, lines = round(-SUN[0] * height / gsd), round(SUN[1] * height / gsd)
    shadow = np.roll(cloud, (lines, columns), axis=(0, 1))
    return Weather(cloud, np.asarray(1 - 0.55 * shadow, np.float32))

"""A year on a farm landscape: which crop grows on which field, how it fares, and the dates to know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agrilape.simulate import spectra
from agrilape.simulate.crops import NATURE
from agrilape.simulate.landscape import Landscape, build_landscape
from agrilape.simulate.phenology import DAYS, Dates, Season, draw_season, read_dates
from agrilape.simulate.regions import Region
from agrilape.simulate.stress import StressZone, draw_stress

WINDOW = (32, 304)
"""Days of the year that a scene's calendar spans: February to October."""
_IRRIGATED = ("maize", "sugar beet", "potato", "winter wheat", "sunflower")


@dataclass(frozen=True)
class Farmland:
    """The truth about one scene.

    Attributes:
        region: What kind of landscape it is.
        year: Year of harvest.
        landscape: Fields and other ground, in scene metres.
        season: Growth of every field, then of the plants outside fields (`NATURE`).
        dates: Dates of every field.
        zones: Stressed parts of fields.
    """

    region: Region
    year: int
    landscape: Landscape
    season: Season
    dates: tuple[Dates, ...]
    zones: tuple[StressZone, ...]

    @property
    def crops(self) -> tuple[str, ...]:
        """Crop of every field."""
        return self.season.crops[: len(self.landscape.plots)]


def grow_farmland(rng: np.random.Generator, region: Region, year: int, extent: float, gsd: float) -> Farmland:
    """Draw a landscape and a year on it.

    Args:
        rng: Everything drawn but the weather of the year, which all scenes share.
        region: Kind of landscape.
        year: Year of harvest.
        extent: Side of the square scene in metres.
        gsd: Pixel side in metres: fields below 25 pixels are skipped.
    """
    landscape = build_landscape(rng, region, extent, smallest=25 * gsd**2)
    crops = _choose_crops(rng, region, landscape)
    watered = [plot.pivot for plot in landscape.plots] + [False] * len(NATURE)
    vigour = np.where(watered, 1.0, region.vigour)
    season = draw_season(rng, [*crops, *NATURE], year, region.shift, vigour)
    canopy = season.canopy(DAYS)
    ndvi = spectra.ndvi(spectra.reflectance(canopy, season.crops, region.soil))
    dates = read_dates(season, canopy, ndvi, WINDOW)[: len(crops)]
    zones = draw_stress(rng, landscape, season, gsd)
    return Farmland(region, year, landscape, season, tuple(dates), tuple(zones))


def _choose_crops(rng: np.random.Generator, region: Region, landscape: Landscape) -> list[str]:
    """Crops by the region's shares, a little different in every scene; pivots grow what pays for water."""
    names = list(region.crops)
    shares = np.array(list(region.crops.values())) * rng.uniform(0.6, 1.6, len(names))
    watered = shares * np.isin(names, _IRRIGATED)
    choices = [watered if plot.pivot else shares for plot in landscape.plots]
    return [str(rng.choice(names, p=weights / weights.sum())) for weights in choices]

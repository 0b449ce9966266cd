"""Stress zones: parts of a field where the crop grows worse from some day on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from shapely import Polygon

from agrilape.simulate.landscape import Landscape
from agrilape.simulate.outlines import blob, long_axis, rectangle
from agrilape.simulate.phenology import Season

CAUSES = {
    "drought": (0.65, 0.5),
    "waterlogging": (0.80, 0.1),
    "nitrogen deficiency": (0.45, 0.35),
    "disease": (0.55, 0.7),
    "pest": (0.70, 0.2),
}
"""Share of the green cover lost when fully developed, and how much of that stays as yellow canopy."""


@dataclass(frozen=True)
class StressZone:
    """A stressed part of a field.

    Attributes:
        plot: Index of the field.
        cause: A key of `CAUSES`.
        outline: Polygon in scene metres.
        onset: Day of the year at which it shows.
        share: Share of the field's area.
    """

    plot: int
    cause: str
    outline: Polygon
    onset: int
    share: float


def draw_stress(
    rng: np.random.Generator, landscape: Landscape, season: Season, gsd: float
) -> list[StressZone]:
    """Lay stress zones of 4 to 35 % into about one sown field in seven that is large enough to show one."""
    zones: list[StressZone] = []
    for k in np.flatnonzero(rng.random(len(landscape.plots)) < 0.15):
        field = landscape.plots[k].outline
        if season.crops[k] in ("grassland", "fallow") or field.area < 250 * gsd**2:
            continue
        cause = str(rng.choice(list(CAUSES)))
        zone = _outline(rng, field, cause).intersection(field.buffer(-gsd / 2))
        share = zone.area / field.area
        if zone.geom_type == "Polygon" and 0.04 < share < 0.35:
            onset = int(
                season.greenup[k] + rng.uniform(0.1, 0.6) * (season.senescence[k] - season.greenup[k])
            )
            zones.append(StressZone(int(k), cause, zone, onset, round(float(share), 3)))
    return zones


def _outline(rng: np.random.Generator, field: Polygon, cause: str) -> Polygon:
    centre, azimuth, length, width = long_axis(field)
    if cause == "nitrogen deficiency":  # a missed pass of the spreader
        shift = rng.uniform(-0.3, 0.3) * width * np.array([-np.sin(azimuth), np.cos(azimuth)])
        return rectangle(centre + shift, length, rng.uniform(0.12, 0.25) * width, azimuth)
    lowest, highest = np.reshape(shapely.bounds(field), (2, 2))
    places = rng.uniform(lowest, highest, (16, 2))
    inside = places[shapely.contains_xy(field, places)]
    place = inside[0] if len(inside) else np.array(field.representative_point().coords[0])
    return blob(rng, place, np.sqrt(rng.uniform(0.06, 0.25) * field.area / np.pi), roughness=0.5, stretch=3)

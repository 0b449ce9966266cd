"""Farming regions: what a landscape is made of. Rough likenesses, not statistics of the places they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agrilape.simulate.crops import Spectrum


@dataclass(frozen=True)
class Region:
    """A kind of farm landscape.

    Attributes:
        name: Where it could be.
        longitude: Range in degrees east; latitude likewise in degrees north.
        field_ha: Typical field in hectares; `spread` is the standard deviation of its logarithm.
        aspect: Length to width at which a field is cut across instead of along.
        block_m: Distance between roads.
        disorder: 0: roads on a grid; 1: no order left.
        bend_m: How far roads and field edges stray from straight lines.
        crops: Shares of the crops; they need not add up to 1.
        soil: Reflectance of the dry bare soil.
        woods: Share of the land under woods.
        hedges: Chance that a field edge is a hedge; `tracks` likewise.
        pivots: Chance that a suitable piece of land is watered by a centre pivot.
        river: Chance that a river crosses the scene.
        farms: Farmsteads per square kilometre.
        shift: Days by which the season is later than in central Europe.
        vigour: Factor on the green amplitude of what is not irrigated.
    """

    name: str
    longitude: tuple[float, float]
    latitude: tuple[float, float]
    field_ha: float
    spread: float
    aspect: float
    block_m: float
    disorder: float
    bend_m: float
    crops: Mapping[str, float]
    soil: Spectrum
    woods: float = 0.08
    hedges: float = 0.05
    tracks: float = 0.4
    pivots: float = 0.0
    river: float = 0.3
    farms: float = 1.0
    shift: float = 0.0
    vigour: float = 1.0


REGIONS: tuple[Region, ...] = (
    Region(
        "Picardy", (2.2, 3.6), (49.3, 50.0), 14.0, 0.6, 2.2, 1700, 0.8, 45,
        {"winter wheat": 34, "winter barley": 9, "rapeseed": 14, "sugar beet": 16, "potato": 9, "maize": 9,
         "grassland": 4, "fallow": 3},
        (0.085, 0.120, 0.160, 0.225), woods=0.05, farms=0.5, shift=-2,
    ),
    Region(
        "Brittany", (-3.4, -2.0), (48.0, 48.5), 3.4, 0.55, 1.6, 1000, 1.0, 70,
        {"maize": 30, "grassland": 32, "winter wheat": 20, "winter barley": 7, "rapeseed": 5, "potato": 4,
         "fallow": 2},
        (0.070, 0.095, 0.130, 0.190), woods=0.10, hedges=0.55, farms=3.0, river=0.6, shift=-3,
    ),
    Region(
        "Jutland", (8.6, 10.2), (55.6, 56.8), 6.5, 0.6, 1.8, 1300, 0.9, 50,
        {"winter wheat": 24, "winter barley": 22, "grassland": 18, "rapeseed": 11, "potato": 9, "maize": 11,
         "sugar beet": 3, "fallow": 4},
        (0.080, 0.108, 0.140, 0.200), woods=0.10, hedges=0.30, farms=1.8, river=0.4, shift=9,
    ),
    Region(
        "Lower Saxony", (9.8, 11.0), (51.9, 52.5), 7.0, 0.7, 2.6, 1400, 0.85, 40,
        {"winter wheat": 30, "sugar beet": 16, "winter barley": 13, "rapeseed": 13, "maize": 13, "potato": 7,
         "grassland": 10, "fallow": 3},
        (0.065, 0.090, 0.120, 0.175), woods=0.12, hedges=0.10, farms=0.8, river=0.5, shift=2,
    ),
    Region(
        "Banat", (20.4, 21.6), (45.4, 46.6), 20.0, 0.75, 3.2, 2200, 0.45, 15,
        {"maize": 30, "sunflower": 20, "winter wheat": 26, "rapeseed": 9, "winter barley": 7, "sugar beet": 4,
         "grassland": 5, "fallow": 4},
        (0.050, 0.068, 0.090, 0.135), woods=0.03, hedges=0.04, farms=0.4, shift=-6, vigour=0.95,
    ),
    Region(
        "Lesser Poland", (20.4, 22.2), (50.1, 50.6), 1.6, 0.5, 6.5, 900, 0.7, 55,
        {"winter wheat": 28, "grassland": 18, "potato": 12, "rapeseed": 10, "maize": 11, "winter barley": 9,
         "sugar beet": 8, "fallow": 6},
        (0.095, 0.130, 0.175, 0.245), woods=0.10, hedges=0.04, farms=3.5, river=0.4, shift=5,
    ),
    Region(
        "Castile", (-5.4, -3.6), (41.2, 42.3), 9.0, 0.7, 2.0, 1500, 1.0, 15,
        {"winter barley": 28, "winter wheat": 22, "sunflower": 16, "fallow": 16, "maize": 8, "sugar beet": 5,
         "potato": 3, "rapeseed": 4},
        (0.095, 0.135, 0.195, 0.280), woods=0.04, hedges=0.02, pivots=0.35, farms=0.3, shift=-12, vigour=0.85,
    ),
    Region(
        "Nebraska Panhandle", (-103.9, -102.2), (41.2, 42.1), 30.0, 0.55, 2.0, 1609, 0.0, 0,
        {"winter wheat": 30, "fallow": 18, "maize": 22, "sunflower": 9, "sugar beet": 6, "potato": 4,
         "grassland": 12},
        (0.085, 0.115, 0.155, 0.225), woods=0.005, hedges=0.01, pivots=0.8, farms=0.3, river=0.2, shift=3,
        vigour=0.82,
    ),
)  # fmt: skip

"""From canopy to reflectance: linear mixing of soil, green leaves, flowers and straw.

Band order everywhere: blue, green, red, near infrared (Sentinel-2 B02, B03, B04, B08). Reflectance in 0-1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agrilape.simulate.crops import CROPS, NATURE, Spectrum
from agrilape.simulate.phenology import Canopy

Array = NDArray[np.float64]

BANDS = ("B02", "B03", "B04", "B08")
ASPHALT: Spectrum = (0.080, 0.094, 0.104, 0.15)
GRAVEL: Spectrum = (0.110, 0.140, 0.170, 0.23)
YARD: Spectrum = (0.070, 0.092, 0.095, 0.20)
WATER: Spectrum = (0.045, 0.050, 0.034, 0.018)
TILES: Spectrum = (0.110, 0.120, 0.165, 0.22)
METAL: Spectrum = (0.170, 0.178, 0.185, 0.21)


def fractions(canopy: Canopy, crops: Sequence[str], soil: Spectrum) -> tuple[Array, Array, Array]:
    """Ground cover of green leaves, flowers and straw, each `[F, D]`; the rest is soil.

    The cover of green leaves is the one at which leaves over soil have the canopy's NDVI, since NDVI of a
    two-part mixture inverts in closed form.
    """
    leaf = endmembers(crops, "leaf")[:, None, :]
    red, nir = soil[2], soil[3]
    d_red, d_nir = leaf[..., 2] - red, leaf[..., 3] - nir
    ndvi = canopy.greenness
    green = np.clip((ndvi * (nir + red) - (nir - red)) / ((d_nir - d_red) - ndvi * (d_nir + d_red)), 0, 1)
    flower = green * canopy.bloom
    straw = np.minimum(canopy.straw, 1 - green)
    return green - flower, flower, straw


def reflectance(canopy: Canopy, crops: Sequence[str], soil: Spectrum) -> Array:
    """Reflectance of F fields on D days over a soil, `[F, D, 4]`."""
    green, flower, straw = fractions(canopy, crops, soil)
    mixed = (1 - green - flower - straw)[..., None] * np.asarray(soil)
    for part, kind in ((green, "leaf"), (flower, "flower"), (straw, "straw")):
        mixed = mixed + part[..., None] * endmembers(crops, kind)[:, None, :]
    return np.asarray(mixed)


def ndvi(spectrum: Array) -> Array:
    """Normalised difference vegetation index, from the last axis."""
    red, nir = spectrum[..., 2], spectrum[..., 3]
    return np.asarray((nir - red) / (nir + red))


def endmembers(crops: Sequence[str], kind: str) -> Array:
    """`leaf`, `flower` or `straw` reflectance of each crop, `[F, 4]`."""
    return np.array([getattr(CROPS.get(name) or NATURE[name], kind) for name in crops])

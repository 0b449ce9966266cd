"""Crops: their calendar, how they look, and how they are sown.

Days are days of the year of harvest (1 = 1 January; negative: the year before), for central Europe in an
average year. A region, a year and a field shift them. Crop calendar at a glance:

| crop | sown | greenest | harvested | seen from above |
| --- | --- | --- | --- | --- |
| winter wheat | early October | late May | early August | dark green, then golden straw |
| winter barley | late September | early May | early July | ripens three weeks before wheat, pale straw |
| rapeseed | late August | mid April or early June | late July | yellow flowers around 1 May |
| maize | early May | late July | early October | bare until June, green into September, brown straw |
| sugar beet | early April | mid July | October | bright green all summer, lifted green |
| potato | late April | mid July | late September | ridges, green in summer, bare after lifting |
| sunflower | mid April | mid June | early September | golden flowers in July, then dark brown |
| grassland | - | May | mown 2-4 times | green all year, paler after each cut |
| fallow | - | early summer | - | sparse weeds over soil |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

Spectrum: TypeAlias = tuple[float, float, float, float]
"""Reflectance (0-1) in blue, green, red and near infrared (Sentinel-2 B02, B03, B04, B08)."""


@dataclass(frozen=True)
class Crop:
    """One crop.

    Attributes:
        greenup: Day at which the spring rise of NDVI is half done (S of Beck et al. 2006).
        greenup_rate: Steepness of the rise, per day (mS).
        senescence: Day at which the fall is half done (A).
        senescence_rate: Steepness of the fall, per day (mA).
        peak: NDVI that the canopy would reach without senescence.
        harvest_at: Share of the fall at which the crop is taken off the field; None: never.
        leaf: Reflectance of a closed green canopy.
        straw: Reflectance of the ripe or dead canopy, and of stubble.
        autumn: Day of emergence before the winter; None for spring crops.
        winter: NDVI over the winter.
        sowing_lag: Days from sowing until the field turns green; None for what is not sown.
        bloom: Day, standard deviation in days and strength (0-1) of visible flowering.
        flower: Reflectance of the flowers.
        mown: Is it cut several times a season?
        row_width: Distance between rows in metres.
        row_contrast: Relative change of canopy cover from row to row or pass to pass.
    """

    greenup: float
    greenup_rate: float
    senescence: float
    senescence_rate: float
    peak: float
    harvest_at: float | None
    leaf: Spectrum
    straw: Spectrum
    autumn: float | None = None
    winter: float = 0.16
    sowing_lag: float | None = None
    bloom: tuple[float, float, float] | None = None
    flower: Spectrum = (0.0, 0.0, 0.0, 0.0)
    mown: bool = False
    row_width: float = 0.125
    row_contrast: float = 0.08


CROPS: Mapping[str, Crop] = MappingProxyType(
    {
        "winter wheat": Crop(
            greenup=97, greenup_rate=0.065, senescence=180, senescence_rate=0.12, peak=0.86, harvest_at=0.96,
            autumn=-70, winter=0.36, sowing_lag=14,
            leaf=(0.022, 0.050, 0.027, 0.43), straw=(0.105, 0.165, 0.225, 0.33),
        ),
        "winter barley": Crop(
            greenup=86, greenup_rate=0.07, senescence=158, senescence_rate=0.13, peak=0.84, harvest_at=0.96,
            autumn=-82, winter=0.42, sowing_lag=12,
            leaf=(0.030, 0.068, 0.038, 0.41), straw=(0.150, 0.210, 0.255, 0.36),
        ),
        "rapeseed": Crop(
            greenup=82, greenup_rate=0.08, senescence=174, senescence_rate=0.10, peak=0.85, harvest_at=0.94,
            autumn=-112, winter=0.44, sowing_lag=12, bloom=(122, 9, 0.85), flower=(0.050, 0.215, 0.215, 0.46),
            leaf=(0.032, 0.062, 0.034, 0.47), straw=(0.105, 0.140, 0.165, 0.26), row_width=0.25,
        ),
        "maize": Crop(
            greenup=160, greenup_rate=0.12, senescence=258, senescence_rate=0.085, peak=0.86, harvest_at=0.85,
            sowing_lag=22, row_width=0.75, row_contrast=0.14,
            leaf=(0.026, 0.060, 0.030, 0.38), straw=(0.085, 0.115, 0.145, 0.25),
        ),
        "sugar beet": Crop(
            greenup=147, greenup_rate=0.105, senescence=292, senescence_rate=0.03, peak=0.90, harvest_at=0.38,
            sowing_lag=32, row_width=0.5, row_contrast=0.12,
            leaf=(0.028, 0.085, 0.030, 0.56), straw=(0.080, 0.110, 0.130, 0.22),
        ),
        "potato": Crop(
            greenup=155, greenup_rate=0.14, senescence=230, senescence_rate=0.08, peak=0.86, harvest_at=0.92,
            sowing_lag=28, row_width=0.75, row_contrast=0.22,
            leaf=(0.036, 0.076, 0.044, 0.46), straw=(0.090, 0.115, 0.145, 0.21),
        ),
        "sunflower": Crop(
            greenup=150, greenup_rate=0.12, senescence=219, senescence_rate=0.085, peak=0.83, harvest_at=0.95,
            sowing_lag=20, row_width=0.7, row_contrast=0.14, bloom=(190, 7, 0.55),
            flower=(0.045, 0.130, 0.150, 0.40),
            leaf=(0.034, 0.070, 0.045, 0.42), straw=(0.055, 0.070, 0.085, 0.16),
        ),
        "grassland": Crop(
            greenup=88, greenup_rate=0.07, senescence=310, senescence_rate=0.04, peak=0.82, harvest_at=None,
            winter=0.52, mown=True, row_contrast=0.05,
            leaf=(0.030, 0.072, 0.040, 0.40), straw=(0.085, 0.120, 0.130, 0.27),
        ),
        "fallow": Crop(
            greenup=118, greenup_rate=0.05, senescence=215, senescence_rate=0.04, peak=0.42, harvest_at=None,
            winter=0.22, row_contrast=0.03,
            leaf=(0.038, 0.070, 0.052, 0.32), straw=(0.095, 0.125, 0.150, 0.24),
        ),
    }
)  # fmt: skip

NATURE: Mapping[str, Crop] = MappingProxyType(
    {
        "verge": Crop(
            greenup=95, greenup_rate=0.06, senescence=255, senescence_rate=0.025, peak=0.74, harvest_at=None,
            winter=0.40, leaf=(0.034, 0.068, 0.046, 0.34), straw=(0.095, 0.130, 0.150, 0.26),
        ),
        "wood": Crop(
            greenup=112, greenup_rate=0.11, senescence=292, senescence_rate=0.07, peak=0.88, harvest_at=None,
            winter=0.50, leaf=(0.016, 0.034, 0.017, 0.33), straw=(0.030, 0.042, 0.045, 0.17),
        ),
    }
)  # fmt: skip

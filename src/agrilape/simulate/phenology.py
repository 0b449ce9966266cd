"""The season of each field: a double-logistic curve of greenness, and what happens to the canopy.

NDVI over the day t follows Beck et al. (2006), "Improved monitoring of vegetation dynamics at very high
latitudes: a new method using MODIS NDVI", Remote Sensing of Environment 100(3), 321-334, equation 3:

    NDVI(t) = w + (m - w) * (1 / (1 + exp(-mS (t - S))) + 1 / (1 + exp(mA (t - A))) - 1)

with winter level w, maximum m, inflections S and A (days) and rates mS and mA (per day). Here the level
before (winter crop) and after the season (bare soil) may differ, winter crops have a first small rise in
autumn, harvest ends the curve, and mown grass drops at each cut and grows back. With equal levels and no
harvest it is Beck's formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from agrilape.simulate.crops import CROPS, NATURE, Crop

Array = NDArray[np.float64]

BARE = 0.16
"""NDVI of bare soil."""
DAYS = np.arange(-140.0, 366.0)
"""Days on which seasons are evaluated: from before the sowing of rapeseed to the end of the year."""
_AUTUMN_RATE = 0.15
_REGROWTH_DAYS = 18.0
_STUBBLE_DAYS = 30.0
_NEVER = 1e4


@dataclass(frozen=True)
class Canopy:
    """State of the canopy of F fields on D days; every array is `[F, D]`, every value in [0, 1].

    Attributes:
        greenness: NDVI of green leaves over soil, before flowers and straw colour it.
        straw: Ground cover of ripe canopy, straw or stubble.
        bloom: Share of the green canopy that is hidden by flowers.
    """

    greenness: Array
    straw: Array
    bloom: Array


@dataclass(frozen=True)
class Season:
    """Growth of F fields in one year; arrays are `[F]`, in days of the year of harvest unless said otherwise.

    Attributes:
        crops: Name of each field's crop.
        autumn: Inflection of the rise before the winter.
        greenup: Inflection of the spring rise (S).
        senescence: Inflection of the fall (A).
        harvest: Day on which the crop is taken off.
        peak: Asymptotic NDVI (m).
        bloom: Middle of flowering.
        cuts: Mowing days, `[F, 4]`.
    """

    crops: tuple[str, ...]
    autumn: Array
    greenup: Array
    senescence: Array
    harvest: Array
    peak: Array
    bloom: Array
    cuts: Array

    def canopy(self, days: Array) -> Canopy:
        """State of every field on `days`."""
        t = np.asarray(days, dtype=float)[None]
        winter, rate_up, rate_down = (self._of(k) for k in ("winter", "greenup_rate", "senescence_rate"))
        rise = expit(rate_up * (t - self.greenup[:, None]))
        fall = expit(rate_down * (t - self.senescence[:, None]))
        before = BARE + (winter - BARE) * expit(_AUTUMN_RATE * (t - self.autumn[:, None]))
        after = np.where(self.harvest[:, None] < _NEVER, BARE, winter)
        peak = self.peak[:, None]
        standing = before + (peak - before) * rise - (peak - after) * fall * rise
        standing = BARE + (standing - BARE) * self._regrowth(t)
        since_harvest = t - self.harvest[:, None]
        gone = since_harvest >= 0
        stubble = 0.65 * np.exp(-np.maximum(since_harvest, 0) / _STUBBLE_DAYS)
        dead = 0.9 * rise * fall * (peak - BARE) / (0.86 - BARE)
        return Canopy(
            greenness=np.where(gone, BARE, standing),
            straw=np.where(gone, stubble, dead),
            bloom=np.where(gone, 0.0, self._flowering(t)),
        )

    def _of(self, name: str) -> Array:
        """A constant of each field's crop, `[F, 1]`."""
        return np.array([[getattr(_crop(name_), name)] for name_ in self.crops])

    def _regrowth(self, t: Array) -> Array:
        """What mowing leaves of the greenness, `[F, D]`."""
        mown = self.cuts[:, 0] < _NEVER
        since = t[:, :, None] - self.cuts[mown, None, :]
        lost = np.where(since >= 0, 0.62 * np.exp(-np.maximum(since, 0) / _REGROWTH_DAYS), 0.0)
        left = np.ones((len(self.crops), t.shape[1]))
        left[mown] = np.prod(1.0 - lost, axis=2)
        return left

    def _flowering(self, t: Array) -> Array:
        width, strength = np.array([(_crop(c).bloom or (0, 1, 0))[1:] for c in self.crops]).T[..., None]
        return np.asarray(strength * np.exp(-0.5 * ((t - self.bloom[:, None]) / width) ** 2))


@dataclass(frozen=True)
class Dates:
    """Dates of one field, as days of the year of harvest; None where the crop has no such date.

    Attributes:
        sowing: Sowing; None for what is not sown every year.
        emergence: First day on which the canopy has a tenth of its full greenness over bare soil.
        peak: Day of the highest NDVI.
        harvest: Day on which the crop is taken off.
        green_from: First day of the window with NDVI of at least 0.5.
        green_until: Last such day.
    """

    sowing: int | None
    emergence: int | None
    peak: int
    harvest: int | None
    green_from: int | None
    green_until: int | None


def draw_season(
    rng: np.random.Generator, crops: Sequence[str], year: int, shift: float, vigour: Array
) -> Season:
    """Draw the season of every field.

    Args:
        rng: Differences between fields.
        crops: Crop of each field (a key of `CROPS` or `NATURE`).
        year: Makes all crops early or late, and lush or poor, together: the same in every scene of that year.
        shift: Days by which the region is later than central Europe.
        vigour: Factor on the green amplitude of each field, `[F]`; 1 for well-watered land.

    Returns:
        Inflections, harvest, flowering and mowing days per field.
    """
    weather = np.random.default_rng(year)
    spring, summer = weather.normal(shift, 5.0), weather.normal(shift, 5.0)
    lushness = vigour * weather.normal(1.0, 0.02)
    constants = [_crop(name) for name in crops]
    n = len(crops)
    greenup = np.array([c.greenup for c in constants]) + spring + rng.normal(0, 4.0, n)
    senescence = np.array([c.senescence for c in constants]) + summer + rng.normal(0, 3.5, n)
    amplitude = np.array([c.peak for c in constants]) - BARE
    rate = np.array([c.senescence_rate for c in constants])
    taken = np.array([np.nan if c.harvest_at is None else c.harvest_at for c in constants])
    harvest = np.round(senescence + np.log(taken / (1 - taken)) / rate + rng.uniform(0, 6, n))
    return Season(
        crops=tuple(crops),
        autumn=np.array([-_NEVER if c.autumn is None else c.autumn for c in constants])
        + rng.normal(0, 5.0, n),
        greenup=greenup,
        senescence=senescence,
        harvest=np.where(np.isnan(harvest), _NEVER, harvest),
        peak=BARE + amplitude * np.clip(lushness * rng.normal(0.98, 0.035, n), 0.5, 1.03),
        bloom=np.array([(c.bloom or (0,))[0] for c in constants]) + spring + rng.normal(0, 2.5, n),
        cuts=_mowing(rng, constants, spring),
    )


def _mowing(rng: np.random.Generator, crops: Sequence[Crop], shift: float) -> Array:
    """Two to four cuts from mid May on, `[F, 4]`; pastures (a third) are grazed and never cut."""
    n = len(crops)
    days = 140.0 + shift + rng.normal(0, 9.0, (n, 1)) + np.cumsum(rng.uniform(32, 55, (n, 4)), axis=1) - 40.0
    used = np.arange(4)[None] < np.where(rng.random(n) < 0.33, 0, rng.integers(2, 5, n))[:, None]
    mown = np.array([c.mown for c in crops])[:, None]
    return np.where(used & mown, np.round(days), _NEVER)


def read_dates(season: Season, canopy: Canopy, ndvi: Array, window: tuple[int, int]) -> list[Dates]:
    """Read each field's dates off its curve.

    Args:
        season: The fields.
        canopy: Their state on `DAYS`.
        ndvi: NDVI as a sensor would see it without cloud or noise, `[F, len(DAYS)]`.
        window: First and last day in which peak and green days are sought.
    """
    risen = canopy.greenness - BARE > 0.1 * (season.peak[:, None] - BARE)
    inside = (window[0] <= DAYS) & (window[1] >= DAYS)
    return [
        _field_dates(_crop(name), harvest, DAYS[up], DAYS[inside], curve[inside])
        for name, harvest, up, curve in zip(season.crops, season.harvest, risen, ndvi, strict=True)
    ]


def _field_dates(crop: Crop, harvest: float, risen: Array, days: Array, ndvi: Array) -> Dates:
    green = days[ndvi >= 0.5]
    sown = crop.sowing_lag is not None
    return Dates(
        sowing=int(risen[0] - crop.sowing_lag) if crop.sowing_lag is not None else None,
        emergence=int(risen[0]) if sown else None,
        peak=int(days[np.argmax(ndvi)]),
        harvest=int(harvest) if harvest < _NEVER else None,
        green_from=int(green[0]) if green.size else None,
        green_until=int(green[-1]) if green.size else None,
    )


def _crop(name: str) -> Crop:
    return CROPS.get(name) or NATURE[name]

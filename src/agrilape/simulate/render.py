"""Reflectance of a scene on one day, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

from agrilape.simulate import spectra
from agrilape.simulate.canvas import Canvas, Floats, fractal, rasterize_cover, rows
from agrilape.simulate.crops import CROPS, Spectrum
from agrilape.simulate.farmland import Farmland
from agrilape.simulate.phenology import Season
from agrilape.simulate.sky import SUN, Weather
from agrilape.simulate.stress import CAUSES

_TREE_SHADOW_M = 14.0


@dataclass(frozen=True)
class StaticLayers:
    """What does not change over the season, `[H, W]` unless said otherwise.

    Attributes:
        canvas: Fields and ground shares.
        season: Growth of every field, then of verge and wood.
        soil: Reflectance of the region's soil.
        vigour: Local growth, about 1: exponent of the share that the canopy leaves uncovered.
        stripes: Row pattern times the crop's row contrast.
        brightness: Factor on the soil's reflectance.
        crowns: Factor on the reflectance of woods.
        stress: Index of the stress zone, -1 elsewhere.
        severity: How far stress develops at a pixel, 0-1.
        stressors: Onset day, cover lost and share yellow of each zone, `[Z, 3]`.
    """

    canvas: Canvas
    season: Season
    soil: Spectrum
    vigour: Floats
    stripes: Floats
    brightness: Floats
    crowns: Floats
    stress: NDArray[np.int32]
    severity: Floats
    stressors: Floats


def make_static_layers(rng: np.random.Generator, farmland: Farmland, canvas: Canvas) -> StaticLayers:
    """Draw the patterns of soil, growth, rows, stress and woods."""
    size, gsd = canvas.plot.shape[0], canvas.gsd
    patches = fractal(rng, size, 1.2, longest=700 / gsd)
    brightness = 1 + 0.09 * patches + 0.04 * fractal(rng, size, 0.5)
    growth = 1 + 0.16 * fractal(rng, size, 1.3, longest=500 / gsd) - 0.07 * patches
    shade = _tree_shade(canvas)
    crops = [CROPS[name] for name in farmland.crops]
    zones = farmland.zones
    stress = rasterize_cover([(zone.outline, k) for k, zone in enumerate(zones)], size, gsd)
    contrast = np.array([c.row_contrast for c in crops] + [0.0], np.float32)[canvas.plot]
    return StaticLayers(
        canvas=canvas,
        season=farmland.season,
        soil=farmland.region.soil,
        vigour=np.clip(growth, 0.4, 1.8) * (1 - 0.5 * shade),
        stripes=contrast * rows(rng, canvas, farmland.landscape, np.array([c.row_width for c in crops])),
        brightness=np.clip(brightness, 0.5, 1.5) * (1 - shade),
        crowns=_crowns(rng, size, gsd, patches),
        stress=stress,
        severity=_severity(rng, stress),
        stressors=np.array([(zone.onset, *CAUSES[zone.cause]) for zone in zones], np.float32).reshape(-1, 3),
    )


def _tree_shade(canvas: Canvas) -> Floats:
    """Share of the light that trees beside the pixel take away."""
    tree = canvas.share["wood"] + canvas.share["hedge"]
    away = np.array([SUN[1], -SUN[0]]) * _TREE_SHADOW_M / canvas.gsd  # rows, columns
    reach = [shift(tree, np.rint(away * part), order=0, mode="nearest") for part in (0.33, 0.67, 1.0)]
    return np.asarray(0.4 * np.clip(np.max(reach, axis=0) - tree, 0, 1), np.float32)


def _severity(rng: np.random.Generator, stress: NDArray[np.int32]) -> Floats:
    """Zones fade towards their edges and are patchy inside."""
    inside = gaussian_filter((stress >= 0).astype(np.float32), 2.0)
    mottled = 1 + 0.25 * fractal(rng, stress.shape[0], 1.0, longest=24)
    return np.asarray(np.where(stress >= 0, np.clip(1.3 * (inside - 0.3) * mottled, 0, 1), 0), np.float32)


def _crowns(rng: np.random.Generator, size: int, gsd: float, patches: Floats) -> Floats:
    """Light and shade of tree crowns, a relief lit from the sun's side, over patches of different trees."""
    relief = fractal(rng, size, 0.8, longest=25 / gsd + 1.5)
    lit = relief - np.roll(relief, (-1, 1), axis=(0, 1))
    return np.clip(1 + 0.10 * lit + 0.13 * patches, 0.5, 1.6)


def render(rng: np.random.Generator, ground: StaticLayers, day: int, weather: Weather | None) -> Floats:
    """Reflectance `[4, H, W]` on a day of the year, with clouds, blur of the optics and noise."""
    season = ground.season
    canopy = season.canopy(np.array([day]))
    cover = [part[:, 0] for part in spectra.fractions(canopy, season.crops, ground.soil)]
    image = _fields(rng, ground, day, cover)
    _paint_surroundings(ground, image, cover)
    image *= np.float32(rng.normal(1, 0.02))
    if weather is not None:
        white = 0.62 + 0.25 * weather.cloud
        image *= weather.shade
        image += weather.cloud * (white - image)
    image = gaussian_filter(image, sigma=(0, 0.45, 0.45), truncate=3.0)
    image += 0.0015 * rng.standard_normal(image.shape, np.float32)
    return np.asarray(image, np.float32)


def _fields(
    rng: np.random.Generator, ground: StaticLayers, day: int, cover: list[NDArray[np.float64]]
) -> Floats:
    """Every pixel as its field's canopy over soil; pixels of no field come out as verge."""
    plot, season = ground.canvas.plot, ground.season
    plot = np.where(plot < 0, len(season.crops) - 2, plot)
    green, flower, straw = (part.astype(np.float32)[plot] for part in cover)
    full = np.minimum(green + flower, 0.995)
    grown = 1 - (1 - full) ** (ground.vigour * (1 + 2.2 * ground.stripes))
    lost, yellow = _stress(ground, day)
    kept = grown * (1 - lost)
    straw = np.minimum(straw * (1 + ground.stripes) + yellow * grown * lost, 1 - kept)
    flower = flower / np.maximum(full, 1e-6) * kept
    tilth = rng.normal(1, 0.05, len(season.crops)) * (0.92 + 0.16 * rng.random())
    bare = (
        (1 - kept - straw) * ground.brightness * (1 + 0.5 * ground.stripes) * tilth.astype(np.float32)[plot]
    )
    image = np.empty((4, *plot.shape), np.float32)
    members = [
        spectra.endmembers(season.crops, kind).astype(np.float32) for kind in ("leaf", "flower", "straw")
    ]
    for band in range(4):
        leaf, petal, dead = (m[:, band][plot] for m in members)
        image[band] = ground.soil[band] * bare + leaf * (kept - flower) + petal * flower + dead * straw
    return image


def _stress(ground: StaticLayers, day: int) -> tuple[Floats, Floats]:
    """Share of the green cover lost, and the share of that left as yellow canopy, `[H, W]`."""
    onset, lost, yellow = np.vstack([ground.stressors, [[0, 0, 0]]]).T
    developed = lost * np.clip((day - onset) / 15, 0, 1)
    return ground.severity * developed.astype(np.float32)[ground.stress], yellow.astype(np.float32)[
        ground.stress
    ]


def _paint_surroundings(ground: StaticLayers, image: Floats, cover: list[NDArray[np.float64]]) -> None:
    """Blend what is outside the fields into `image`, in proportion to its share of each pixel."""
    share = ground.canvas.share
    outside = np.flatnonzero(np.sum(list(share.values()), axis=0) > 0)
    verge, wood = (_mix(ground, k, cover) for k in (-2, -1))
    colours = {
        "verge": verge, "wood": wood, "hedge": wood, "water": spectra.WATER, "track": spectra.GRAVEL,
        "road": spectra.ASPHALT, "farmstead": spectra.YARD, "tiles": spectra.TILES, "metal": spectra.METAL,
    }  # fmt: skip
    texture = {"wood": ground.crowns, "hedge": ground.crowns, "water": np.ones_like(ground.crowns)}
    flat = image.reshape(4, -1)
    total = np.zeros((4, outside.size), np.float32)
    taken = np.zeros(outside.size, np.float32)
    for kind, layer in share.items():
        part = layer.reshape(-1)[outside]
        taken += part
        shaded = part * texture.get(kind, ground.brightness).reshape(-1)[outside]
        total += np.asarray(colours[kind], np.float32)[:, None] * shaded
    flat[:, outside] = flat[:, outside] * (1 - taken) + total


def _mix(ground: StaticLayers, k: int, cover: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Spectrum of one plant community of the season, `[4]`."""
    name = [ground.season.crops[k]]
    kinds = ("leaf", "flower", "straw")
    parts = [part[k] * spectra.endmembers(name, kind)[0] for part, kind in zip(cover, kinds, strict=True)]
    return np.asarray(sum(parts) + (1 - sum(part[k] for part in cover)) * np.asarray(ground.soil))

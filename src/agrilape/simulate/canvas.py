"""From the map to pixels: which field, how much of each kind of ground, and the texture on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import fft
from shapely import Geometry

from agrilape.simulate.landscape import Landscape

Floats = NDArray[np.float32]

_FINE = 3
"""Sub-pixels along a pixel's side; ground shares come in ninths."""
KINDS = ("verge", "wood", "water", "hedge", "track", "road", "farmstead", "tiles", "metal")
"""Ground outside fields, the later painted over the earlier."""


@dataclass(frozen=True)
class Canvas:
    """The scene's pixel grid, `[H, W]` with the first row in the north.

    Attributes:
        gsd: Pixel side in metres.
        plot: Index of the field that the pixel shows, or touches; -1 where there is none.
        share: Share of the pixel that each kind of ground outside fields takes, by kind of `KINDS`.
    """

    gsd: float
    plot: NDArray[np.int32]
    share: dict[str, Floats]


def paint(landscape: Landscape, size: int, gsd: float) -> Canvas:
    """Rasterise the map with ground shares below the pixel."""
    fields = [(plot.outline, index) for index, plot in enumerate(landscape.plots)]
    fine = rasterize_cover(fields, size * _FINE, gsd / _FINE)
    layers = [(g, code) for code, kind in enumerate(KINDS) for g in landscape.cover.get(kind, [])]
    kinds = rasterize_cover(layers, size * _FINE, gsd / _FINE, fill=0)
    kinds[fine >= 0] = -1
    subpixels = [(slice(r, None, _FINE), slice(c, None, _FINE)) for r in range(_FINE) for c in range(_FINE)]
    plot = fine[subpixels[_FINE**2 // 2]]
    touched = np.max([fine[s] for s in subpixels], axis=0)
    share = {kind: _share(kinds, code, subpixels) for code, kind in enumerate(KINDS)}
    return Canvas(gsd, np.where(plot < 0, touched, plot), share)


def rasterize_cover(
    shapes: Sequence[tuple[Geometry, int]], side: int, step: float, fill: int = -1
) -> NDArray[np.int32]:
    """Rasterise shapes in scene metres with their values on a square grid, later ones on top."""
    if not shapes:
        return np.full((side, side), fill, np.int32)
    north_up = Affine(step, 0, 0, 0, -step, side * step)
    return np.asarray(rasterize(shapes, (side, side), fill=fill, transform=north_up, dtype=np.int32))


def _share(kinds: NDArray[np.int32], code: int, subpixels: list[tuple[slice, slice]]) -> Floats:
    hit = (kinds == code).astype(np.uint8)
    return np.asarray(np.sum([hit[s] for s in subpixels], axis=0, dtype=np.uint8) / _FINE**2, np.float32)


def fractal(rng: np.random.Generator, size: int, slope: float, longest: float | None = None) -> Floats:
    """Cloud-like noise `[size, size]` with mean 0 and deviation 1; the amplitude falls as frequency^-slope.

    Args:
        rng: The noise.
        size: Side in pixels; the noise wraps around.
        slope: 0: white; 1: rough; 2: smooth.
        longest: Wavelength in pixels beyond which nothing grows further; None: the whole side.
    """
    frequency = np.hypot(fft.fftfreq(size)[:, None], fft.rfftfreq(size)[None])
    gain = np.maximum(frequency, 1 / (longest or size)) ** -slope
    gain[0, 0] = 0
    noise = fft.irfft2(
        fft.rfft2(rng.standard_normal((size, size), np.float32)) * gain.astype(np.float32), s=(size, size)
    )
    return np.asarray(noise / noise.std(), np.float32)


def rows(
    rng: np.random.Generator, canvas: Canvas, landscape: Landscape, width: NDArray[np.float64]
) -> Floats:
    """Stripes along every field's rows, `[H, W]`, mean about 0 and values mostly within 1.

    What is seen of rows depends on the pixel: the crop rows themselves, the 3 m passes of the drill or the
    tramlines every 24 m, whichever is the narrowest that two and a half pixels resolve, besides long streaks.

    Args:
        rng: Phase and streaks.
        canvas: Where the fields are.
        landscape: Their outlines, whose long side gives the direction.
        width: Row width of each field's crop, `[F]`, in metres.
    """
    azimuth = np.array([plot.azimuth for plot in landscape.plots])
    passes = np.maximum(np.stack([width, np.full_like(width, 3.0), np.full_like(width, 24.0)]), 1e-3)
    spacing = np.where(passes >= 2.5 * canvas.gsd, passes, np.inf).min(axis=0)
    spacing = np.where(np.isfinite(spacing), spacing, 3 * canvas.gsd) * rng.uniform(1.0, 1.15, len(width))
    size = canvas.plot.shape[0]
    metres = (np.arange(size, dtype=np.float32) + 0.5) * canvas.gsd
    x, y = metres[None], (size * canvas.gsd - metres)[:, None]

    def pick(values: NDArray[np.float64]) -> Floats:
        return np.append(values, 0).astype(np.float32)[canvas.plot]

    c, s, offset = pick(np.cos(azimuth)), pick(np.sin(azimuth)), pick(rng.uniform(0, 512, len(width)))
    along, across = c * x + s * y, c * y - s * x
    stripes = np.sin(across * pick(2 * np.pi / spacing) + offset)
    streaks = fractal(rng, 512, 0.3, longest=8)
    u = (along / (40 * canvas.gsd) + offset).astype(np.int32) & 511
    v = (across / (1.3 * canvas.gsd) + 7 * offset).astype(np.int32) & 511
    return np.asarray(0.6 * stripes + 0.4 * streaks[u, v], np.float32)

"""Dated frames on one grid, put together from the files of one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agrilape.errors import DataError
from agrilape.geo.georeference import apply_affine, shift_origin
from agrilape.geo.timewindow import TimeWindow
from agrilape.sources.composite import percentile_stretch
from agrilape.sources.layers import Band, Grid, RasterFile
from agrilape.sources.raster import RasterFrame
from agrilape.sources.scene import PixelWindow

CLEAR = {
    "scl": (4, 5, 6),  # Sentinel-2 scene classification: vegetation, bare, water
    "cloud_mask": (0,),
}
SAMPLE_SIDE = 256  # pixels of a sampled window; four by four of them show what an image holds
SAMPLES_PER_SIDE = 4
FINER = 0.75  # a band of one date at two resolutions is one product's, and its finer file is read
BRIGHTEST_REFLECTANCE = 1.5  # snow and cloud reach 1.2; a median above this is no reflectance


@dataclass(frozen=True)
class Series:
    """The frames of one place.

    Attributes:
        grid: Their common pixel grid: that of the finest files, as far as they reach.
        frames: In order of date, at least one.
        empty: Dates skipped because no sampled pixel was valid (no data, or all cloud).
        notes: What was assumed in reading the files, for people.
    """

    grid: Grid
    frames: tuple[RasterFrame, ...]
    empty: tuple[date | None, ...] = ()
    notes: tuple[str, ...] = ()


def assemble(files: Sequence[RasterFile], clear: Mapping[str, tuple[int, ...]] | None = None) -> Series:
    """Join the files of one place: bands of one date into one frame, frames in order of date.

    Args:
        files: Whole images, single bands, other resolutions, or stacks of dates; all of one place.
        clear: Values of mask bands that mean clear sky, by role; None for the usual ones.

    Raises:
        DataError: A date is missing, out of order in a stack, or covered twice; or no pixel is valid.
    """
    files, left = _one_sensor_a_date(files)
    grid = _common_grid([file.grid for file in files])
    _check_cubes(files, grid)
    frames = []
    for acquired, layers in sorted(_by_date(files).items(), key=lambda item: item[0] or date.min):
        if "nir" not in layers and "nir_narrow" in layers:  # indices accept either of Sentinel-2's two
            layers["nir"] = layers["nir_narrow"]
        masks = {role: values for role, values in (clear or CLEAR).items() if role in layers}
        frames.append(RasterFrame(acquired, grid, layers, masks))
    kept, stretch = _sample(frames, fixed=all(file.eight_bit for file in files))
    if not kept:
        raise DataError(
            f"{files[0].path}: no pixel is valid on any date", "check its nodata value and cloud mask"
        )
    empty = tuple(frame.acquired for frame in frames if frame not in kept)
    notes = dict.fromkeys([*(note for file in files for note in file.notes), *left, *_too_bright(stretch)])
    return Series(grid, tuple(replace(frame, stretch=stretch) for frame in kept), empty, tuple(notes))


def _one_sensor_a_date(files: Sequence[RasterFile]) -> tuple[Sequence[RasterFile], Sequence[str]]:
    """The files without those of a second sensor on a date, whose bands are others; the finer one stays."""
    finest: dict[date, RasterFile] = {}
    for file in sorted(files, key=lambda file: file.grid.pixel_size):
        if file.acquired is not None and file.sensor is not None:
            finest.setdefault(file.acquired, file)
    kept = [file for file in files if _same_sensor(file, finest.get(file.acquired or date.min))]
    if len(kept) == len(files):
        return files, ()
    left = [file for file in files if file not in kept]
    first = finest[left[0].acquired or date.min]
    said = f"{first.path.name} of another sensor shows {left[0].acquired} too"
    return kept, [
        f"skipped {len(left)} files ({left[0].path.name}, ...): {said}, and at most one counts a date"
    ]


def _same_sensor(file: RasterFile, finest: RasterFile | None) -> bool:
    return finest is None or file.sensor is None or file.sensor == finest.sensor


def season(days: Sequence[date | None], margin_days: int = 15) -> TimeWindow | None:
    """The calendar around dated frames, with a margin so that none sits at its very end; None for a still."""
    known = [day for day in days if day is not None]
    if len(known) < 2:
        return None
    margin = timedelta(days=margin_days)
    return TimeWindow(min(known) - margin, max(known) + margin)


def _common_grid(grids: Sequence[Grid]) -> Grid:
    """The finest grid, grown to hold all others of its kind: acquisitions of one place differ in extent."""
    finest = min(grids, key=lambda grid: grid.pixel_size)
    like = [grid for grid in grids if grid.crs == finest.crs and _same_pixels(grid, finest)]
    corners = np.array([(grid.transform.c, grid.transform.f) for grid in like])
    first = np.rint(apply_affine(~finest.transform, corners)).astype(int)
    last = first + [(grid.width, grid.height) for grid in like]
    (left, top), (right, bottom) = first.min(0).tolist(), last.max(0).tolist()
    return Grid(right - left, bottom - top, shift_origin(finest.transform, left, top), finest.crs)


def _same_pixels(one: Grid, other: Grid) -> bool:
    first, second = ([g.transform.a, g.transform.b, g.transform.d, g.transform.e] for g in (one, other))
    return np.allclose(first, second, rtol=1e-6)


def _check_cubes(files: Sequence[RasterFile], grid: Grid) -> None:
    """Cubes are read pixel by pixel and not warped."""
    for file in files:
        if file.grid != grid and any(band.variable for band in file.layers.values()):
            raise DataError(
                f"{file.path} is a cube on another pixel grid than its neighbours",
                "put it into a folder of its own, or bring both onto one grid",
            )


def _too_bright(stretch: Mapping[str, tuple[float, float]]) -> list[str]:
    bright = [role for role, (low, high) in stretch.items() if low > BRIGHTEST_REFLECTANCE or high <= 0]
    return [f"{', '.join(bright)} hold no reflectance in 0-1: state `scale` in scene.json"] if bright else []


def _by_date(files: Sequence[RasterFile]) -> dict[date | None, dict[str, Band]]:
    found: dict[date | None, dict[str, Band]] = {}
    sizes: dict[str, float] = {}
    for file in sorted(files, key=lambda file: file.grid.pixel_size):
        _check_order(file)
        size = file.grid.pixel_size
        for acquired, role, band in _bands_of(file):
            layers = found.setdefault(acquired, {})
            sizes.setdefault(band.path, size)
            if role not in layers:
                layers[role] = band
            elif sizes[layers[role].path] > FINER * size:
                raise DataError(*_both(file, layers[role], role, acquired))
    if None in found and len(found) > 1:
        undated = next(file for file in files if file.acquired is None and not file.dated)
        raise DataError(
            f"{undated.path} has no date among dated images",
            "set its tag ACQUISITION_DATE=YYYY-MM-DD, or put the date into its file name",
        )
    return found


def _both(file: RasterFile, other: Band, role: str, acquired: date | None) -> tuple[str, str]:
    """Two files with one band of one date, and what to do about it."""
    names = f"{file.path.name} and {Path(other.path).name}"
    if role.startswith("band_"):
        return (
            f"{names} both hold a band of {acquired or 'no date'} whose name says nothing",
            'state "sensor" in scene.json (such as "Landsat 8"), or what their file names hold, as '
            '"bands": {"B5": "nir"}; or keep one image per date and place',
        )
    return (
        f"{names} both hold {role} of {acquired or 'no date'}",
        "keep one image per date and place, or put other places into folders of their own",
    )


def _bands_of(file: RasterFile) -> list[tuple[date | None, str, Band]]:
    if file.dated:
        return list(file.dated)
    return [(file.acquired, role, band) for role, band in file.layers.items()]


def _check_order(file: RasterFile) -> None:
    for role in dict.fromkeys(role for _, role, _ in file.dated):
        for before, after in pairwise(day for day, other, _ in file.dated if other == role):
            if after <= before:
                raise DataError(
                    f"{file.path}: dates out of order, {after} follows {before}",
                    "correct the band descriptions, or order the bands by date",
                )


def _sample(
    frames: Sequence[RasterFrame], fixed: bool
) -> tuple[list[RasterFrame], dict[str, tuple[float, float]]]:
    """Frames with something to see, and the stretch of bands over all dates (`fixed`: as they are)."""
    kept = []
    pixels: dict[str, list[NDArray[np.float32]]] = {}
    for frame in frames:
        bands = tuple(role for role in frame.bands if role in frame.layers)
        values = np.concatenate(
            [frame.read(w, bands).reshape(len(bands), -1) for w in _windows(frame.grid)], 1
        )
        if not np.isfinite(values).any():
            continue
        kept.append(frame)
        for role, layer in zip(
            bands, values[:, :: len(frames)], strict=True
        ):  # a like number of pixels per date
            pixels.setdefault(role, []).append(layer)
    stretch = (
        {} if fixed else percentile_stretch({role: np.concatenate(found) for role, found in pixels.items()})
    )
    return kept, stretch


def _windows(grid: Grid) -> list[PixelWindow]:
    """Windows spread evenly over an image: they cover a small one, and sample a large one."""

    def starts(size: int) -> list[tuple[int, int]]:
        count = min(SAMPLES_PER_SIDE, -(-size // SAMPLE_SIDE))
        side = min(SAMPLE_SIDE, size)
        return [(round(at), side) for at in np.linspace(0, size - side, count)]

    columns, rows = starts(grid.width), starts(grid.height)
    return [PixelWindow(x, y, width, height) for y, height in rows for x, width in columns]

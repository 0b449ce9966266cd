"""Georeferenced imagery, read by window: bands by role, physical values, NaN where there is no data."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from agrilape.errors import DataError
from agrilape.io.gdal import open_raster
from agrilape.io.remote import is_remote
from agrilape.sources import composite as composites
from agrilape.sources.band_hints import read_band_hints, tags_of
from agrilape.sources.bands import MASK_ROLES, BandHints, BandRoles, name_bands, name_stated
from agrilape.sources.cubes import read_variable
from agrilape.sources.dates import acquisition_date
from agrilape.sources.layers import ALONE, Band, Grid, RasterFile, SiblingFiles
from agrilape.sources.placement import grid_of, place_of
from agrilape.sources.scaling import Scaling, baseline_of, landsat_scaling, scaling_of
from agrilape.sources.scene import PixelWindow
from agrilape.sources.scene_json import DEFAULT_OPTIONS, ReadOptions
from agrilape.sources.stacks import dates_of_stack, name_stack, parts_of_stack

OPEN_FILES = 64  # per thread; a file handle costs a few hundred kilobytes of GDAL state


@dataclass(frozen=True)
class RasterFrame:
    """One acquisition, in one file or one file per band or resolution; opens files only when read.

    Attributes:
        acquired: Acquisition date; None if unknown.
        grid: The pixel grid of the scene. Files on another grid are warped onto it while reading.
        layers: Bands by role.
        clear: Values of the mask bands (`scl`, `cloud_mask`) that mean clear sky; other pixels read NaN.
        stretch: Values shown as 0 and 255, by role; the same for all windows and dates of a scene.
    """

    acquired: date | None
    grid: Grid
    layers: Mapping[str, Band]
    clear: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    stretch: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def bands(self) -> tuple[str, ...]:
        """Roles that can be read: bands of the files, and indices computed from them."""
        own = tuple(role for role in self.layers if role not in MASK_ROLES)
        return own + composites.derivable_indices(own)

    def read(self, window: PixelWindow, bands: tuple[str, ...]) -> NDArray[np.float32]:
        """Physical values of a window, which may reach beyond the image.

        Args:
            window: Pixels of the scene's grid.
            bands: Roles of bands or names of indices, or formulas on roles.

        Returns:
            `[bands, height, width]`; NaN outside the image, without data, and under cloud.

        Raises:
            DataError: A file cannot be read, or a band is missing.
        """
        needed: dict[str, None] = {}
        for name in bands:
            index = None if name in self.layers else composites.index_of(name)
            needed.update(dict.fromkeys(composites.inputs_of(index.formula) if index else (name,)))
        values = self._read_layers(window, tuple(needed))
        picked = [_pick(name, values) for name in bands]
        return picked[0][None] if len(picked) == 1 else np.stack(picked)

    def picture(self, window: PixelWindow, composite: str) -> NDArray[np.uint8]:
        """8-bit RGB `[height, width, 3]` of a window; see `composite.render`."""
        bands = composites.composite_bands(composite, self.bands)
        return composites.render(self.read(window, bands), bands, self.stretch)

    def _read_layers(self, window: PixelWindow, needed: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
        missing = [role for role in needed if role not in self.layers]
        if missing:
            have = ", ".join(self.bands)
            raise DataError(
                f"no band {', '.join(missing)} in the image, which has {have}", "ask for one that it has"
            )
        inside, place = _inside(window, self.grid)
        shape = (window.height, window.width)
        if inside is None:
            return {role: np.full(shape, np.nan, np.float32) for role in needed}
        found = self._read_files(inside, (*needed, *self.clear))
        cloudy = [~np.isin(found[role], self.clear[role]) for role in self.clear]
        values = {}
        for role in needed:
            band, physical = self.layers[role], found[role]
            physical *= np.float32(band.scale)
            if band.offset:
                physical += np.float32(band.offset)
            for mask in cloudy:
                physical[mask] = np.nan
            values[role] = physical
            if physical.shape != shape:
                values[role] = np.full(shape, np.nan, np.float32)
                values[role][place] = physical
        return values

    def _read_files(self, inside: Window, wanted: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
        """Stored numbers inside the image as float32, NaN for no data; each file is asked once."""
        by_path: dict[str, list[str]] = {}
        for role in dict.fromkeys(wanted):
            by_path.setdefault(self.layers[role].path, []).append(role)
        found: dict[str, NDArray[np.float32]] = {}
        for path, together in by_path.items():
            bands = [self.layers[role] for role in together]
            if bands[0].variable is not None:
                stack = [read_variable(path, band.variable or "", band.at, inside) for band in bands]
            else:
                masked = set(together) & set(MASK_ROLES)
                resampling = Resampling.nearest if masked else Resampling.bilinear
                data = frozenset(band.number for band in self.layers.values() if band.path == path)
                numbers = [band.number for band in bands]
                stack = list(read_bands(path, numbers, inside, self.grid, resampling, data))
            for band, layer in zip(bands, stack, strict=True):
                # Most windows have none, and looking is seven times as fast as writing none.
                if band.nodata is not None and (lost := layer == _as_read(band.nodata)).any():
                    layer[lost] = np.nan
            found.update(zip(together, stack, strict=True))
        return found


def _as_read(nodata: float) -> np.float32:
    """A nodata value as it looks in float32: one of float64 beyond that is infinite."""
    with np.errstate(over="ignore"):
        return np.float32(nodata)


def _pick(name: str, values: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    if name in values:
        return values[name]
    index = composites.index_of(name)
    assert index is not None
    return composites.evaluate_formula(index.formula, values)


def _inside(window: PixelWindow, grid: Grid) -> tuple[Window | None, tuple[slice, slice]]:
    """The part of a window that lies in the image, and where that part goes in the window."""
    left, top = max(window.column, 0), max(window.row, 0)
    right = min(window.column + window.width, grid.width)
    bottom = min(window.row + window.height, grid.height)
    if left >= right or top >= bottom:
        return None, (slice(0), slice(0))
    rows = slice(top - window.row, bottom - window.row)
    columns = slice(left - window.column, right - window.column)
    return Window(left, top, right - left, bottom - top), (rows, columns)


class _Opened(NamedTuple):
    """An open dataset, with what says where it has no data: the number of its alpha band, or a mask."""

    dataset: Any
    alpha: int | None
    masked: bool


class _OpenFiles(threading.local):
    """Open datasets of this thread: GDAL handles are not thread-safe and do not survive a fork."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.datasets: OrderedDict[tuple[Any, ...], _Opened] = OrderedDict()


_open_files = _OpenFiles()


def _dataset(path: str, grid: Grid | None, resampling: Resampling) -> _Opened:
    """An open dataset, warped onto a grid if it lies on another one; kept open for the next read."""
    if _open_files.process != os.getpid():
        _open_files.__init__()  # type: ignore[misc]  # a forked child must not share file offsets
    key = (path, _stamp(path), grid, resampling)
    datasets = _open_files.datasets
    if key in datasets:
        datasets.move_to_end(key)
        return datasets[key]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # that was said when it was inspected
        dataset = open_raster(path)
    if grid is not None and not _same_grid(dataset, grid):
        dataset = _warped(dataset, grid, resampling)
    colours = dataset.colorinterp
    alpha = colours.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in colours else None
    datasets[key] = _Opened(dataset, alpha, MaskFlags.per_dataset in dataset.mask_flag_enums[0])
    if len(datasets) > OPEN_FILES:
        datasets.popitem(last=False)[1].dataset.close()
    return datasets[key]


def _stamp(path: str) -> tuple[int, int] | None:
    """Time and size of a local file, which tell when it was replaced; None for a remote one."""
    if is_remote(path):
        return None
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size


def _warped(dataset: Any, grid: Grid, resampling: Resampling) -> WarpedVRT:
    """A dataset as it looks on a grid; ground outside it is no data."""
    place = place_of(dataset)
    source: dict[str, Any] = {}
    if place is not None and place.transform != dataset.transform:  # control points, longitudes of 0 to 360
        source = {"src_crs": place.crs or grid.crs, "src_transform": place.transform}
    elif not dataset.crs:
        source = {"src_crs": grid.crs}
    return WarpedVRT(
        dataset, crs=grid.crs or dataset.crs, transform=grid.transform, width=grid.width,
        height=grid.height, resampling=resampling,
        add_alpha=dataset.nodata is None and ColorInterp.alpha not in dataset.colorinterp, **source,
    )  # fmt: skip


def _same_grid(dataset: Any, grid: Grid) -> bool:
    place = place_of(dataset)
    transform = dataset.transform if place is None else place.transform
    size = (dataset.width, dataset.height) == (grid.width, grid.height)
    if grid.crs is None:
        return size  # pixels only
    return size and transform.almost_equals(grid.transform, precision=1e-6 * abs(grid.transform.a) + 1e-12)


def read_bands(
    path: str,
    numbers: list[int],
    window: Window,
    grid: Grid | None,
    resampling: Resampling = Resampling.nearest,
    data: frozenset[int] = frozenset(),
) -> NDArray[np.float32]:
    """Stored numbers of a window as float32 `[bands, height, width]`, NaN where the file's mask says so.

    Args:
        path: The file.
        numbers: Bands, from 1.
        window: Pixels of `grid`.
        grid: The grid to read on; None for the file's own.
        resampling: How values come onto another grid.
        data: Bands that hold data, whatever colour the file gives them: GDAL calls the fourth of four 8-bit
            bands alpha, though it may be near infrared.

    Raises:
        DataError: The file is missing, truncated or not an image.
    """
    try:
        opened = _dataset(path, grid, resampling)
        dataset = opened.dataset
        values: NDArray[np.float32] = dataset.read(numbers, window=window, out_dtype=np.float32)
        if opened.alpha in data:
            return values
        if opened.alpha is not None:
            values[:, dataset.read(opened.alpha, window=window) == 0] = np.nan
        elif opened.masked:
            values[:, dataset.dataset_mask(window=window) == 0] = np.nan
    except (RasterioError, OSError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", "copy it again from its origin, or leave it out"
        ) from error
    return values


def inspect_raster(
    path: Path | str, reading: ReadOptions = DEFAULT_OPTIONS, beside: SiblingFiles = ALONE
) -> RasterFile:
    """Read the header of an image file, and its last pixels to see that it is whole.

    Args:
        path: A GeoTIFF, or anything else that GDAL reads with a grid; the address of a remote one as text.
        reading: What the user states of the file.
        beside: What the names of the files beside it tell.

    Raises:
        DataError: The file is unreadable or truncated, has no place on the map, or mixes several images.
    """
    try:
        with _strictly(), open_raster(path) as dataset:
            _check_whole(dataset)
            grid = grid_of(path, dataset, reading)
            file = _describe(Path(path), dataset, grid, reading, beside)
    except (RasterioError, OSError) as error:
        lost = "No such file" in str(error)
        remedy = "check the path" if lost else "copy it again from its origin, or leave it out"
        raise DataError(f"{path} is not a readable image: {error}", remedy) from error
    return file


@contextmanager
def _strictly() -> Iterator[None]:
    """Raise OSError for what GDAL only logs: a file cut short in its tags has lost its band names."""
    lost: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "IO error" in record.getMessage():
                lost.append(record.getMessage())

    listener = Listener(logging.WARNING)
    logger = logging.getLogger("rasterio")
    logger.addHandler(listener)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # `placing` says it, with a remedy
            yield
    finally:
        logger.removeHandler(listener)
    if lost:
        raise OSError(lost[0])


def _check_whole(dataset: Any) -> None:
    """Read the last block: where a copy was cut short, that is what is missing."""
    height, width = dataset.block_shapes[-1]
    top, left = (dataset.height - 1) // height * height, (dataset.width - 1) // width * width
    dataset.read(dataset.count, window=Window(left, top, dataset.width - left, dataset.height - top))


def _describe(path: Path, dataset: Any, grid: Grid, reading: ReadOptions, beside: SiblingFiles) -> RasterFile:
    clues = read_band_hints(path, dataset, reading, beside.bands)
    named, days = _identify(path, dataset, reading, clues)
    if ColorInterp.palette in dataset.colorinterp and named.roles == ("band_1",):
        raise DataError(
            f"{path} holds numbers of a colour table, not colours",
            f"gdal_translate -expand rgb {path} colours.tif; a map of classes is given as labels.tif",
        )
    scalings = _scalings(path, dataset, named, reading)
    read = [scaling for scaling, shown in zip(scalings, named.read, strict=True) if shown]
    bands = [
        (day, role, Band(dataset.name, number, *scaling[:3]))
        for number, (day, role, scaling, shown) in enumerate(
            zip(days, named.roles, scalings, named.read, strict=True), start=1
        )
        if shown and role != "alpha"
    ]
    notes = tuple(dict.fromkeys([*named.notes, *(scaling.note for scaling in read if scaling.note)]))
    # Of 8-bit numbers only a product's own scale, which makes them physical, comes with a note.
    eight_bit = all(d == "uint8" and not s.note for d, s in zip(dataset.dtypes, scalings, strict=True))
    if any(days):
        dated = tuple((day, role, band) for day, role, band in bands if day)
        return RasterFile(path, grid, None, {}, dated, eight_bit, notes, clues.sensor)
    spelled = path.stem if beside.acquired is None else beside.acquired.isoformat()
    acquired = acquisition_date(tags_of(dataset), dataset.descriptions, spelled) or reading.acquired
    layers = {role: band for _, role, band in bands}
    return RasterFile(path, grid, acquired, layers, (), eight_bit, notes, clues.sensor)


def _identify(
    path: Path, dataset: Any, reading: ReadOptions, clues: BandHints
) -> tuple[BandRoles, Sequence[date | None]]:
    """A role for each band of a file, from what is stated, else from what the file says; dates of a stack."""
    if isinstance(reading.bands, tuple):
        return _stated(path, dataset, reading.bands, clues)
    parts = parts_of_stack(path, dataset.descriptions)
    if parts is None:
        return name_bands(dataset.descriptions, clues, path.stem), [None] * dataset.count
    return name_stack(parts, clues, path.stem), [part.acquired for part in parts]


def _stated(
    path: Path, dataset: Any, names: tuple[str, ...], clues: BandHints
) -> tuple[BandRoles, Sequence[date | None]]:
    """The bands as the user names them in file order, or all of a stack of dates by one name."""
    days = dates_of_stack(dataset.descriptions)
    if len(names) == 1 and any(days):
        names *= dataset.count
    if len(names) != dataset.count:
        raise DataError(
            f"{path} has {dataset.count} bands, but {len(names)} are named",
            'name every band, in file order; or by what names hold, as {"B5": "nir"}',
        )
    named = name_stated(names, clues)
    if len(set(zip(days, named.roles, strict=True))) < len(names):
        raise DataError(
            f"{path}: two bands of one image are named alike ({', '.join(names[:6])} ...)",
            "give each band a name of its own; a stack of images needs dates in the names of its bands",
        )
    return named, days


def _scalings(path: Path, dataset: Any, named: BandRoles, reading: ReadOptions) -> list[Scaling]:
    baseline = baseline_of(str(path), tags_of(dataset), reading)
    stated = zip(dataset.scales, dataset.offsets, map(_number, dataset.nodatavals), strict=True)
    return [
        scaling_of(dtype, role, said, reading, baseline, landsat_scaling(path, name, dtype))
        for dtype, role, name, said in zip(dataset.dtypes, named.roles, named.names, stated, strict=True)
    ]


def _number(nodata: float | None) -> float | None:
    """A nodata value that can be compared with; NaN needs no comparison."""
    return None if nodata is None or np.isnan(nodata) else nodata

"""NetCDF and Zarr cubes, read by window through xarray (extra `cubes`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.windows import Window

from agrilape.errors import DataError
from agrilape.geo.georeference import parse_crs
from agrilape.sources.band_hints import sensor_of_names
from agrilape.sources.bands import BandHints, BandRoles, name_bands, spelled_name
from agrilape.sources.dates import acquisition_date, parse_date
from agrilape.sources.layers import Band, Grid, RasterFile
from agrilape.sources.placement import on_earth
from agrilape.sources.scaling import baseline_of, landsat_scaling, scaling_of
from agrilape.sources.scene_json import DEFAULT_OPTIONS, ReadOptions
from agrilape.sources.sensors import sensor_in, sensor_of_tags

OPEN_CUBES = 8
IRREGULAR = 0.01  # of a pixel; coordinates that stray further are no grid
_COLUMNS = ("x", "lon", "longitude", "easting")
_ROWS = ("y", "lat", "latitude", "northing")
_TIMES = ("time", "t", "date")
_BAND_NAMES = ("band", "bands", "variable")


def need(module: str, for_what: str) -> Any:
    """An optional library.

    Raises:
        DataError: It is not installed; names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise DataError(f"{for_what} needs {module}", "pip install 'agrilape[cubes]'") from error


def inspect_cube(path: Path, reading: ReadOptions = DEFAULT_OPTIONS) -> list[RasterFile]:
    """Read the header of a cube: one file description per date.

    Bands are the variables on y and x (and time), or the entries of a dimension `band` with names as its
    coordinate. Rows that run south to north are turned over. Scale, offset and fill value follow the CF
    conventions (`scale_factor`, `add_offset`, `_FillValue`), which xarray applies.

    Args:
        path: A NetCDF file or a Zarr store.
        reading: What the user states of it.

    Raises:
        DataError: It cannot be read, is on no regular grid, or has no CRS.
    """
    cube = _open(path)
    grid = _grid(path, cube, reading)
    dates, notes = _dates(path, cube, reading)
    files = []
    for index, day in dates:
        layers, said = _layers(path, cube, index, reading)
        if not layers:
            raise DataError(f"{path} holds no variable on y and x", "name its variables as in B04 or red")
        files.append(RasterFile(path, grid, day, layers, notes=(*notes, *said)))
    return files


def read_variable(
    path: str, variable: str, at: tuple[tuple[str, int], ...], window: Window
) -> NDArray[np.float32]:
    """A window of one layer of a cube as float32 `[height, width]`; only its chunks are read.

    Raises:
        DataError: The cube cannot be read.
    """
    layer = _open(Path(path))[variable].isel(dict(at))
    row, column = int(window.row_off), int(window.col_off)
    rows, columns = slice(row, row + int(window.height)), slice(column, column + int(window.width))
    try:
        values: NDArray[np.float32] = layer[rows, columns].to_numpy().astype(np.float32)
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}", "copy it again from its origin") from error
    return values


def _open(path: Path) -> Any:
    """The cube with dimensions (..., y, x), north up; kept open for the next read."""
    try:
        return _opened(str(path), path.stat().st_mtime_ns, os.getpid())
    except DataError:
        raise
    except Exception as error:  # netCDF4, zarr and xarray raise many kinds for one cause: not such a cube
        raise DataError(f"{path} is not a readable cube: {error}", "copy it again from its origin") from error


@lru_cache(maxsize=OPEN_CUBES)
def _opened(path: str, _changed: int, _process: int) -> Any:
    xarray = need("xarray", path)
    how: dict[str, Any] = {"engine": "netcdf4"}
    if path.endswith(".zarr"):
        how = {"engine": "zarr", "consolidated": False}  # which spares requests to remote stores only
    need("zarr" if path.endswith(".zarr") else "netCDF4", path)
    cube = xarray.open_dataset(path, chunks=None, cache=False, **how)
    names = {name: new for new, known in (("x", _COLUMNS), ("y", _ROWS), ("time", _TIMES))
             for name in cube.sizes if str(name).lower() in known and name != new}  # fmt: skip
    cube = cube.rename(names)
    if not {"x", "y"} <= set(cube.sizes):
        raise DataError(f"{path} has no dimensions y and x", "give a cube on a map grid")
    cube = cube.transpose(..., "y", "x")
    if "y" in cube.coords and cube.sizes["y"] > 1 and cube["y"][0] < cube["y"][-1]:
        cube = cube.isel(y=slice(None, None, -1))
    return cube


def _grid(path: Path, cube: Any, reading: ReadOptions) -> Grid:
    (left, across, width), (top, down, height) = (_axis(path, cube, name) for name in ("x", "y"))
    transform = Affine(across, 0, left - across / 2, 0, down, top - down / 2)
    text = _crs(cube) or reading.crs
    if text is None and cube["x"].attrs.get("units", "").startswith("degree"):
        text = "OGC:CRS84"  # CF: longitude and latitude need no grid mapping
    if text is None and not reading.pixels_only:
        raise DataError(
            f"{path} has no coordinate reference system",
            'write it with rioxarray (.rio.write_crs), or state "crs" in scene.json',
        )
    return on_earth(path, Grid(width, height, transform, text))


def _crs(cube: Any) -> str | None:
    """The CRS of a CF grid mapping, even where variables have lost their reference to it, or of `crs`."""
    marks = {"crs_wkt", "spatial_ref", "grid_mapping_name"}
    variables = [variable.attrs for variable in cube.variables.values()]
    mapping = next((attrs for attrs in variables if marks & set(attrs)), None)
    named = next((attrs["crs"] for attrs in [cube.attrs, *variables] if "crs" in attrs), None)
    if mapping is None and named is None:
        return None
    system = CRS.from_cf(mapping) if mapping is not None else parse_crs(str(named))
    code = system.to_epsg()
    return f"EPSG:{code}" if code else str(system.to_wkt())


def _axis(path: Path, cube: Any, name: str) -> tuple[float, float, int]:
    """Centre of the first pixel, step and number of pixels along an axis."""
    if name not in cube.coords or cube.sizes[name] < 2:
        raise DataError(f"{path} has no coordinates along {name}", "write the pixel centres as coordinates")
    centres = cube[name].to_numpy().astype(np.float64)
    step = float((centres[-1] - centres[0]) / (len(centres) - 1))
    expected = centres[0] + step * np.arange(len(centres))
    if step == 0 or np.abs(centres - expected).max() > IRREGULAR * abs(step):
        raise DataError(f"{path} is not on a regular grid along {name}", "resample it onto a map grid first")
    return float(centres[0]), step, len(centres)


def _dates(
    path: Path, cube: Any, reading: ReadOptions
) -> tuple[list[tuple[int | None, date | None]], list[str]]:
    """Indices along time with their dates in order; without a date, or a second time on one, skipped."""
    if "time" not in cube.sizes:
        said = parse_date(cube["time"].to_numpy()) if "time" in cube.coords else None
        texts = {str(key): str(value) for key, value in cube.attrs.items()}
        return [(None, said or acquisition_date(texts, [], path.stem) or reading.acquired)], []
    found: dict[date, int] = {}
    for index, stamp in enumerate(cube["time"].to_numpy()):
        if (day := parse_date(stamp)) is not None:
            found.setdefault(day, index)
    if not found:
        raise DataError(f"{path} has no dates along time", "write dates as coordinates of time")
    lost = cube.sizes["time"] - len(found)
    notes = (
        [f"{path.name}: skipped {lost} times without a date or of a date that was there before"]
        if lost
        else []
    )
    return [(index, day) for day, index in sorted(found.items())], notes


def _layers(
    path: Path, cube: Any, index: int | None, reading: ReadOptions
) -> tuple[dict[str, Band], dict[str, None]]:
    places = list(_places(cube, index))
    named, labels = _named(path, cube, places, reading)
    layers: dict[str, Band] = {}
    notes = dict.fromkeys(named.notes)
    baseline = baseline_of(str(path), _scalars(cube), reading)
    left = 0
    for (name, at), label, role, band_name, read in zip(
        places, labels, named.roles, named.names, named.read, strict=True
    ):
        known = cube[name].encoding
        dtype = str(known.get("dtype") or cube[name].dtype)
        applied = known.get("scale_factor", 1.0) != 1.0 or known.get("add_offset", 0.0) != 0.0
        called = label if role.startswith("band_") else role  # an entry of a dimension has a name at least
        if called is None or called in layers or not read:
            left += read
            continue
        # What xarray has decoded is physical already.
        dtype = "float" if applied else dtype
        product = landsat_scaling(path, band_name, dtype)
        scaling = scaling_of(dtype, called, (1.0, 0.0, None), reading, baseline, product)
        if scaling.note:
            notes[scaling.note] = None
        layers[called] = Band(str(path), 1, *scaling[:3], variable=name, at=at)
    if left and layers:
        notes[
            f"{path.name}: skipped {left} variables whose names are of no band, or of one that was there"
        ] = None
    return layers, notes


def _named(
    path: Path, cube: Any, places: Sequence[tuple[str, tuple[tuple[str, int], ...]]], reading: ReadOptions
) -> tuple[BandRoles, list[str | None]]:
    """Roles of layers, and their labels along a dimension of bands (None for variables).

    A lone variable may be named by its file.
    """
    tags = {str(key): str(value) for key, value in _scalars(cube).items()}
    stated = reading.bands if isinstance(reading.bands, Mapping) else {}
    sensor = sensor_in(reading.sensor, stated=True) or sensor_of_tags(tags) or sensor_of_names(path)
    clues = BandHints(sensor=sensor, stated=stated)
    labels = [_label(cube, at) for _, at in places]
    texts = [
        label or _spelling(cube[name], name, clues) for (name, _), label in zip(places, labels, strict=True)
    ]
    return name_bands(texts, clues, path.stem), labels


def _label(cube: Any, at: tuple[tuple[str, int], ...]) -> str | None:
    """What a dimension of bands calls an entry; None for a layer that is a variable of its own."""
    dimension, number = at[-1] if at else ("time", 0)
    if dimension not in _BAND_NAMES:
        return None
    return str(cube[dimension][number].to_numpy()) if dimension in cube.coords else f"band_{number + 1}"


def _spelling(variable: Any, name: str, clues: BandHints) -> str | None:
    """The first of a variable's names that is one of a band."""
    texts = (name, variable.attrs.get("common_name"), variable.attrs.get("long_name"))
    return next((text for text in texts if text and spelled_name(text, clues)), None)


def _places(cube: Any, index: int | None) -> Iterator[tuple[str, tuple[tuple[str, int], ...]]]:
    """Every layer of one time: a variable, with its place on the dimensions other than y and x."""
    for name, variable in cube.data_vars.items():
        others = [str(dim) for dim in variable.dims if dim not in {"y", "x"}]
        if not {"y", "x"} <= set(variable.dims) or variable.dtype.kind not in "iuf":
            continue
        at = (("time", index),) if index is not None and "time" in others else ()
        rest = [dim for dim in others if dim != "time"]
        if not rest:
            yield str(name), at
        elif rest[0] in _BAND_NAMES and len(rest) == 1:
            for number in range(cube.sizes[rest[0]]):
                yield str(name), (*at, (rest[0], number))


def _scalars(cube: Any) -> Mapping[str, object]:
    """Attributes and single-valued coordinates, such as stackstac's `s2:processing_baseline`."""
    single = {
        str(name): coordinate.to_numpy().item()
        for name, coordinate in cube.coords.items()
        if coordinate.size == 1
    }
    return {**cube.attrs, **single}

"""Images in any of the forms that Python has them in: a path, a rasterio dataset, xarray, numpy."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from agrilape.errors import DataError
from agrilape.io.pictures import picture_tags
from agrilape.sources.camera import camera_place
from agrilape.sources.discovery import PICTURE_SUFFIXES
from agrilape.sources.folder import read_raster
from agrilape.sources.picture_frame import PictureFrame
from agrilape.sources.scene import Scene

NAME = "image"
"""What a scene is called that comes from memory."""


@dataclass(frozen=True)
class MemoryImage:
    """Pixels in memory, with all that a GeoTIFF would say of them.

    Attributes:
        values: `[bands, height, width]`.
        transform: Affine transform from pixel (column, row) to map coordinates.
        crs: Whatever `pyproj` takes for a coordinate reference system.
        bands: Name of each band (`B04`, `red`; a date for a series of one band); none: not known.
        nodata: Number that means no data.
        tags: Further tags, such as `ACQUISITION_DATE`.
        scales: Factor and offset of each band.
    """

    values: NDArray[Any]
    transform: Affine
    crs: str
    bands: tuple[str | None, ...] = ()
    nodata: float | None = None
    tags: dict[str, str] | None = None
    scales: tuple[tuple[float, float], ...] = ()


@contextmanager
def open_image(
    image: Any,
    *,
    transform: Any = None,
    crs: Any = None,
    bands: Sequence[str] = (),
    sensor: str | None = None,
) -> Iterator[Scene]:
    """An image as a scene, for as long as the context lasts.

    Args:
        image: Path of a file; an open rasterio dataset, or a `WarpedVRT`; an `xarray.DataArray` with dims for
            x and y and at most one for bands and one for time; or an array `[bands, height, width]` or
            `[height, width]` (with a mask where there is no data).
        transform: Of an array: affine transform from pixel (column, row) to map coordinates.
        crs: Of an array: its coordinate reference system, as code, WKT or object.
        bands: Of an array: names of the bands, or their dates.
        sensor: Name of the sensor.

    Raises:
        DataError: It cannot be read, or has no place on the map and is no plain picture (PNG, JPEG).
    """
    if isinstance(image, str | Path):
        path = Path(image)
        plain = path.suffix.lower() in PICTURE_SUFFIXES
        yield _photograph(path) if plain else read_raster(path, sensor=sensor)
        return
    file = _file_of(image)
    if file is not None:
        yield read_raster(file, sensor=sensor)
        return
    with tempfile.TemporaryDirectory(prefix="agrilape-") as folder:
        path = Path(folder) / f"{NAME}.tif"
        _write(path, _in_memory(image, transform, crs, tuple(bands)))
        yield replace(read_raster(path, sensor=sensor), source="memory")


def _photograph(path: Path) -> Scene:
    """A plain picture, about where its camera was; in pixels alone where the tags do not say."""
    scene = read_raster(path, pixels_only=True)
    place = camera_place(picture_tags(path), scene.width, scene.height)
    frames = (PictureFrame(str(path), place.acquired),)
    meta = {**scene.meta, "notes": (f"{path.name}: {place.note}",)}
    return replace(scene, frames=frames, georeference=place.georeference, meta=meta)


def _file_of(image: Any) -> Path | None:
    """The file that an open rasterio dataset shows as it is."""
    if not (hasattr(image, "driver") and hasattr(image, "name")) or image.driver in ("MEM", "VRT"):
        return None
    path = Path(str(image.name))
    return path if path.is_file() else None


def _in_memory(image: Any, transform: Any, crs: Any, bands: tuple[str, ...]) -> MemoryImage:
    if hasattr(image, "read") and hasattr(image, "count"):
        return _of_dataset(image)
    if hasattr(image, "dims") and hasattr(image, "coords"):
        return _of_xarray(image, transform, crs, bands)
    values = np.ma.asanyarray(image)
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3 or not np.issubdtype(values.dtype, np.number):
        raise DataError(
            f"an image of type {type(image).__name__} and shape {values.shape} cannot be asked about",
            "give a path, a rasterio dataset, an xarray.DataArray, or an array [bands, height, width]",
        )
    if transform is None or crs is None:
        raise DataError(
            "an array does not say where it lies", "give its transform and crs: ask(array, question, "
            "transform=..., crs='EPSG:...')",
        )  # fmt: skip
    if bands and len(bands) != len(values):
        raise DataError(
            f"an array has {len(values)} bands, but {len(bands)} are named",
            "arrays are [bands, height, width]; name every band",
        )
    filled, nodata = _filled(values)
    return MemoryImage(filled, Affine(*tuple(transform)[:6]), _crs_text(crs), bands, nodata)


def _of_dataset(dataset: Any) -> MemoryImage:
    if dataset.crs is None:
        raise DataError(f"{dataset.name} has no coordinate reference system", "set the dataset's crs")
    values, nodata = _filled(dataset.read(masked=True))
    return MemoryImage(
        values, dataset.transform, dataset.crs.to_wkt(), tuple(dataset.descriptions),
        dataset.nodata if nodata is None else nodata, dict(dataset.tags()),
        tuple(zip(dataset.scales, dataset.offsets, strict=True)),
    )  # fmt: skip


def _of_xarray(image: Any, transform: Any, crs: Any, bands: tuple[str, ...]) -> MemoryImage:
    """Pixels of a DataArray; its place from rioxarray (`spatial_ref`), its attributes or coordinates."""
    names = {str(dim).lower(): dim for dim in image.dims}
    across = next((names[name] for name in ("x", "lon", "longitude", "easting") if name in names), None)
    down = next((names[name] for name in ("y", "lat", "latitude", "northing") if name in names), None)
    if across is None or down is None:
        raise DataError(
            f"a DataArray with dims {', '.join(map(str, image.dims))} has no x and y",
            "name its dims x and y, and band or time: array.rename(...)",
        )
    others = [dim for dim in image.dims if dim not in (across, down)]
    times = [dim for dim in others if np.issubdtype(image[dim].dtype, np.datetime64)]
    if len(others) > 2 or len(others) - len(times) > 1:
        raise DataError(
            f"a DataArray has dims {', '.join(map(str, image.dims))}, which are too many",
            "select what to ask about: array.sel(...), so that band, y and x remain, and time",
        )
    stacked = image.transpose(*times, *(dim for dim in others if dim not in times), down, across)
    values = np.ma.masked_invalid(stacked.values) if stacked.dtype.kind == "f" else stacked.values
    values, nodata = _filled(np.ma.asanyarray(values).reshape(-1, *stacked.shape[-2:]))
    stated = image.attrs.get("_FillValue", image.attrs.get("nodata"))
    if hasattr(image, "rio"):
        stated = image.rio.nodata if image.rio.nodata is not None else stated
    return MemoryImage(
        values,
        _transform_of(image, across, down) if transform is None else Affine(*tuple(transform)[:6]),
        _crs_text(_crs_of(image) if crs is None else crs),
        bands or _band_names(stacked, times),
        nodata if nodata is not None or stated is None else float(stated),
        _day_of(image),
    )


def _band_names(stacked: Any, times: Sequence[Any]) -> tuple[str | None, ...]:
    """Dates and band names, in the order of the bands; as Earth Engine spells them where there are both."""
    others = [dim for dim in stacked.dims[:-2] if dim not in times]
    days = [str(np.datetime_as_string(day, unit="D")) for day in stacked[times[0]].values] if times else []
    said = [stacked[dim].values.tolist() for dim in others]
    named = [str(name) for name in said[0]] if said and isinstance(said[0][0], str) else []
    if not named:
        longs = stacked.attrs.get("long_name", ())
        named = list(longs) if isinstance(longs, tuple | list) else []
    width = stacked.sizes[others[0]] if others else 1
    if width == 1 and not named and isinstance(stacked.name, str):
        named = [stacked.name]
    if len(named) != width:
        named = [""] * width
    if days:
        return tuple("_".join(filter(None, (day.replace("-", ""), name))) for day in days for name in named)
    return tuple(name or None for name in named)


def _day_of(image: Any) -> dict[str, str]:
    """The acquisition date of an image with one time."""
    time = image.coords.get("time") if hasattr(image.coords, "get") else None
    if time is None or time.ndim or not np.issubdtype(time.dtype, np.datetime64):
        return {}
    return {"ACQUISITION_DATE": str(np.datetime_as_string(time.values, unit="D"))}


def _crs_of(image: Any) -> Any:
    if hasattr(image, "rio") and image.rio.crs is not None:
        return image.rio.crs
    for coordinate in ("spatial_ref", "crs"):
        attributes = image.coords[coordinate].attrs if coordinate in image.coords else {}
        for key in ("crs_wkt", "spatial_ref"):
            if key in attributes:
                return attributes[key]
    if "crs" in image.attrs:
        return image.attrs["crs"]
    raise DataError(
        "a DataArray has no coordinate reference system", "array.rio.write_crs('EPSG:...'), or give crs=..."
    )


def _transform_of(image: Any, across: Any, down: Any) -> Affine:
    if across in image.coords and down in image.coords:
        steps = []
        for dim in (across, down):
            places = np.asarray(image.coords[dim].values, dtype=float)
            gaps = np.diff(places)
            if len(places) < 2 or not np.allclose(gaps, gaps[0], rtol=1e-3):
                break
            steps.append((places[0], (places[-1] - places[0]) / (len(places) - 1)))
        if len(steps) == 2:
            (x, dx), (y, dy) = steps
            return Affine(dx, 0, x - dx / 2, 0, dy, y - dy / 2)
    stated = image.attrs.get("transform")
    if stated is None and hasattr(image, "rio"):
        stated = image.rio.transform()
    if stated is None:
        raise DataError(
            "a DataArray has neither a transform nor evenly spaced x and y",
            "array.rio.write_transform(...), or give transform=...",
        )
    return Affine(*tuple(stated)[:6])


def _crs_text(crs: Any) -> str:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return str(CRS.from_user_input(crs).to_wkt())
    except CRSError as error:
        raise DataError(
            f"unknown coordinate reference system {str(crs)[:80]!r}", "give a code such as EPSG:32632, or WKT"
        ) from error


def _filled(values: Any) -> tuple[NDArray[Any], float | None]:
    """Plain numbers of a type that GeoTIFF has, and the one that stands for no data, if there is one."""
    values = np.ma.asanyarray(values)
    if values.dtype == bool or (values.dtype.kind in "iu" and values.dtype.itemsize > 4):
        values = values.astype(np.uint8 if values.dtype == bool else np.float64)
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    if not np.ma.is_masked(values):
        return np.asarray(values.data), None
    if values.dtype.kind != "f":
        values = values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    return values.filled(np.nan), float("nan")


def _write(path: Path, image: MemoryImage) -> None:
    import rasterio

    count, height, width = image.values.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=count, dtype=image.values.dtype,
        crs=image.crs, transform=image.transform, nodata=image.nodata, photometric="MINISBLACK", tiled=True,
        blockxsize=256, blockysize=256,
    ) as file:  # fmt: skip
        file.write(image.values)
        if any(image.bands):
            file.descriptions = image.bands
        file.update_tags(**(image.tags or {}))
        if image.scales:
            file.scales, file.offsets = zip(*image.scales, strict=True)

"""Labels that are drawn on the image itself: a class for every pixel."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
import rasterio.features
import shapely
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from shapely.geometry import shape

from agrilape.errors import DataError
from agrilape.geo.georeference import apply_affine
from agrilape.io.gdal import open_raster
from agrilape.sources.crop_names import plain_crop
from agrilape.sources.layers import Grid
from agrilape.sources.scene import Parcel

MASK_STEMS = {"labels", "crop_mask"}  # of a mask for all images beside it
MASK_ENDING = "_labels"  # of a mask for the picture of the same name
MASK_KINDS = (".png", ".tif", ".gif", ".bmp", ".webp", ".jp2", ".jpg")  # of several the first counts
_TRACED = {"uint8", "int8", "uint16", "int16", "int32"}  # by GDAL, as they are
SMALLEST_PIXELS = 4  # of a labelled patch; less is noise of a classification


def is_mask(path: Path) -> bool:
    """Does a file hold labels, and not an image?"""
    return path.stem in MASK_STEMS or path.stem.endswith(MASK_ENDING)


def parcels_from_mask(path: Path, grid: Grid, crops: Mapping[str, str] | None = None) -> tuple[Parcel, ...]:
    """Patches of one class in a label raster as parcels; 0 and nodata are unlabelled.

    Patches join along pixel sides, not corners, so two fields of one crop that touch are one parcel. A mask
    on another grid keeps the outlines of its own pixels.

    Args:
        path: A single-band raster of integer codes.
        grid: Grid of the image.
        crops: Crop names by code.

    Raises:
        DataError: It cannot be read, or has neither a place on the map nor the image's size.
    """
    georeference = grid.georeference
    image = shapely.box(0, 0, grid.width, grid.height)
    found = []
    for number, (code, outline) in enumerate(_patches(path, grid)):
        if shapely.intersection(outline, image).area > 0:
            area = georeference.area_ha(georeference.from_pixels(outline)) if georeference else None
            found.append(Parcel(f"{path.stem}-{number}", outline, plain_crop(code, crops), area))
    return tuple(found)


def _patches(path: Path, grid: Grid) -> Iterator[tuple[int, shapely.Geometry]]:
    """Code and outline, in pixels of the image, of each patch."""
    try:
        with _without_place(), open_raster(path) as mask:
            placed = mask.crs is not None and grid.crs is not None
            if not placed and (mask.width, mask.height) != (grid.width, grid.height):
                raise DataError(
                    f"{path} has {mask.width} x {mask.height} pixels, the image {grid.width} x {grid.height}",
                    "draw the labels on the image's own pixels, or georeference both",
                )
            _check_codes(path, mask)
            smallest = SMALLEST_PIXELS * abs(mask.transform.determinant)
            drawn = [
                (int(code), patch)
                for outline, code in _outlines(path, mask)
                if np.isfinite(code)
                and code not in {0, mask.nodata}
                and (patch := shape(outline)).area >= smallest
            ]
            outlines = geopandas.GeoSeries([patch for _, patch in drawn], crs=mask.crs)
            outlines = outlines.to_crs(grid.crs) if placed else outlines
            to_pixels = ~(grid.transform if placed else mask.transform)
    except (RasterioError, OSError) as error:
        raise DataError(f"{path} is not a readable label raster: {error}", "export it again") from error
    for (code, _), outline in zip(drawn, outlines, strict=True):
        yield code, shapely.transform(outline, lambda xy: apply_affine(to_pixels, xy))


def _check_codes(path: Path, mask: Any) -> None:
    """Refuse what is a picture, or measurements, and not a class for every pixel."""
    if mask.count > 2:
        raise DataError(
            f"{path} has {mask.count} bands: it is a picture of labels, not codes",
            "export one band of codes",
        )
    if mask.driver == "JPEG":
        raise DataError(
            f"{path} is a JPEG, whose compression changes codes at every edge",
            "export the labels as PNG or GeoTIFF, from their origin and not from this file",
        )
    if mask.dtypes[0] in {"float64", "complex64", "complex128"}:
        raise DataError(f"{path} holds {mask.dtypes[0]} numbers, not codes", "export it as unsigned integers")


def _outlines(path: Path, mask: Any) -> Iterator[tuple[Any, float]]:
    """Outline and code of each patch; transparent pixels belong to none."""
    kind = mask.dtypes[0]
    shown = mask.dataset_mask() > 0 if mask.count == 2 else None  # the second band is alpha
    if kind in _TRACED:
        yield from rasterio.features.shapes(rasterio.band(mask, 1), mask=shown, connectivity=4)
        return
    values = mask.read(1)
    if kind == "float32":
        known = values[np.isfinite(values)]
        if (known[known != mask.nodata] % 1 != 0).any():
            raise DataError(f"{path} holds fractions, not codes", "export it as unsigned integers")
        yield from rasterio.features.shapes(values, mask=shown, connectivity=4, transform=mask.transform)
        return
    codes, places = np.unique(values, return_inverse=True)  # of more bits than can be traced
    places = places.reshape(values.shape).astype(np.int32)
    for outline, place in rasterio.features.shapes(
        places, mask=shown, connectivity=4, transform=mask.transform
    ):
        yield outline, codes[int(place)]


@contextmanager
def _without_place() -> Iterator[None]:
    """Let masks of plain pictures pass without rasterio's warning that they have no place on the map."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield

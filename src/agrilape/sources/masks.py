"""Labels that are drawn on the image itself: a class for every pixel, or boxes."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import rasterio
import rasterio.features
import shapely
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from shapely.geometry import shape

from agrilape.errors import DataError
from agrilape.geo.georeference import apply_affine
from agrilape.sources.crops import plain_crop
from agrilape.sources.layers import Grid
from agrilape.sources.scene import Parcel

MASK_STEMS = {"labels", "crop_mask"}  # of a mask for all images beside it
MASK_ENDING = "_labels"  # of a mask for the picture of the same name
BOXES_FILE = "boxes.csv"
SMALLEST_PIXELS = 4  # of a labelled patch; less is noise of a classification


def is_mask(path: Path) -> bool:
    """Does a file hold labels, and not an image?"""
    return path.stem in MASK_STEMS or path.stem.endswith(MASK_ENDING)


def parcels_from_mask(path: Path, grid: Grid, crops: Mapping[str, str] | None = None) -> tuple[Parcel, ...]:
    """Patches of one class in a label raster as parcels; 0 and nodata are unlabelled.

    A mask on another grid is laid onto the image's. Patches join along pixel sides, not corners, so two
    fields of one crop that touch are one parcel.

    Args:
        path: A single-band raster of integer codes.
        grid: Grid of the image.
        crops: Crop names by code.

    Raises:
        DataError: It cannot be read, or has neither a place on the map nor the image's size.
    """
    georeference = grid.georeference
    found = []
    for number, (code, outline) in enumerate(_patches(path, grid)):
        area = georeference.area_ha(georeference.from_pixels(outline)) if georeference else None
        found.append(Parcel(f"{path.stem}-{number}", outline, plain_crop(code, crops), area))
    return tuple(found)


def _patches(path: Path, grid: Grid) -> Iterator[tuple[int, shapely.Polygon]]:
    """Code and outline in pixels of each patch."""
    try:
        with ExitStack() as stack:
            mask: Any = stack.enter_context(rasterio.open(path))
            unlabelled = {0, mask.nodata}
            if mask.crs is not None and grid.crs is not None:
                mask = stack.enter_context(WarpedVRT(
                    mask, crs=grid.crs, transform=grid.transform, width=grid.width, height=grid.height,
                    resampling=Resampling.nearest,
                ))  # fmt: skip
            elif (mask.width, mask.height) != (grid.width, grid.height):
                raise DataError(
                    f"{path} has {mask.width} x {mask.height} pixels, the image {grid.width} x {grid.height}",
                    "draw the labels on the image's own pixels, or georeference both",
                )
            to_pixels = ~mask.transform
            for outline, code in rasterio.features.shapes(rasterio.band(mask, 1), connectivity=4):
                patch = shapely.transform(shape(outline), lambda xy: apply_affine(to_pixels, xy))
                if code not in unlabelled and patch.area >= SMALLEST_PIXELS:
                    yield int(code), patch
    except (RasterioError, OSError) as error:
        raise DataError(f"{path} is not a readable label raster: {error}", "export it again") from error


def parcels_from_boxes(path: Path, picture: str) -> tuple[Parcel, ...]:
    """The boxes of one picture, as parcels that carry `box_only`: their true outline is not known.

    Args:
        path: CSV file with the columns `image,left,top,right,bottom,crop`, in pixels.
        picture: File name of the picture, as in the column `image`.

    Raises:
        DataError: A column is missing, or a box has no area.
    """
    found: list[Parcel] = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                left, top, right, bottom = (float(row[edge]) for edge in ("left", "top", "right", "bottom"))
                if row["image"] != picture:
                    continue
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"{path}, line {line}: {error}", "write image,left,top,right,bottom,crop in pixels"
                ) from error
            if left >= right or top >= bottom:
                raise DataError(f"{path}, line {line}: the box has no area", "swap its edges")
            outline = shapely.box(left, top, right, bottom)
            facts = {"box_only": True}
            found.append(Parcel(str(len(found)), outline, plain_crop(row.get("crop")), attributes=facts))
    return tuple(found)

"""Pictures that Pillow cuts to their high byte, or cannot open: colour of 16 bits, TIFF of floats or planes.

GDAL reads them. Sensors of 10 to 14 bits write such files, whose high bytes are nearly black.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agrilape.errors import DataError

DARK = 1 << 14
"""Integers whose 99th percentile is below this do not fill 16 bits: they are stretched, others divided."""
PERCENTILES = (1, 99)
_BITS_TAG = 258  # bits of each sample, in TIFF
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_deep(image: Image.Image) -> bool:
    """Would Pillow cut the colours of this picture, which was opened and not yet loaded, to 8 bits?"""
    bits = getattr(image, "tag_v2", {}).get(_BITS_TAG, ())
    if len(bits) > 1:  # TIFF whose bands lie apart Pillow takes for grey
        return bool(max(bits) > 8)
    cut = image.format == "JPEG2000" or any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    return cut and image.mode in ("RGB", "RGBA", "LA")


def is_tiff(head: bytes) -> bool:
    """Do the first bytes of a file say that it is a TIFF?"""
    return head.startswith(_TIFF)


def read_deep(source: Path | bytes, check: Callable[[int, int], None]) -> Image.Image | None:
    """A picture in 8 bits, RGB, or RGBA where pixels hold no data; not turned.

    Colours share the widest range of the three, from the 1st percentile of each, as imagery does.

    Args:
        source: A file, or its bytes.
        check: Refuses a width and height that are too large.

    Returns:
        The picture; None if its high bytes, or its own 8 bits, show it rightly.

    Raises:
        DataError: It is of no listed format, holds complex numbers, or is too large.
        rasterio.errors.RasterioError: It cannot be read.
    """
    with _dataset(source) as dataset:
        check(dataset.width, dataset.height)
        if "uint8" in dataset.dtypes:
            return None
        values = dataset.read(list(dataset.indexes[: 3 if dataset.count >= 3 else 1]))
        known = (dataset.dataset_mask() > 0) & np.isfinite(values).all(0)
    if values.dtype.kind == "c":
        raise DataError("complex numbers are no picture", "export their magnitude")
    if not known.any():
        rgb = np.zeros((*known.shape, 3), np.uint8)
    else:
        ranges = _ranges([band[known] for band in values], values.dtype)
        pairs = zip(values, ranges, strict=True)
        tones = [_tone(np.where(known, band, low), low, high) for band, (low, high) in pairs]
        rgb = np.stack(tones * (3 // len(tones)), -1)
    if known.all():
        return Image.fromarray(rgb)
    return Image.fromarray(np.dstack([rgb, np.where(known, 255, 0).astype(np.uint8)]))


def _ranges(bands: list[NDArray[Any]], dtype: np.dtype[Any]) -> list[tuple[float, float]]:
    """What is shown as black and as white of each band."""
    found = [tuple(np.percentile(band, PERCENTILES)) for band in bands]
    if dtype.kind in "iu" and min(band.min() for band in bands) >= 0:
        if max(band.max() for band in bands) <= 255:
            return [(0.0, 255.0)] * len(bands)
        if dtype.itemsize == 2 and max(high for _, high in found) >= DARK:
            return [(0.0, 65535.0)] * len(bands)
    widest = max(high - low for low, high in found) or 1.0
    return [(float(low), float(low + widest)) for low, _ in found]


def _tone(band: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    share = (band.astype(np.float64) - low) / (high - low)
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


@contextmanager
def _dataset(source: Path | bytes) -> Iterator[Any]:
    from agrilape.io.gdal import open_raster, open_raster_bytes  # training opens pictures without GDAL

    opened = open_raster_bytes(source) if isinstance(source, bytes) else open_raster(source)
    with opened as dataset:
        yield dataset

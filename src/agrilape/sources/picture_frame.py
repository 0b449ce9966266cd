"""Plain pictures without a place on the map: PNG, JPEG and whatever else `io.pictures` opens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from agrilape.errors import DataError
from agrilape.io.pictures import read_picture
from agrilape.sources import composite as composites
from agrilape.sources.bands import RGB
from agrilape.sources.scene import PixelWindow

WHITE = 253
SMALLEST_MARGIN = 1000  # pixels; fewer are a roof at the edge, not a margin


@dataclass(frozen=True)
class PictureFrame:
    """A plain picture; what is transparent, and blank white margins, read as no data.

    Attributes:
        path: The file.
        acquired: Acquisition date; None if unknown.
    """

    path: str
    acquired: date | None = None

    @property
    def bands(self) -> tuple[str, ...]:
        """Red, green, blue."""
        return RGB

    def read(self, window: PixelWindow, bands: tuple[str, ...]) -> NDArray[np.float32]:
        """Brightness in 0-1, `[bands, height, width]`; NaN outside it, where transparent, in white margins.

        Raises:
            DataError: The file cannot be read, or a band is not a colour.
        """
        strange = [role for role in bands if role not in RGB]
        if strange:
            raise DataError(
                f"no band {', '.join(strange)} in the picture {self.path}", "it has red, green and blue"
            )
        image, blank = _decode(self.path)
        values = np.full((len(bands), window.height, window.width), np.nan, np.float32)
        left, top = max(window.column, 0), max(window.row, 0)
        part = (
            image[top : window.row + window.height, left : window.column + window.width].astype(np.float32)
            / 255
        )
        part[blank[top : window.row + window.height, left : window.column + window.width]] = np.nan
        rows, columns = part.shape[:2]
        into = values[:, top - window.row :, left - window.column :][:, :rows, :columns]
        into[:] = np.moveaxis(part, -1, 0)[[RGB.index(role) for role in bands]]
        return values

    def picture(self, window: PixelWindow, composite: str) -> NDArray[np.uint8]:
        """8-bit RGB `[height, width, 3]` of a window, as it is in the file."""
        bands = composites.composite_bands(composite, self.bands)
        return composites.render(self.read(window, bands), bands, {})


@lru_cache(maxsize=16)
def _decode(path: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The pixels of a picture `[height, width, 3]` and which are blank; the last few stay in memory."""
    pixels = read_picture(Path(path))
    blank = blank_margin(pixels.rgb)
    return pixels.rgb, blank if pixels.blank is None else blank | pixels.blank


def blank_margin(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """White ground that touches the border of a picture `[height, width, 3]`, where the mosaic ended."""
    white = (image >= WHITE).all(-1)
    if white.sum() < SMALLEST_MARGIN:
        return np.zeros_like(white)
    labels, _ = ndimage.label(white)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    sizes = np.bincount(labels.ravel())
    large = [label for label in np.unique(border[border > 0]) if sizes[label] >= SMALLEST_MARGIN]
    return np.isin(labels, large)

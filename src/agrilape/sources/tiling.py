"""A scene as tiles: which windows cover it, and the picture and metadata of one."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agrilape.sources.composite import composite_bands
from agrilape.sources.scene import Frame, PixelWindow, Scene

SCENE_KEYS = ("sensor", "gsd_m", "latitude", "longitude", "region", "year", "season")  # of a scene's meta


def plan_windows(width: int, height: int, side: int, overlap: float = 0.0) -> list[PixelWindow]:
    """Square windows that cover a raster, evenly spaced, row by row.

    Args:
        width: Columns of the raster.
        height: Rows of the raster.
        side: Side of a window in pixels; the raster's shorter side if that is less.
        overlap: Least share of a window that its neighbours repeat.
    """
    side = min(side, width, height)

    def starts(length: int) -> list[int]:
        count = int(np.ceil((length - side) / (side * (1 - overlap)))) + 1
        return sorted({int(start) for start in np.linspace(0, length - side, count).round()})

    return [PixelWindow(column, row, side, side) for row in starts(height) for column in starts(width)]


def shown_metadata(
    scene: Scene, window: PixelWindow, frames: Sequence[Frame], composite: str, side: int | None
) -> dict[str, Any]:
    """Metadata of a tile, for a chip's `meta`; `gsd_m` is that of the picture as it is shown.

    Args:
        scene: Where it is cut from.
        window: What of it.
        frames: The acquisitions that are shown.
        composite: How bands become colours.
        side: To how many pixels a side larger pictures are reduced; None for none.
    """
    meta = {key: scene.meta[key] for key in SCENE_KEYS if key in scene.meta}
    if side is not None and max(window.width, window.height) > side and "gsd_m" in meta:
        meta["gsd_m"] *= max(window.width, window.height) / side
    if len(frames) == 1 and frames[0].acquired:
        meta["acquired"] = frames[0].acquired.isoformat()
    return {**meta, "composite": composite, "bands": list(composite_bands(composite, frames[0].bands))}


def encode_png(picture: NDArray[np.uint8], side: int | None = None) -> bytes:
    """PNG bytes of an RGB picture `[height, width, 3]`.

    Args:
        picture: The picture.
        side: Reduce a larger one to so many pixels a side; null keeps it.
    """
    image = Image.fromarray(picture)
    if side is not None and max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    # Run lengths alone: smaller on noisy imagery, and twice as fast as the default search for matches.
    image.save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()

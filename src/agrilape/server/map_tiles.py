"""Images as tiles of a web map, in the colours that the model is shown."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image
from rio_tiler.errors import TileOutsideBounds
from rio_tiler.io import Reader

from agrilape.errors import DataError
from agrilape.io.gdal import open_raster
from agrilape.sources import composite as composites
from agrilape.sources.layers import Band
from agrilape.sources.scene import Scene

SIDE = 256


def render_tile(scene: Scene, x: int, y: int, zoom: int, composite: str, frame: int) -> bytes | None:
    """A tile in Web Mercator as PNG; None where the image has no ground.

    Args:
        scene: One file that rasterio opens.
        x: Column of the tile.
        y: Row of the tile.
        zoom: Its zoom.
        composite: How bands become colours.
        frame: Which of the dates.

    Raises:
        DataError: There is no such composite.
    """
    shown: Any = scene.frames[frame]
    bands = composites.composite_bands(composite, shown.bands)
    needed: dict[str, Band] = {}
    for name in bands:
        index = None if name in shown.layers else composites.index_of(name)
        for role in composites.inputs_of(index.formula) if index else (name,):
            needed[role] = shown.layers[role]
    layers = list(needed.values())
    if any(layer.variable is not None for layer in layers):
        raise DataError(f"{scene.id} is no image file", "convert it to GeoTIFF")
    with open_raster(layers[0].path) as dataset, Reader(layers[0].path, dataset=dataset) as reader:
        try:
            found = reader.tile(
                x,
                y,
                zoom,
                tilesize=SIDE,
                indexes=[layer.number for layer in layers],
                resampling_method="nearest",
            )
        except TileOutsideBounds:
            return None
    values = {}
    for role, layer, read in zip(needed, layers, found.array, strict=True):
        physical = np.ma.filled(read.astype(np.float32), np.nan)
        if layer.nodata is not None:
            physical[physical == np.float32(layer.nodata)] = np.nan
        values[role] = physical * np.float32(layer.scale) + np.float32(layer.offset)
    picked = []
    for name in bands:
        index = None if name in values else composites.index_of(name)
        picked.append(values[name] if index is None else composites.evaluate_formula(index.formula, values))
    stack = np.stack(picked)
    picture = composites.render(stack, bands, shown.stretch)
    alpha = np.where(np.isfinite(stack).all(axis=0) & (found.mask > 0), 255, 0).astype(np.uint8)
    if not alpha.any():
        return None
    stream = io.BytesIO()
    Image.fromarray(np.dstack([picture, alpha])).save(stream, "PNG", compress_level=1)
    return stream.getvalue()

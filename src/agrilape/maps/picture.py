"""The picture of a map that the report draws outlines on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from agrilape.files import path_inside, whole_file
from agrilape.maps.field_map import FieldMap
from agrilape.sources.scene import PixelWindow

SIDE = 768
"""Longest side in pixels: a page with thirty of them stays small."""
BAND = 1024
"""Rows of a scene that are read at once."""
QUALITY = 80


def keep_picture(folder: Path, field_map: FieldMap, composite: str) -> None:
    """Write a map's picture as `<folder>/<id>.jpg`, reduced, unless it is there.

    Args:
        folder: Folder of the pictures.
        field_map: The map.
        composite: How bands become colours.
    """
    path = path_inside(folder, f"{field_map.id}.jpg", "the id of a map")
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as draft:
        _reduced(field_map, composite).save(draft, "JPEG", quality=QUALITY)


def _reduced(field_map: FieldMap, composite: str) -> Image.Image:
    """The whole map, its longest side at most `SIDE` pixels; read in bands, so that memory is bounded."""
    scene = field_map.scene
    step = max(1, -(-max(scene.width, scene.height) // SIDE))
    bands = []
    for row in range(0, scene.height, BAND // step * step or step):
        height = min(BAND // step * step or step, scene.height - row)
        pixels = field_map.frame.picture(PixelWindow(0, row, scene.width, height), composite)
        bands.append(np.asarray(Image.fromarray(pixels).reduce(step)))
    return Image.fromarray(np.concatenate(bands))

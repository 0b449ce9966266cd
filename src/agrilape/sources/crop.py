"""A rectangle of a scene as a scene of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import shapely
from numpy.typing import NDArray

from agrilape.sources.scene import Frame, PixelWindow, Scene


@dataclass(frozen=True)
class CroppedFrame:
    """A rectangle of an acquisition; windows are counted from its own corner.

    Attributes:
        frame: The acquisition.
        column, row: Where the rectangle begins in it.
    """

    frame: Frame
    column: int
    row: int

    @property
    def acquired(self) -> date | None:
        """Acquisition date; None if unknown."""
        return self.frame.acquired

    @property
    def bands(self) -> tuple[str, ...]:
        """Roles of the bands that can be read."""
        return self.frame.bands

    def read(self, window: PixelWindow, bands: tuple[str, ...]) -> NDArray[np.float32]:
        """What the acquisition gives there."""
        return self.frame.read(self._moved(window), bands)

    def picture(self, window: PixelWindow, composite: str) -> NDArray[np.uint8]:
        """The acquisition's picture of it."""
        return self.frame.picture(self._moved(window), composite)

    def _moved(self, window: PixelWindow) -> PixelWindow:
        return window._replace(column=window.column + self.column, row=window.row + self.row)


def crop_scene(scene: Scene, window: PixelWindow) -> Scene:
    """A rectangle of a scene: imagery, grid, and labels that touch it, in its own pixels and not cut.

    Args:
        scene: The scene.
        window: The rectangle, inside it.
    """
    left, top, width, height = window
    if (left, top, width, height) == (0, 0, scene.width, scene.height):
        return scene
    area = shapely.box(left, top, left + width, top + height)
    corner = np.array([left, top])

    def moved(outline: shapely.Geometry) -> shapely.Geometry:
        return shapely.transform(outline, lambda xy: xy - corner)

    return replace(
        scene,
        frames=tuple(CroppedFrame(frame, left, top) for frame in scene.frames),
        width=width,
        height=height,
        georeference=scene.georeference.window(window) if scene.georeference else None,
        region=moved(scene.region) if scene.region is not None else None,
        parcels=tuple(
            replace(one, outline=moved(one.outline)) for one in scene.parcels if one.outline.intersects(area)
        ),
        zones=tuple(
            replace(one, outline=moved(one.outline)) for one in scene.zones if one.outline.intersects(area)
        ),
        observations=tuple(
            replace(one, x=one.x - left, y=one.y - top)
            for one in scene.observations
            if left <= one.x < left + width and top <= one.y < top + height
        ),
    )

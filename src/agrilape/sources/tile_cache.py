"""Values of a scene kept tile by tile, for windows that overlap or come several to a tile."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrilape.sources.scene import Frame, PixelWindow, Scene

SIDE = 512  # pixels of a tile: what most GeoTIFFs are tiled by, or a multiple of it
KEPT_BYTES = 192 << 20
Key = tuple[int, object, PixelWindow]
Parts = Mapping[tuple[int, int], PixelWindow]
"""What of each tile is read, by the tile's row and column: as much as the windows touch."""


@dataclass
class Tiles:
    """The tiles read last, up to a number of bytes.

    Attributes:
        limit: Most bytes.
    """

    limit: int = KEPT_BYTES
    _tiles: OrderedDict[Key, NDArray[Any]] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def get(self, key: Key) -> NDArray[Any] | None:
        """A tile that is kept."""
        if key in self._tiles:
            self._tiles.move_to_end(key)
        return self._tiles.get(key)

    def keep(self, key: Key, values: NDArray[Any]) -> None:
        """Keep a tile, and let go of those not asked for longest."""
        values.flags.writeable = False
        self._tiles[key] = values
        self._bytes += values.nbytes
        while self._bytes > self.limit and len(self._tiles) > 1:
            self._bytes -= self._tiles.popitem(last=False)[1].nbytes


@dataclass(frozen=True)
class CachedFrame:
    """A frame that reads each tile, as far as some windows touch it, once for all of them.

    Values are kept, and pictures too. The windows that it is asked for are those that `parts` was made of, or
    lie inside them.

    Attributes:
        frame: The frame.
        number: Its number in the scene.
        parts: What of each tile is read.
        tiles: Where tiles of all frames of the scene are kept.
    """

    frame: Frame
    number: int
    parts: Parts
    tiles: Tiles

    @property
    def acquired(self) -> date | None:
        """Acquisition date; None if unknown."""
        return self.frame.acquired

    @property
    def bands(self) -> tuple[str, ...]:
        """Roles of the bands that can be read."""
        return self.frame.bands

    def read(self, window: PixelWindow, bands: tuple[str, ...]) -> NDArray[np.float32]:
        """What the frame itself would give for a window."""
        values = np.empty((len(bands), window.height, window.width), np.float32)

        def bands_last(tile: PixelWindow) -> NDArray[np.float32]:
            return np.moveaxis(self.frame.read(tile, bands), 0, -1)

        self._gather(window, np.moveaxis(values, 0, -1), bands, bands_last)
        return values

    def picture(self, window: PixelWindow, composite: str) -> NDArray[np.uint8]:
        """The frame's own picture of a window."""
        picture = np.empty((window.height, window.width, 3), np.uint8)
        self._gather(window, picture, composite, lambda tile: self.frame.picture(tile, composite))
        return picture

    def _gather(
        self,
        window: PixelWindow,
        into: NDArray[Any],
        what: object,
        read: Callable[[PixelWindow], NDArray[Any]],
    ) -> None:
        """Put a window `[height, width, ...]` together from tiles."""
        left, top, width, height = window
        for tile in self._touched(window):
            part = self._tile(tile, what, read)
            first_row, last_row = max(tile.row, top), min(tile.row + tile.height, top + height)
            first, last = max(tile.column, left), min(tile.column + tile.width, left + width)
            inside = part[
                first_row - tile.row : last_row - tile.row, first - tile.column : last - tile.column
            ]
            into[first_row - top : last_row - top, first - left : last - left] = inside

    def _touched(self, window: PixelWindow) -> Iterator[PixelWindow]:
        return (self.parts[place] for place in _places(window))

    def _tile(
        self, tile: PixelWindow, what: object, read: Callable[[PixelWindow], NDArray[Any]]
    ) -> NDArray[Any]:
        key = (self.number, what, tile)
        values = self.tiles.get(key)
        if values is None:
            values = read(tile)
            self.tiles.keep(key, values)
        return values


def keep_tiles(scene: Scene, windows: Sequence[PixelWindow]) -> tuple[Frame, ...]:
    """Frames for reading these windows: with tiles kept where that reads less than window by window does.

    Args:
        scene: The scene.
        windows: Windows inside it, those that share tiles near each other in the sequence.
    """
    parts = parts_of(windows)
    if sum(map(_pixels, parts.values())) >= sum(map(_pixels, windows)):
        return scene.frames
    tiles = Tiles()
    return tuple(CachedFrame(frame, number, parts, tiles) for number, frame in enumerate(scene.frames))


def parts_of(windows: Iterable[PixelWindow]) -> Parts:
    """Of each tile that windows touch, the smallest rectangle around what they touch of it."""
    edges: dict[tuple[int, int], tuple[int, int, int, int]] = {}
    for window in windows:
        for place in _places(window):
            row, column = place[0] * SIDE, place[1] * SIDE
            left, top = max(window.column, column), max(window.row, row)
            right = min(window.column + window.width, column + SIDE)
            bottom = min(window.row + window.height, row + SIDE)
            old = edges.get(place, (left, top, right, bottom))
            edges[place] = min(old[0], left), min(old[1], top), max(old[2], right), max(old[3], bottom)
    return {
        place: PixelWindow(left, top, right - left, bottom - top)
        for place, (left, top, right, bottom) in edges.items()
    }


def _places(window: PixelWindow) -> Iterator[tuple[int, int]]:
    """Row and column of every tile that a window touches."""
    for row in range(window.row // SIDE, (window.row + window.height - 1) // SIDE + 1):
        for column in range(window.column // SIDE, (window.column + window.width - 1) // SIDE + 1):
            yield row, column


def _pixels(window: PixelWindow) -> int:
    return window.width * window.height

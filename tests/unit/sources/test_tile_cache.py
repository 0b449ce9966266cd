from dataclasses import dataclass, field
from datetime import date

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agrilape.sources.scene import PixelWindow, Scene
from agrilape.sources.tile_cache import SIDE, CachedFrame, Tiles, keep_tiles, parts_of

WIDTH, HEIGHT = SIDE + 300, SIDE + 70
IMAGE = np.arange(WIDTH * HEIGHT, dtype=np.float32).reshape(HEIGHT, WIDTH)


@dataclass
class Counting:
    acquired: date | None = None
    bands: tuple[str, ...] = ("red", "nir")
    read_windows: list = field(default_factory=list)

    def read(self, window, bands):
        self.read_windows.append(window)
        rows = slice(window.row, window.row + window.height)
        part = IMAGE[rows, window.column : window.column + window.width]
        return np.stack([part * (1 if band == "red" else -1) for band in bands])

    def picture(self, window, composite):
        red, nir = self.read(window, self.bands)
        return np.stack([red, nir, red * len(composite)], -1).astype(np.int64).astype(np.uint8)


def kept(frame, windows, limit=1 << 30):
    return CachedFrame(frame, 0, parts_of(windows), Tiles(limit))


@st.composite
def windows_inside(draw):
    column, row = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
    width, height = draw(st.integers(1, WIDTH - column)), draw(st.integers(1, HEIGHT - row))
    return PixelWindow(column, row, width, height)


@given(st.lists(windows_inside(), min_size=1, max_size=4), st.sampled_from([("red",), ("nir", "red")]))
def test_windows_are_those_of_the_frame(windows, bands):
    frame = kept(Counting(), windows)
    for window in windows:
        assert (frame.read(window, bands) == Counting().read(window, bands)).all()
        for composite in ("true_colour", "ndvi"):
            assert (frame.picture(window, composite) == Counting().picture(window, composite)).all()


def test_tiles_are_read_once_as_far_as_windows_touch_them_and_cannot_be_spoilt():
    inner = Counting()
    windows = [PixelWindow(column, 400, 256, 128) for column in (0, 100, 200, 556)]
    frame = kept(inner, windows)
    for window in windows:
        values = frame.read(window, ("red",))
    assert len(inner.read_windows) == 4
    assert sum(window.width * window.height for window in inner.read_windows) == (456 + 256) * 128
    assert values.shape == (1, 128, 256)
    spoilt = frame.read(windows[-1], ("red",))
    spoilt[:] = -1
    np.testing.assert_array_equal(frame.read(windows[-1], ("red",)), values)


def test_no_more_is_kept_than_may_be():
    inner = Counting()
    windows = [PixelWindow(column, 0, 64, 64) for column in (0, 600, 0)]
    frame = kept(inner, windows, limit=4 * 64 * 64)
    for window in windows:
        frame.read(window, ("red",))
    assert len(inner.read_windows) == 3


def test_tiles_are_kept_only_where_that_reads_less():
    scene = Scene("s", "fake", (Counting(),), WIDTH, HEIGHT)
    few = [PixelWindow(0, 0, 64, 64), PixelWindow(500, 500, 64, 64)]  # the second in four tiles
    many = [PixelWindow(column, row, 128, 128) for column in range(0, 640, 96) for row in range(0, 448, 64)]
    assert keep_tiles(scene, few) == scene.frames
    assert all(isinstance(frame, CachedFrame) for frame in keep_tiles(scene, many))

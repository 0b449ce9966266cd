"""A scene as tiles with one question, read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import TypeAlias

import numpy as np
from shapely import Geometry

from agrilape.dataset.lazy import LazyExamples
from agrilape.dataset.metadata import metadata_sentence
from agrilape.dataset.prompt_templates import joined, load_prompt_templates
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Point
from agrilape.serve.coordinates import Place
from agrilape.serve.question import Question
from agrilape.serve.training_questions import TrainingQuestions
from agrilape.sources.scene import Frame, PixelWindow, Scene
from agrilape.sources.tiling import encode_png, plan_windows, shown_metadata

Pixel: TypeAlias = tuple[float, float]
OVERLAP = 0.25
"""Share of a tile that its neighbours repeat, unless another is asked for."""
LEAST_SEEN = 0.1
"""Share of a tile that must be neither cloud nor no data for it to be asked about."""


class Tiles(LazyExamples):
    """Tiles of a scene, each with the same question.

    Args:
        scene: The scene; without a georeference, places of a question are pixels.
        frames: The acquisitions to show: one for a still, several for a series.
        question: The question; one with places is asked of one tile around each, or around two that it
            compares.
        taught: How the model was taught to be asked: side of a tile in pixels, facts before a question.
        overlap: Share of a tile that its neighbours repeat.
        composite: How bands become colours.

    Attributes:
        windows: The tiles that hold imagery.
        blank: Number of tiles skipped because they hold none.
        points: The places that each tile is asked about, in pixels of the scene.

    Raises:
        DataError: A place that is asked about is not in the image, two are too far apart for one tile, or the
            image shows nothing.
    """

    def __init__(
        self,
        scene: Scene,
        frames: Sequence[Frame],
        question: Question,
        taught: TrainingQuestions,
        overlap: float,
        composite: str,
    ) -> None:
        self.scene, self.frames, self.question, self.composite = scene, tuple(frames), question, composite
        self.taught = taught
        planned = plan_windows(scene.width, scene.height, taught.side, overlap)
        self._size = planned[0].width, planned[0].height
        about: list[tuple[Pixel, ...]] = [()] * len(planned)
        if question.places:
            about = _together([self._pixel(place) for place in question.places], question)
            planned = [self.around(pixels) for pixels in about]
        seen = [self.seen(window) >= LEAST_SEEN for window in planned]
        self.windows = list(compress(planned, seen))
        self.points = list(compress(about, seen))
        self.blank = len(planned) - len(self.windows)
        if not self.windows:
            raise DataError(f"{scene.id} shows no ground here", "check its nodata value and cloud mask")

    @property
    def georeference(self) -> Georeference:
        """The grid of the scene."""
        assert self.scene.georeference is not None
        return self.scene.georeference

    def on_map(self, outline: Geometry) -> Geometry:
        """An outline in pixels of the scene, on its map; as it is without one."""
        grid = self.scene.georeference
        return outline if grid is None else grid.from_pixels(outline)

    def __len__(self) -> int:
        """Number of tiles with imagery."""
        return len(self.windows)

    def make(self, position: int) -> Example:
        """Read one tile."""
        window = self.windows[position]
        chip = self.chip(str(position), window)
        return Example(chip, (self.sample(str(position), chip, window, self.points[position]),))

    def chip(self, name: str, window: PixelWindow) -> Chip:
        """What the model is shown of a window."""
        frames = self._shown(window)
        return Chip(
            id=name,
            scene=self.scene.id,
            source=self.scene.source,
            pictures=tuple(self._picture(frame, window) for frame in frames),
            georeference=self.scene.georeference and self.scene.georeference.window(window),
            window=self.scene.window if len(self.frames) > 1 else None,
            meta=shown_metadata(self.scene, window, frames, self.composite, self.taught.image_size),
        )

    def sample(self, name: str, chip: Chip, window: PixelWindow, pixels: Sequence[Pixel]) -> Sample:
        """The question about a window and some places in it, in pixels of the scene."""
        language, (left, top, width, height) = self.taught.language, window
        points = [Point((x - left) / width, (y - top) / height) for x, y in pixels]
        preamble = metadata_sentence(chip, self.taught.metadata, load_prompt_templates(language))
        question = joined((preamble, *self.question.parts(language, points, chip)))
        return Sample(name, chip.id, self.question.task or "question", question, ())

    def _picture(self, frame: Frame, window: PixelWindow) -> Picture:
        acquired = frame.acquired if len(self.frames) > 1 else None
        return Picture(encode_png(frame.picture(window, self.composite)), acquired)

    def seen(self, window: PixelWindow) -> float:
        """Largest share of a window that any of the acquisitions shows."""
        return max(_share_seen(frame, window) for frame in self.frames)

    def _shown(self, window: PixelWindow) -> tuple[Frame, ...]:
        """The acquisitions of a tile: as in training, the clearest of each of equal stretches of time."""
        count, days = self.taught.series, [frame.acquired for frame in self.frames]
        first, last = days[0], days[-1]
        if not count or len(days) <= count or first is None or last is None:
            return self.frames
        step = ((last - first).days + 1) / count
        chosen: dict[int, tuple[float, Frame]] = {}
        for frame, day in zip(self.frames, days, strict=True):
            stretch = int(((day or first) - first).days / step)
            seen = _share_seen(frame, window)
            if stretch not in chosen or seen > chosen[stretch][0]:
                chosen[stretch] = (seen, frame)
        return tuple(frame for _, frame in chosen.values())

    def _pixel(self, place: Place) -> Pixel:
        """Column and row of a place."""
        scene = self.scene
        if scene.georeference is None:
            return place.in_picture(scene.width, scene.height, scene.id)
        return place.pixel(scene.georeference, scene.id)

    def around(self, pixels: Sequence[Pixel], snap: int | None = None) -> PixelWindow:
        """A tile with some places in its middle, as far as the image's edges allow.

        Args:
            pixels: The places, in pixels of the scene.
            snap: Move it to the nearest of so many steps per side, so that places nearby share it.

        Raises:
            DataError: They are too far apart.
        """
        xs, ys = zip(*pixels, strict=True)
        width, height = self._size
        if max(xs) - min(xs) > width or max(ys) - min(ys) > height:
            raise DataError(
                f"the places are further apart than a tile of {width} x {height} px, which is asked at once",
                "ask about each by itself, or give a larger --tile",
            )
        left = round((min(xs) + max(xs) - width) / 2)
        top = round((min(ys) + max(ys) - height) / 2)
        if snap:
            left, top = (
                round(edge * snap / side) * side // snap for edge, side in ((left, width), (top, height))
            )
        left = min(max(left, 0), self.scene.width - width)
        return PixelWindow(left, min(max(top, 0), self.scene.height - height), width, height)


def _share_seen(frame: Frame, window: PixelWindow) -> float:
    return float(np.isfinite(frame.read(window, frame.bands[:1])).mean())


def _together(pixels: Sequence[Pixel], question: Question) -> list[tuple[Pixel, ...]]:
    """Places in groups that are asked about at once."""
    return [tuple(pixels)] if question.places_at_once > 1 else [(pixel,) for pixel in pixels]

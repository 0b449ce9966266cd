"""A scene as tiles with one question, read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pyproj import Transformer

from agrilape.dataset.lazy import LazyExamples
from agrilape.dataset.metadata import metadata_sentence
from agrilape.dataset.prompt_templates import joined, load_prompt_templates
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Point
from agrilape.serve.question import Question
from agrilape.serve.training_questions import TrainingQuestions
from agrilape.sources.scene import Frame, PixelWindow, Scene
from agrilape.sources.tiling import encode_png, plan_windows, shown_metadata

OVERLAP = 0.25
"""Share of a tile that its neighbours repeat, unless another is asked for."""
LEAST_SEEN = 0.1
"""Share of a tile that must be neither cloud nor no data for it to be asked about."""


class Tiles(LazyExamples):
    """Tiles of a scene, each with the same question.

    Args:
        scene: The scene; only for a question with a place does it need a georeference.
        frames: The acquisitions to show: one for a still, several for a series.
        question: The question; one with a place is asked of one tile around that place.
        taught: How the model was taught to be asked: side of a tile in pixels, facts before a question.
        overlap: Share of a tile that its neighbours repeat.
        composite: How bands become colours.

    Attributes:
        windows: The tiles that hold imagery.
        blank: Number of tiles left out because they hold none.

    Raises:
        DataError: The place that is asked about is not in the image, or the image shows nothing.
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
        if question.place:
            planned = [self._around(*question.place, planned)]
        self.windows = [window for window in planned if self._seen(window) >= LEAST_SEEN]
        self.blank = len(planned) - len(self.windows)
        if not self.windows:
            raise DataError(f"{scene.id} shows no ground here", "check its nodata value and cloud mask")

    @property
    def georeference(self) -> Georeference:
        """The grid of the scene."""
        assert self.scene.georeference is not None
        return self.scene.georeference

    def __len__(self) -> int:
        """Number of tiles with imagery."""
        return len(self.windows)

    def make(self, position: int) -> Example:
        """Read one tile."""
        window = self.windows[position]
        chip = Chip(
            id=str(position),
            scene=self.scene.id,
            source=self.scene.source,
            pictures=tuple(self._picture(frame, window) for frame in self.frames),
            georeference=self.scene.georeference and self.scene.georeference.window(window),
            window=self.scene.window if len(self.frames) > 1 else None,
            meta=shown_metadata(self.scene, window, self.frames, self.composite, self.taught.image_size),
        )
        point = self._point(*self.question.place, window) if self.question.place else None
        preamble = metadata_sentence(chip, self.taught.metadata, load_prompt_templates(self.taught.language))
        question = joined((preamble, *self.question.parts(point)))
        sample = Sample(str(position), chip.id, self.question.task or "question", question, ())
        return Example(chip, (sample,))

    def _picture(self, frame: Frame, window: PixelWindow) -> Picture:
        acquired = frame.acquired if len(self.frames) > 1 else None
        return Picture(encode_png(frame.picture(window, self.composite)), acquired)

    def _seen(self, window: PixelWindow) -> float:
        """Largest share of a window that any of the acquisitions shows."""
        return max(float(np.isfinite(frame.read(window, frame.bands[:1])).mean()) for frame in self.frames)

    def _around(self, longitude: float, latitude: float, planned: Sequence[PixelWindow]) -> PixelWindow:
        """A tile with a place in its middle, as far as the image's edges allow."""
        x, y = self._point(longitude, latitude, PixelWindow(0, 0, self.scene.width, self.scene.height))
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise DataError(
                f"{longitude}, {latitude} is not in {self.scene.id}",
                "write a place as longitude, latitude in degrees, in this order",
            )
        width, height = planned[0].width, planned[0].height
        left = min(max(round(x * self.scene.width - width / 2), 0), self.scene.width - width)
        top = min(max(round(y * self.scene.height - height / 2), 0), self.scene.height - height)
        return PixelWindow(left, top, width, height)

    def _point(self, longitude: float, latitude: float, window: PixelWindow) -> Point:
        to_map = Transformer.from_crs("OGC:CRS84", self.georeference.crs, always_xy=True)
        return self.georeference.window(window).to_normalised(*to_map.transform(longitude, latitude))

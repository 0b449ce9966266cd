"""What travels from preparation to the report: chips, and questions about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, get_args

from agrilape.files import check_name
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Instant, Part
from agrilape.geo.timewindow import TimeWindow

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Picture:
    """One image as the model is shown it.

    Attributes:
        data: Encoded 8-bit RGB image (PNG; uncompressed PPM once turned for one training step).
        acquired: Acquisition date; None for a still image, which has no time.
    """

    data: bytes
    acquired: date | None = None


@dataclass(frozen=True)
class Chip:
    """A piece of ground that questions are asked about: one image, or one place on several dates.

    Attributes:
        id: Unique within the data set.
        scene: The scene it was cut from; intervals are clustered by it and splits never divide it carelessly.
        source: Name of the data source, for provenance and mixtures.
        pictures: One image, or a series in order of date; all of one size.
        georeference: Where the chip lies on the map; None for pixels only.
        window: Calendar that times in the questions refer to; None for a chip without time.
        meta: Facts of the chip: what may be told in a question (`dataset.metadata`), cloud share, language;
            and `block`, the edges of the block that it lies in, in pixels of the scene, where a split kept
            blocks apart by a buffer.

    Raises:
        DataError: The id would lead out of a folder.
    """

    id: str
    scene: str
    source: str
    pictures: tuple[Picture, ...]
    georeference: Georeference | None = None
    window: TimeWindow | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse ids that would lead out of the folder in which pictures are kept by them."""
        check_name(self.id, "the id of a chip")

    def instant(self, number: int) -> Instant | None:
        """When a picture was taken, within the chip's calendar; None for one that has no time."""
        acquired = self.pictures[number].acquired
        if self.window is None or acquired is None:
            return None
        return Instant(min(max(self.window.position(acquired), 0.0), 1.0))


@dataclass(frozen=True)
class Sample:
    """One question about a chip, its answer, and the truth that scores it.

    Attributes:
        id: Unique within the data set, `<chip>/<task>/<n>`.
        chip: Id of the chip.
        task: Name of the task, which decides the metrics.
        question: Text with places and times in between.
        answer: The wanted answer, likewise.
        truth: JSON-ready facts for scoring and breakdowns beyond the answer's own shapes (crop, size class).
        provenance: JSON-ready record of where the answer comes from (file, feature id, formula).
    """

    id: str
    chip: str
    task: str
    question: tuple[Part, ...]
    answer: tuple[Part, ...]
    truth: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Example:
    """A chip with its samples: one row of the sample store."""

    chip: Chip
    samples: tuple[Sample, ...]

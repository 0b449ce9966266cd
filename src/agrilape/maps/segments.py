"""The informed baseline of maps: segments of the picture, their crops told by their mean colours.

Felzenszwalb's segmentation (Felzenszwalb and Huttenlocher, 2004, doi:10.1023/B:VISI.0000022288.19776.77) with
its three parameters tuned on the train split, and a random forest (Breiman, 2001) fitted on the mean colours
of true parcels and of ground without fields. It sees the image, but has not learnt how fields look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image
from rasterio.features import rasterize, shapes
from shapely import Geometry
from shapely.geometry import shape

from agrilape.console import progress
from agrilape.evaluate.map_metrics import MAP_METRICS
from agrilape.evaluate.predictions import Prediction
from agrilape.maps.field_map import FieldMap, MapQuestion, window_of
from agrilape.serve.features import SMALLEST
from agrilape.sources.scene import PixelWindow

NAME = "segments"
PATCH = 1024
"""Side in pixels of what is segmented at once: memory is bounded, and larger maps are cut at its edges."""
TUNED_ON = 256
"""Side in pixels of the part of each training map on which parameters are tuned."""
MOST_MAPS = 8
"""Training maps that are looked at."""
OFF_FIELD = 0.1
"""Share of a segment in fields up to which it is ground without fields."""
TREES = 100


class Parameters(NamedTuple):
    """Of `skimage.segmentation.felzenszwalb`."""

    scale: float
    sigma: float
    min_size: int


CANDIDATES = tuple(
    Parameters(*one) for one in product((30.0, 100.0, 300.0, 1000.0), (0.5, 1.0), (20, 80, 320, 1280))
)


class Segment(NamedTuple):
    """A segment of a picture: its outline in pixels of the map, and its mean colour, 0 to 255."""

    outline: Geometry
    colour: NDArray[np.float64]


@dataclass(frozen=True)
class SegmentBaseline:
    """A fitted baseline.

    Attributes:
        parameters: Those of its segmentation.
        forest: Names the crop of a mean colour, "" for ground without fields; None where no crop is known.
        composite: How bands become the colours of its picture.
        shrink: How many pixels of the map make one of its picture, along a side.
    """

    parameters: Parameters
    forest: Any
    composite: str
    shrink: float

    def answer(self, field_map: FieldMap, questions: Sequence[MapQuestion]) -> list[Prediction | None]:
        """Its row to each question; None where it knows of no crop."""
        found = list(_segments(field_map, self.parameters, self.composite, self.shrink))
        names = self.forest.predict([one.colour for one in found]) if self.forest and found else None
        return [self._row(field_map, question, found, names) for question in questions]

    def _row(
        self, field_map: FieldMap, question: MapQuestion, found: Sequence[Segment], names: Any
    ) -> Prediction | None:
        if question.crop is None:
            return field_map.row(question, [one.outline for one in found])
        if names is None:
            return None
        chosen = np.flatnonzero(np.asarray(names) == question.crop).tolist()
        return field_map.row(question, [found[n].outline for n in chosen])


def is_installed() -> bool:
    """Is scikit-image there (`agrilape[baselines]`)?"""
    return find_spec("skimage") is not None


def fit(maps: Sequence[FieldMap], composite: str, shrink: float = 1.0) -> SegmentBaseline:
    """Tune the segmentation and grow the forest.

    Args:
        maps: Maps of the train split, at least one.
        composite: How bands become colours.
        shrink: How many pixels of a map make one of the picture, along a side.
    """
    parts = [window_of(one, round(TUNED_ON * shrink)) for one in maps]
    found = {}
    with progress("tune segments", len(CANDIDATES), "candidates") as track:
        for one in CANDIDATES:
            found[one] = _f1(parts, one, composite, shrink)
            track()
    parameters = max(found, key=lambda one: found[one])
    return SegmentBaseline(parameters, _forest(maps, parameters, composite, shrink), composite, shrink)


def _f1(maps: Sequence[FieldMap], parameters: Parameters, composite: str, shrink: float) -> float:
    """The deciding score of a segmentation of maps."""
    everything = MapQuestion("map_fields", "")
    rows = [
        one.row(everything, [found.outline for found in _segments(one, parameters, composite, shrink)])
        for one in maps
    ]
    return float(np.nan_to_num(MAP_METRICS["map_fields"][0].point(rows)))


def _forest(maps: Sequence[FieldMap], parameters: Parameters, composite: str, shrink: float) -> Any:
    """A forest fitted on true parcels and segments off fields; None where there are no two names."""
    colours: list[NDArray[np.float64]] = []
    names: list[str] = []
    for one in maps:
        for colour, crop in _parcel_colours(one, composite, shrink):
            colours.append(colour)
            names.append(crop)
        if names:
            off = _off_fields(one, parameters, composite, shrink)
            colours += off
            names += [""] * len(off)
    if len(set(names)) < 2:
        return None
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(TREES, random_state=0, n_jobs=1).fit(colours, names)


def _parcel_colours(
    field_map: FieldMap, composite: str, shrink: float
) -> Iterator[tuple[NDArray[np.float64], str]]:
    """Mean colour and crop of each parcel of known crop; one that lies in several patches counts in each."""
    known = [n for n, crop in enumerate(field_map.crops) if crop and not field_map.ignored[n]]
    outlines = np.array([field_map.outlines[n] for n in known], dtype=object)
    for window, picture in _pictures(field_map, composite, shrink):
        near = shapely.STRtree(outlines).query(_frame(window), predicate="intersects") if known else []
        if not len(near):
            continue
        placed = shapely.transform(outlines[near], lambda xy, w=window: (xy - w[:2]) / shrink)
        numbered = zip(placed, range(1, len(near) + 1), strict=True)
        labels = rasterize(numbered, picture.shape[:2], dtype="int32")
        means, counts = _means(picture, labels, len(near) + 1)
        for n in np.flatnonzero(counts[1:] > 0).tolist():
            yield means[n + 1], str(field_map.crops[known[near[n]]])


def _off_fields(
    field_map: FieldMap, parameters: Parameters, composite: str, shrink: float
) -> list[NDArray[np.float64]]:
    fields = shapely.union_all(np.array(field_map.outlines, dtype=object))
    found = list(_segments(field_map, parameters, composite, shrink))
    outlines = np.array([one.outline for one in found], dtype=object)
    shares = shapely.area(shapely.intersection(outlines, fields)) / shapely.area(outlines)
    return [found[n].colour for n in np.flatnonzero(shares <= OFF_FIELD).tolist()]


def _segments(
    field_map: FieldMap, parameters: Parameters, composite: str, shrink: float
) -> Iterator[Segment]:
    from skimage.segmentation import felzenszwalb

    for window, picture in _pictures(field_map, composite, shrink):
        labels = felzenszwalb(picture, *parameters, channel_axis=-1).astype(np.int32)
        means, _ = _means(picture, labels, int(labels.max()) + 1)
        for outline, label in shapes(labels, connectivity=4):
            placed = shapely.transform(shape(outline), lambda xy, w=window: xy * shrink + w[:2])
            placed = placed.intersection(_frame(window))
            if placed.area >= SMALLEST:
                yield Segment(placed, means[int(label)])


def _means(
    picture: NDArray[np.uint8], labels: NDArray[np.int32], count: int
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Mean colour `[count, 3]` and number of pixels `[count]` of each label."""
    flat = labels.ravel()
    counts = np.bincount(flat, minlength=count)
    sums = np.stack([np.bincount(flat, band.ravel(), count) for band in np.moveaxis(picture, -1, 0)])
    return (sums / np.maximum(counts, 1)).T, counts


def _pictures(
    field_map: FieldMap, composite: str, shrink: float
) -> Iterator[tuple[PixelWindow, NDArray[np.uint8]]]:
    """The map's picture in patches, reduced."""
    scene, side = field_map.scene, round(PATCH * shrink)
    for row in range(0, scene.height, side):
        for column in range(0, scene.width, side):
            window = PixelWindow(column, row, min(side, scene.width - column), min(side, scene.height - row))
            image = Image.fromarray(field_map.frame.picture(window, composite))
            size = (max(round(window.width / shrink), 1), max(round(window.height / shrink), 1))
            yield window, np.asarray(image.resize(size, Image.Resampling.BOX) if shrink != 1 else image)


def _frame(window: PixelWindow) -> Geometry:
    left, top, width, height = window
    return shapely.box(left, top, left + width, top + height)

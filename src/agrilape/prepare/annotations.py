"""What is known of one chip: the facts that tasks turn into questions and answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Geometry

from agrilape.dataset.types import Chip
from agrilape.geo.shapes import Box, Instant, Point, Span
from agrilape.prepare.rasterize import rasterize

MARGIN = 0.01  # share of the image
RASTER = 96  # cells a side: divides by 3 and by 4, the grids that are asked about


@dataclass(frozen=True)
class Timing:
    """A moment or a stretch of a season, and the rule that it follows from.

    Attributes:
        when: The moment or stretch, in the chip's calendar.
        rule: How it was found, for provenance.
        recorded: Was it recorded in the field, rather than measured in the imagery?
    """

    when: Instant | Span
    rule: str
    recorded: bool = False


@dataclass(frozen=True)
class VisibleField:
    """A parcel as far as the chip shows it.

    Attributes:
        id: Parcel id within the scene.
        crop: Crop name; None if unknown.
        outline: Visible part in normalised chip coordinates.
        box: Edges of the visible part.
        clear: Is enough of it visible to be an answer? Otherwise it only makes questions ambiguous.
        hcat: Code of the crop in EuroCrops' hierarchy; None if unknown.
        of_other_split: Does it belong to another split? Then nothing may be told of it.
        area_ha: Area of the whole parcel in hectares.
        whole: Is all of the parcel visible?
        rows: Direction of the crop rows in the image: degrees anticlockwise from rightwards, in [0, 180).
        ndvi: Mean vegetation index in each picture of the chip; None where it is not known.
        peak_of_season: When it is greenest. This and what follows is known of clear fields alone.
        green_up: When it turns green.
        green: Between which dates a crop stands on it (recorded) or it is green (measured).
        harvest: When it is harvested.
        cycles: How often it turns green and brown again; None where that is not clear, or nothing asks it.
    """

    id: str
    crop: str | None
    outline: Geometry
    box: Box
    clear: bool
    hcat: str | None = None
    of_other_split: bool = False
    area_ha: float | None = None
    whole: bool = False
    rows: float | None = None
    ndvi: tuple[float | None, ...] = ()
    peak_of_season: Timing | None = None
    green_up: Timing | None = None
    green: Timing | None = None
    harvest: Timing | None = None
    cycles: int | None = None

    def renamed(self, crop: str) -> VisibleField:
        """The same with another name of its crop."""
        return self if crop == self.crop else replace(self, crop=crop)

    @cached_property
    def interior(self) -> Geometry:
        """The outline less a margin, where it is wide enough: points in it leave no doubt."""
        inner = self.outline.buffer(-MARGIN, quad_segs=1)
        return self.outline if inner.is_empty else inner

    @cached_property
    def size(self) -> str:
        """Size class by the share of the image that its outline covers: below 2 %, below 8 %, more."""
        share = self.outline.area
        return "small" if share < 0.02 else "medium" if share < 0.08 else "large"


@dataclass(frozen=True)
class LabelledPoint:
    """A labelled point in the chip.

    Attributes:
        point: Where it is.
        kind: What is known of it, as `sources.scene.Observation.kind`.
        value: The label or number.
        when: Date or period of the label within the chip's window.
        peak_of_season: When its pixel is greenest; likewise green_up, green and cycles, as of a field.
    """

    point: Point
    kind: str
    value: str | float
    when: Instant | Span | None = None
    peak_of_season: Timing | None = None
    green_up: Timing | None = None
    green: Timing | None = None
    cycles: int | None = None


@dataclass(frozen=True)
class Stress:
    """A stressed part of a field, as far as the chip shows it.

    Attributes:
        parcel: Id of the parcel.
        cause: What stresses the crop.
        outline: Visible part in normalised chip coordinates.
        box: Edges of the visible part.
        clear: Is all of it visible, large enough and fully developed? Otherwise it only makes questions
            ambiguous.
        share: Share of the parcel's area, in 0-1.
    """

    parcel: str
    cause: str
    outline: Geometry
    box: Box
    clear: bool
    share: float | None = None


@dataclass(frozen=True)
class ChipAnnotations:
    """A chip with everything that may be asked about it.

    Attributes:
        chip: The chip.
        fields: Parcels of which any part is visible.
        spots: Labelled points.
        label: Class of the whole scene.
        complete: Is every field in the chip labelled? Only then may one count, ask for all, or say "none".
        scene_crops: Crops of the whole scene, for questions whose answer is "none".
        stress: Stressed parts of fields, on the dates that are shown.
        longest_list: Most boxes in an answer.
        partial_fields: May fields be listed where parts too small to be listed reach into the chip?
    """

    chip: Chip
    fields: tuple[VisibleField, ...] = ()
    spots: tuple[LabelledPoint, ...] = ()
    label: str | None = None
    complete: bool = True
    scene_crops: tuple[str, ...] = ()
    stress: tuple[Stress, ...] = ()
    longest_list: int = 8
    partial_fields: bool = False

    @property
    def crops_known(self) -> bool:
        """Is every field labelled with its crop? One of unknown crop may be of any."""
        return self.complete and all(field.crop is not None for field in self.fields)

    @property
    def clear_fields(self) -> list[VisibleField]:
        """Fields that may be answers, by left edge, then top edge."""
        return sorted((field for field in self.fields if field.clear), key=lambda field: field.box)

    def listed(self, fields: Sequence[VisibleField]) -> list[VisibleField]:
        """Those of some fields that a list of them names; none if the list would be doubtful or too long."""
        clear = [one for one in fields if one.clear]
        doubtful = len(clear) < len(fields) and not self.partial_fields
        told = not any(one.of_other_split for one in fields)
        return clear if told and not doubtful and len(clear) <= self.longest_list else []

    @property
    def clear_stress(self) -> list[Stress]:
        """Stressed parts that may be answers, by left edge, then top edge."""
        return sorted((zone for zone in self.stress if zone.clear), key=lambda zone: zone.box)

    @cached_property
    def ground_m(self) -> float | None:
        """Side of the chip on the ground in metres; None where that is not known."""
        place = self.chip.georeference
        return place.gsd_m * place.width if place else None

    def area_ha(self, fields: Iterable[VisibleField]) -> float | None:
        """Area of the visible parts of fields in hectares, on the ellipsoid; None without georeference."""
        place = self.chip.georeference
        if place is None:
            return None
        scale = np.array([place.width, place.height])
        pixels = [shapely.transform(field.outline, lambda xy: xy * scale) for field in fields]
        return sum(place.area_ha(place.from_pixels(outline)) for outline in pixels)

    def renamed(self, crop: Callable[[str], str]) -> ChipAnnotations:
        """The same with crops, causes and labels in the words of another language."""
        return replace(
            self,
            fields=tuple(one if one.crop is None else one.renamed(crop(one.crop)) for one in self.fields),
            spots=tuple(
                replace(spot, value=crop(spot.value)) if isinstance(spot.value, str) else spot
                for spot in self.spots
            ),
            label=None if self.label is None else crop(self.label),
            scene_crops=tuple(crop(name) for name in self.scene_crops),
            stress=tuple(replace(zone, cause=crop(zone.cause)) for zone in self.stress),
        )

    @cached_property
    def by_crop(self) -> dict[str, list[VisibleField]]:
        """Fields of each crop, unclear ones included, by left edge, then top edge; crops by name."""
        crops: dict[str, list[VisibleField]] = {}
        for field in sorted(self.fields, key=lambda field: field.box):
            if field.crop is not None:
                crops.setdefault(field.crop, []).append(field)
        return dict(sorted(crops.items()))

    @cached_property
    def crop_raster(self) -> NDArray[np.int32]:
        """Index + 1 into `by_crop` of what grows in each cell, `[RASTER, RASTER]`; 0 where it is not told."""
        shapes = [
            (field.outline, number)
            for number, fields in enumerate(self.by_crop.values(), start=1)
            for field in fields
            if not field.of_other_split
        ]
        outlines, numbers = zip(*shapes, strict=True) if shapes else ((), ())
        cells = shapely.transform(np.array(outlines, object), lambda xy: xy * RASTER)
        return rasterize(cells, numbers, (RASTER, RASTER))

    def crop_share(self, box: Box, crop: str) -> float:
        """Share of a box that a crop covers."""
        cells = self._cells(box)
        return np.count_nonzero(cells == list(self.by_crop).index(crop) + 1) / cells.size

    def crop_shares(self, box: Box) -> dict[str, float]:
        """Share of a box that each crop covers, largest first."""
        cells = self._cells(box)
        counts = np.bincount(cells.ravel(), minlength=len(self.by_crop) + 1)[1:]
        shares = dict(zip(self.by_crop, (counts / cells.size).tolist(), strict=True))
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    def _cells(self, box: Box) -> NDArray[np.int32]:
        """The part of `crop_raster` that a box touches."""
        left, top = (math.floor(edge * RASTER) for edge in box[:2])
        right, bottom = (math.ceil(edge * RASTER) for edge in box[2:])
        return self.crop_raster[top:bottom, left:right]

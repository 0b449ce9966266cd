"""What is known of one chip: the facts that tasks turn into questions and answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely import Geometry

from agrilape.geo.shapes import Box, Instant, Point, Span
from agrilape.samples.types import Chip

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
class Field:
    """A parcel as far as the chip shows it.

    Attributes:
        id: Parcel id within the scene.
        crop: Crop name; None if unknown.
        outline: Visible part in normalised chip coordinates.
        box: Edges of the visible part.
        clear: Is enough of it visible to be an answer? Otherwise it only makes questions ambiguous.
        area_ha: Area of the whole parcel in hectares.
        greenest: When it is greenest.
        green: Between which dates a crop stands on it (recorded) or it is green (measured).
    """

    id: str
    crop: str | None
    outline: Geometry
    box: Box
    clear: bool
    area_ha: float | None = None
    greenest: Timing | None = None
    green: Timing | None = None

    @cached_property
    def interior(self) -> Geometry:
        """The outline less a margin, where it is wide enough: points in it leave no doubt."""
        inner = self.outline.buffer(-MARGIN, quad_segs=1)
        return self.outline if inner.is_empty else inner

    @property
    def size(self) -> str:
        """Size class by the share of the image that its outline covers: below 2 %, below 8 %, more."""
        share = self.outline.area
        return "small" if share < 0.02 else "medium" if share < 0.08 else "large"


@dataclass(frozen=True)
class Spot:
    """A labelled point in the chip.

    Attributes:
        point: Where it is.
        kind: What is known of it, as `sources.scene.Observation.kind`.
        value: The label or number.
        when: Date or period of the label within the chip's window.
        greenest: When its pixel is greenest.
        green: Between which dates its pixel is green.
    """

    point: Point
    kind: str
    value: str | float
    when: Instant | Span | None = None
    greenest: Timing | None = None
    green: Timing | None = None


@dataclass(frozen=True)
class View:
    """A chip with everything that may be asked about it.

    Attributes:
        chip: The chip.
        fields: Parcels of which any part is visible.
        spots: Labelled points.
        label: Class of the whole scene.
        complete: Is every field in the chip labelled? Only then may one count, ask for all, or say "none".
        scene_crops: Crops of the whole scene, for questions whose answer is "none".
    """

    chip: Chip
    fields: tuple[Field, ...] = ()
    spots: tuple[Spot, ...] = ()
    label: str | None = None
    complete: bool = True
    scene_crops: tuple[str, ...] = ()

    @property
    def clear_fields(self) -> list[Field]:
        """Fields that may be answers, by left edge, then top edge."""
        return sorted((field for field in self.fields if field.clear), key=lambda field: field.box)

    @cached_property
    def by_crop(self) -> dict[str, list[Field]]:
        """Fields of each crop, unclear ones included, by left edge, then top edge; crops by name."""
        crops: dict[str, list[Field]] = {}
        for field in sorted(self.fields, key=lambda field: field.box):
            if field.crop is not None:
                crops.setdefault(field.crop, []).append(field)
        return dict(sorted(crops.items()))

    @cached_property
    def crop_raster(self) -> NDArray[np.int32]:
        """Index + 1 into `by_crop` of what grows in each cell, `[RASTER, RASTER]`; 0 where not known."""
        shapes = [
            (field.outline, number)
            for number, fields in enumerate(self.by_crop.values(), start=1)
            for field in fields
        ]
        if not shapes:
            return np.zeros((RASTER, RASTER), np.int32)
        raster: NDArray[np.int32] = rasterize(
            shapes, (RASTER, RASTER), transform=Affine.scale(1 / RASTER), dtype="int32", fill=0
        )
        return raster

    def crop_shares(self, box: Box) -> dict[str, float]:
        """Share of a box that each crop covers, largest first."""
        left, top = (int(np.floor(edge * RASTER)) for edge in box[:2])
        right, bottom = (int(np.ceil(edge * RASTER)) for edge in box[2:])
        cells = self.crop_raster[top:bottom, left:right]
        counts = np.bincount(cells.ravel(), minlength=len(self.by_crop) + 1)[1:]
        shares = dict(zip(self.by_crop, (counts / cells.size).tolist(), strict=True))
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

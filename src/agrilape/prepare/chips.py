"""Cut chips from scenes, and find out what each of them shows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import isnan
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Geometry

from agrilape.config.recipe import DatasetConfig
from agrilape.dataset.types import Chip, Picture
from agrilape.geo.shapes import Box, Instant, Point, Span
from agrilape.geo.timewindow import TimeWindow
from agrilape.prepare import seasons
from agrilape.prepare.annotations import ChipAnnotations, LabelledPoint, Stress, Timing, VisibleField
from agrilape.prepare.rasterize import rasterize
from agrilape.sources.scene import Frame, Observation, Parcel, PixelWindow, Scene, Zone
from agrilape.sources.tiling import encode_png, shown_metadata

MAX_UNSEEN = (
    0.1  # share of a chip, or of its labelled region, that may be cloud or no data in a picture that is shown
)
MIN_FIELD = 0.004  # share of the chip: about 8 x 8 pixels of 128 x 128
WHOLE_FIELD = 0.5  # share of a parcel that must be visible ...
BIG_PART = 0.02  # ... unless the visible part alone is this share of the chip
SLIVER = 0.0005  # share of the chip below which nobody would see that a parcel reaches into it
ONE_PIECE = 0.9  # share of what is visible that the largest piece must have
WHOLE = 0.99  # share of a parcel or zone from which all of it is visible; the rest is rounding
MIN_STRESS = 0.002  # share of the chip that a stressed part must cover to be noticed
STRESS_DAYS = 15  # from the first sign of stress until nobody would overlook it
STRESS_NDVI = 0.08  # by which the stressed part is less green than the rest of its field
LUSH = 0.8  # a still is taken among the clear dates with at least this share of the highest median NDVI


@dataclass(frozen=True)
class ChipAcquisition:
    """What one acquisition shows of a chip.

    Attributes:
        frame: The acquisition.
        seen: Share of the chip (of its labelled region, if there is one) that is neither cloud nor no data.
        ndvi: Vegetation index, `[height, width]`, NaN where unseen; None if the bands do not give it.
        gaps: Is anything of the chip unseen, in its labelled region or not?
    """

    frame: Frame
    seen: float
    ndvi: NDArray[np.float32] | None
    gaps: bool


@dataclass(frozen=True)
class _Part:
    """What of a parcel lies in a chip.

    Attributes:
        parcel: The parcel.
        outline: Its largest piece in the chip, in pixels of the scene.
        visible: Share of the parcel that lies in the chip.
        clear: Is that enough, and in one piece, to be an answer?
    """

    parcel: Parcel
    outline: Geometry
    visible: float
    clear: bool


def _parts(parcels: Sequence[Parcel], area: Geometry) -> list[_Part]:
    """What of each parcel lies in a chip; what would not be noticed is skipped."""
    whole = np.array([parcel.outline for parcel in parcels], object)
    cut = shapely.intersection(whole, area)
    pixels = shapely.area(cut)
    shares, visible = pixels / area.area, pixels / shapely.area(whole)
    found = []
    for number in np.flatnonzero(shares > SLIVER).tolist():
        largest = max(shapely.get_parts(cut[number]), key=shapely.area)
        enough = shares[number] >= MIN_FIELD and (
            visible[number] >= WHOLE_FIELD or shares[number] >= BIG_PART
        )
        clear = bool(enough and largest.area >= ONE_PIECE * pixels[number])
        found.append(_Part(parcels[number], largest, float(visible[number]), clear))
    return found


class ChipCutter:
    """Cuts chips from one scene.

    Args:
        scene: The scene.
        config: How chips are made.
        of_other_splits: Ids of parcels of another split: visible here and there, but never asked about.
        crops: Crops of the whole scene, by name; None: those of its parcels.
    """

    def __init__(
        self,
        scene: Scene,
        config: DatasetConfig,
        of_other_splits: frozenset[str] = frozenset(),
        crops: tuple[str, ...] | None = None,
    ) -> None:
        self.scene, self.config, self.of_other_splits = scene, config, of_other_splits
        self._tree = shapely.STRtree([parcel.outline for parcel in scene.parcels])
        self._points = shapely.STRtree([shapely.Point(seen.x, seen.y) for seen in scene.observations])
        known = {parcel.crop for parcel in scene.parcels if parcel.crop}
        self._crops = tuple(sorted(known)) if crops is None else crops
        self._parcels = {parcel.id: parcel for parcel in scene.parcels}
        self._counts_cycles = "green_cycles" in config.tasks
        self._stressed = [zone for zone in scene.zones if zone.kind == "stress"]
        self._zones = shapely.STRtree([zone.outline for zone in self._stressed])

    def cut(self, window: PixelWindow) -> ChipAnnotations | str:
        """The chip in a window with what is known of it, or the reason why there is none."""
        scene = self.scene
        area = shapely.box(
            window.column, window.row, window.column + window.width, window.row + window.height
        )
        mask = None
        if scene.region is not None:
            mask = _burn([scene.region], window) > 0
            if not mask.any():
                return "outside the labelled region"
        looks = [_look(frame, window, mask) for frame in scene.frames]
        rng = random.Random(f"{self.config.seed}/{scene.id}/{window}")  # noqa: S311 - not for secrets
        shown = self._choose(looks, rng)
        if not shown:
            return "cloud or no data"
        chip = self._chip(window, shown)
        dated = (
            [look for look in looks if look.ndvi is not None and look.frame.acquired] if chip.window else []
        )
        return ChipAnnotations(
            chip=chip,
            fields=self._fields(window, area, dated, shown),
            spots=self._spots(window, area, dated, shown, chip.window),
            label=scene.label,
            complete=scene.exhaustively_labelled and (scene.region is None or scene.region.covers(area)),
            scene_crops=self._crops,
            stress=self._stress(window, area, shown),
            longest_list=self.config.longest_list,
            partial_fields=self.config.partial_fields,
        )

    def _choose(self, looks: Sequence[ChipAcquisition], rng: random.Random) -> list[ChipAcquisition]:
        """The acquisitions to show: one for a still, up to `series` spread over time for a series."""
        clear = [look for look in looks if look.seen >= 1 - MAX_UNSEEN]
        if self.config.series and self.scene.window:
            return _spread([look for look in clear if look.frame.acquired], self.config.series)
        if not clear:
            return []
        green = [_greenness(look) for look in clear]
        return [
            rng.choice([look for look, value in zip(clear, green, strict=True) if value >= LUSH * max(green)])
        ]

    def _chip(self, window: PixelWindow, shown: Sequence[ChipAcquisition]) -> Chip:
        scene = self.scene
        series = bool(self.config.series and scene.window)
        return Chip(
            id=f"{scene.source}/{scene.id}/{window.column}_{window.row}",
            scene=scene.id,
            source=scene.source,
            pictures=tuple(
                Picture(
                    encode_png(look.frame.picture(window, self.config.composite), self.config.image_size),
                    look.frame.acquired if series else None,
                )
                for look in shown
            ),
            georeference=scene.georeference and scene.georeference.window(window),
            window=scene.window if series else None,
            meta=self._meta(window, shown),
        )

    def _meta(self, window: PixelWindow, shown: Sequence[ChipAcquisition]) -> dict[str, Any]:
        config = self.config
        ground = self.scene.georeference and self.scene.georeference.window(window)
        facts = shown_metadata(
            self.scene, window, [look.frame for look in shown], config.composite, config.image_size
        )
        return {
            **facts,
            **({} if config.language == "en" else {"language": config.language}),
            **({"ground_m": [round(side, 3) for side in ground.ground_m]} if ground else {}),
            "pixel_window": list(window),
            "unseen": [round(1 - look.seen, 4) for look in shown],
        }

    def _fields(
        self,
        window: PixelWindow,
        area: Geometry,
        looks: Sequence[ChipAcquisition],
        shown: Sequence[ChipAcquisition],
    ) -> tuple[VisibleField, ...]:
        """Parcels in the chip, clipped; what would not be noticed is skipped."""
        parts = _parts([self.scene.parcels[index] for index in sorted(self._tree.query(area))], area)
        outlines = [part.outline for part in parts]
        # A look may be dated, shown, or both: its curve is made once.
        measured = {id(look): look for look in (*looks, *shown) if look.ndvi is not None}
        together = dict(
            zip(measured, _field_curves(outlines, window, list(measured.values())).T, strict=True)
        )
        unknown = np.full(len(parts), np.nan, np.float32)
        curves = np.array([together[id(look)] for look in looks], np.float32)
        curves = curves.reshape(len(looks), len(parts)).T
        known = all(id(look) in together for look in shown)
        greenness = np.array([together[id(look)] if known else unknown for look in shown]).T
        dates = [look.frame.acquired for look in looks if look.frame.acquired]
        shapes = _normalise(np.array(outlines, object), window)
        return tuple(
            self._field(part, shape, Box(*edges), self._season(part, dates, curve, course), ndvi)
            for part, shape, edges, curve, course, ndvi in zip(
                parts, shapes, shapely.bounds(shapes).tolist(), curves, seasons.field_seasons(dates, curves),
                greenness.tolist(), strict=True,
            )
        )  # fmt: skip

    def _season(
        self, part: _Part, dates: list[date], curve: NDArray[np.float32], course: seasons.FieldSeason
    ) -> dict[str, Any]:
        """When a part is green, as attributes of `VisibleField`; of one in doubt nothing is asked."""
        calendar = self.scene.window
        if not (calendar and dates and self._is_clear(part)):
            return {}
        measured = _measured(calendar, dates, curve, course, self._counts_cycles)
        return measured | _recorded(part.parcel, calendar)

    def _is_clear(self, part: _Part) -> bool:
        return part.clear and part.parcel.id not in self.of_other_splits

    def _field(
        self, part: _Part, outline: Geometry, box: Box, season: dict[str, Any], ndvi: Sequence[float]
    ) -> VisibleField:
        parcel = part.parcel
        return VisibleField(
            id=parcel.id,
            crop=parcel.crop,
            outline=outline,
            box=box,
            clear=self._is_clear(part),
            hcat=_hcat(parcel),
            of_other_split=parcel.id in self.of_other_splits,
            area_ha=parcel.area_ha,
            whole=part.visible >= WHOLE,
            rows=_row_angle(parcel, self.scene),
            ndvi=tuple(None if isnan(value) else value for value in ndvi),
            **season,
        )

    def _stress(
        self, window: PixelWindow, area: Geometry, shown: Sequence[ChipAcquisition]
    ) -> tuple[Stress, ...]:
        """Stressed parts of fields that show on some date; a doubtful one is there but not clear."""
        found = []
        for index in sorted(self._zones.query(area)):
            zone = self._stressed[index]
            parcel = self._parcels.get(zone.parcel or "")
            part = shapely.intersection(zone.outline, area)
            due = [] if parcel is None else [look for look in shown if _is_due(zone, parcel, look.frame)]
            if parcel is None or not due or part.area <= SLIVER * area.area:
                continue
            largest = max(shapely.get_parts(part), key=lambda piece: piece.area)
            clear = (
                any(_is_seen(zone, parcel, look, window) for look in due)
                and parcel.id not in self.of_other_splits
                and largest.area >= WHOLE * zone.outline.area
                and largest.area >= MIN_STRESS * area.area
            )
            outline = _normalise(largest, window)
            share = zone.outline.area / parcel.outline.area if zone.share is None else zone.share
            found.append(Stress(parcel.id, zone.name, outline, Box(*outline.bounds), clear, share))
        return tuple(found)

    def _spots(
        self,
        window: PixelWindow,
        area: Geometry,
        looks: Sequence[ChipAcquisition],
        shown: Sequence[ChipAcquisition],
        calendar: TimeWindow | None,
    ) -> tuple[LabelledPoint, ...]:
        """Labelled points strictly inside the chip."""
        dates = [look.frame.acquired for look in looks if look.frame.acquired]
        spots = []
        for index in sorted(self._points.query(area, predicate="contains_properly")):
            seen = self.scene.observations[index]
            if calendar is None and not _holds(seen, shown):
                continue
            column, row = int(seen.x) - window.column, int(seen.y) - window.row
            curve = np.array([look.ndvi[row, column] for look in looks if look.ndvi is not None], np.float32)
            (course,) = seasons.field_seasons(dates, curve[None])
            season = _measured(calendar, dates, curve, course, self._counts_cycles) if calendar else {}
            point = Point((seen.x - window.column) / window.width, (seen.y - window.row) / window.height)
            spots.append(LabelledPoint(point, seen.kind, seen.value, _when(seen, calendar), **season))
        return tuple(spots)


def _look(frame: Frame, window: PixelWindow, mask: NDArray[np.bool_] | None) -> ChipAcquisition:
    has_index = "ndvi" in frame.bands
    values = frame.read(window, ("ndvi",) if has_index else frame.bands[:1])[0]
    finite = np.isfinite(values)
    if finite.all():  # as most are, and counting what is seen takes as long again
        return ChipAcquisition(frame, 1.0, values if has_index else None, gaps=False)
    seen = finite if mask is None else finite[mask]
    return ChipAcquisition(
        frame, np.count_nonzero(seen) / seen.size, values if has_index else None, gaps=True
    )


def _greenness(look: ChipAcquisition) -> float:
    return 1.0 if look.ndvi is None else max(float(np.nanmedian(look.ndvi)), 0.0)


def _spread(looks: list[ChipAcquisition], count: int) -> list[ChipAcquisition]:
    """The clearest look of each of `count` equal stretches of time between the first and the last."""
    if len(looks) <= count:
        return looks
    days = [look.frame.acquired.toordinal() for look in looks if look.frame.acquired]
    step = (days[-1] - days[0] + 1) / count
    chosen: dict[int, ChipAcquisition] = {}
    for look, day in zip(looks, days, strict=True):
        stretch = int((day - days[0]) / step)
        if stretch not in chosen or look.seen > chosen[stretch].seen:
            chosen[stretch] = look
    return list(chosen.values())


def _normalise(outline: Geometry, window: PixelWindow) -> Geometry:
    """A geometry of the scene, or an array of them, in coordinates of a window."""
    origin, size = np.array([window.column, window.row]), np.array([window.width, window.height])
    return shapely.transform(outline, lambda xy: np.clip((xy - origin) / size, 0.0, 1.0))


def _field_curves(
    outlines: Sequence[Geometry], window: PixelWindow, looks: Sequence[ChipAcquisition]
) -> NDArray[np.float32]:
    """Mean NDVI of each outline, `[fields, dates]`; NaN where less than half of a field is seen."""
    curves = np.full((len(outlines), len(looks)), np.nan, np.float32)
    if not outlines or not looks:
        return curves
    numbers = _burn(outlines, window).ravel()
    # An outline's pixels lie in runs, one a row: runs are added up, then those of each outline.
    starts = np.flatnonzero(np.concatenate(([True], numbers[1:] != numbers[:-1])))
    owners = numbers[starts]

    def sums(values: NDArray[Any]) -> NDArray[Any]:
        runs = np.add.reduceat(values, starts, dtype=np.float64)
        added: NDArray[Any] = np.bincount(owners, runs, len(outlines) + 1)
        return added[1:]

    pixels = sums(np.ones(numbers.size, bool))
    for number, look in enumerate(looks):
        values = np.asarray(look.ndvi, np.float32).ravel()
        counts = pixels
        if look.gaps:
            seen = np.isfinite(values)
            counts = sums(seen)
            values = np.where(seen, values, np.float32(0))
        enough = (counts > 0) & (counts >= 0.5 * pixels)
        curves[enough, number] = sums(values)[enough] / counts[enough]
    return curves


def _burn(outlines: Sequence[Geometry], window: PixelWindow) -> NDArray[np.int32]:
    """Number (from 1) of the outline at each pixel of a window, `[height, width]`; 0 for none."""
    corner = np.array([window.column, window.row])
    inside = shapely.transform(np.array(outlines, object), lambda xy: xy - corner)
    return rasterize(inside, range(1, len(outlines) + 1), (window.height, window.width))


def _hcat(parcel: Parcel) -> str | None:
    """Code of a parcel's crop in EuroCrops' hierarchy, as EuroCrops itself names the column."""
    codes = (value for name, value in parcel.attributes.items() if name.lower() == "ec_hcat_c")
    return next(map(str, codes), None)


def _row_angle(parcel: Parcel, scene: Scene) -> float | None:
    """Direction of a parcel's rows in the image, degrees anticlockwise from rightwards, in [0, 180).

    `row_azimuth_deg` is clockwise from the grid's north.
    """
    azimuth = parcel.attributes.get("row_azimuth_deg")
    if azimuth is None or scene.georeference is None:
        return None
    a, b, _, d, e, _ = tuple(~scene.georeference.transform)[:6]
    east, north = np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth))
    column, row = a * east + b * north, d * east + e * north
    return float(np.degrees(np.arctan2(-row, column)) % 180)


def _is_due(zone: Zone, parcel: Parcel, frame: Frame) -> bool:
    """May stress show on an image: has it begun by then, and does the crop still stand?"""
    day = frame.acquired
    if day is None:
        return True
    return (zone.since is None or day >= zone.since) and (parcel.harvest is None or day < parcel.harvest)


def _is_seen(zone: Zone, parcel: Parcel, look: ChipAcquisition, window: PixelWindow) -> bool:
    """Does stress surely show: is it fully developed, and less green than the rest of the field?"""
    if zone.since is not None:
        day = look.frame.acquired
        if day is None or (day - zone.since).days < STRESS_DAYS:
            return False
    if look.ndvi is None:
        return True
    part = _burn([parcel.outline, zone.outline], window)
    inside, around = look.ndvi[part == 2], look.ndvi[part == 1]
    if not (np.isfinite(inside).any() and np.isfinite(around).any()):
        return False
    return bool(np.nanmean(around) - np.nanmean(inside) >= STRESS_NDVI)


def _recorded(parcel: Parcel, calendar: TimeWindow) -> dict[str, Any]:
    """What the records of a parcel say of its season, as attributes of `VisibleField`."""
    season: dict[str, Any] = {}
    if parcel.peak:
        season["peak_of_season"] = _instant(calendar, parcel.peak, "recorded peak date", recorded=True)
    if parcel.emergence and parcel.harvest:
        rule = "recorded emergence to harvest"
        season["green"] = _span(calendar, parcel.emergence, parcel.harvest, rule, recorded=True)
    if parcel.harvest:
        season["harvest"] = _instant(calendar, parcel.harvest, "recorded harvest date", recorded=True)
    return season


def _measured(
    calendar: TimeWindow,
    dates: list[date],
    curve: NDArray[np.float32],
    course: seasons.FieldSeason,
    cycles: bool,
) -> dict[str, Any]:
    """What an index says of a season, as attributes of `VisibleField` and `LabelledPoint`."""
    found: dict[str, Any] = {"cycles": seasons.green_cycles(dates, curve)} if cycles else {}
    if course.top:
        rule = "date of the highest mean NDVI among the clear dates"
        found["peak_of_season"] = _instant(calendar, course.top, rule)
    if course.span:
        found["green"] = _span(calendar, *course.span, "mean NDVI above the middle of its range")
        found["green_up"] = _instant(
            calendar, course.span[0], "mean NDVI rises above the middle of its range"
        )
    return found


def _instant(calendar: TimeWindow, day: date, rule: str, recorded: bool = False) -> Timing | None:
    position = calendar.position(day)
    return Timing(Instant(position), rule, recorded) if 0 <= position <= 1 else None


def _span(calendar: TimeWindow, start: date, end: date, rule: str, recorded: bool = False) -> Timing | None:
    """A span cut to the calendar; None if nothing of it is left."""
    first, last = max(calendar.position(start), 0.0), min(calendar.position(end), 1.0)
    return Timing(Span(first, last), rule, recorded) if first < last else None


def _holds(seen: Observation, shown: Sequence[ChipAcquisition]) -> bool:
    """May a label be true of a still? One of a season is not, of an image of another."""
    days = [look.frame.acquired for look in shown]
    if seen.observed is None or seen.until is None:
        return True
    return all(day is not None and seen.observed <= day <= seen.until for day in days)


def _when(seen: Observation, calendar: TimeWindow | None) -> Instant | Span | None:
    if calendar is None or seen.observed is None:
        return None
    timing = (
        _instant(calendar, seen.observed, "")
        if seen.until is None
        else _span(calendar, seen.observed, seen.until, "")
    )
    return timing.when if timing else None

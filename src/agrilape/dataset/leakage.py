"""Do splits share what they must not share? Looked for in the chips, however the split was made."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Geometry

from agrilape.config.recipe import DatasetConfig
from agrilape.dataset.types import Chip, Example
from agrilape.errors import DataError
from agrilape.geo.overlap import TOLERANCE, footprint, overlap

_DEGREE_M = 111_195.0  # of latitude, on a sphere of the mean radius
_PICTURE_BYTES = 16  # of a picture's hash; a pair that is equal by chance is out of the question
K = TypeVar("K")


@dataclass(frozen=True)
class LeakageKeys:
    """What of a chip could leak into another split.

    Attributes:
        chip: Its id.
        scene: Its scene.
        pictures: Hashes of its pictures.
        parcels: Ids of the parcels that its answers tell of.
        outline: Its ground in WGS 84 degrees; None for pixels only.
        pixels: Its outline in pixels of the scene, where it has no ground.
        years: Calendar years of its pictures, as far as they have dates.
    """

    chip: str
    scene: str
    pictures: tuple[bytes, ...]
    parcels: tuple[str, ...]
    outline: Geometry | None = None
    pixels: Geometry | None = None
    years: tuple[int, ...] = ()


def leakage_keys(example: Example) -> LeakageKeys:
    """What of a chip could leak."""
    chip = example.chip
    outline = pixels = None
    if chip.georeference:
        outline = footprint(chip.georeference)
    elif "pixel_window" in chip.meta:
        column, row, width, height = chip.meta["pixel_window"]
        pixels = shapely.box(column, row, column + width, row + height)
    return LeakageKeys(
        chip=chip.id,
        scene=chip.scene,
        pictures=tuple(hashlib.sha256(picture.data).digest()[:_PICTURE_BYTES] for picture in chip.pictures),
        parcels=tuple(
            sorted({str(one) for sample in example.samples for one in sample.provenance.get("parcels", ())})
        ),
        outline=outline,
        pixels=pixels,
        years=_years(chip),
    )


def _years(chip: Chip) -> tuple[int, ...]:
    """Of a series the years of its pictures; of a still, whose picture has no time, that of its facts."""
    days = [picture.acquired for picture in chip.pictures if picture.acquired]
    if not days and "acquired" in chip.meta:
        days = [date.fromisoformat(chip.meta["acquired"])]
    return tuple(sorted({day.year for day in days}))


def check_split(splits: Mapping[str, Iterable[LeakageKeys]], config: DatasetConfig) -> None:
    """Make sure that the splits of a data set do not share what its configuration says they must not.

    Raises:
        DataError: See `check_leakage`.
    """
    buffer_m = config.buffer_m if config.split_by == "block" else 0.0
    check_leakage(splits, buffer_m, by_year=config.split_by == "year")


def check_leakage(
    splits: Mapping[str, Iterable[LeakageKeys]], buffer_m: float = 0.0, by_year: bool = False
) -> None:
    """Make sure that no split shows what another split shows.

    Looks for the same picture, the same parcel as an answer, ground nearer than the buffer, and the same
    scene where nothing says which part of it a chip shows. Where years are what divides the splits, it looks
    for the same year instead of the same ground, which may well be seen again in another year.

    Args:
        splits: Traces of each split.
        buffer_m: Least ground between the chips of two splits, in metres.
        by_year: May splits share ground, but no year?

    Raises:
        DataError: Two splits share something, or a chip has no year; the message names the first chips.
    """
    years: dict[int, tuple[str, str]] = {}
    pictures: dict[bytes, tuple[str, str]] = {}
    parcels: dict[tuple[str, str], tuple[str, str]] = {}
    scenes: dict[str, tuple[str, str]] = {}
    places: dict[str, list[tuple[str, Geometry]]] = defaultdict(list)
    pixels: dict[str, dict[str, list[tuple[str, Geometry]]]] = defaultdict(lambda: defaultdict(list))
    for split, traces in splits.items():
        for one in traces:
            here = (split, one.chip)
            for picture in one.pictures:
                _claim(pictures, picture, here, "the same picture")
            for parcel in one.parcels:
                _claim(parcels, (one.scene, parcel), here, f"parcel {parcel}")
            if by_year:
                _claim_years(years, one, here)
            if one.outline is not None:
                places[split].append((one.chip, one.outline))
            elif one.pixels is not None:
                pixels[one.scene][split].append((one.chip, one.pixels))
            else:
                _claim(scenes, one.scene, here, f"scene {one.scene}")
    if not by_year:
        _check_ground(places, buffer_m)
    for chips in pixels.values():
        _check_ground(chips, 0.0)


def _claim(owners: dict[K, tuple[str, str]], key: K, here: tuple[str, str], what: str) -> None:
    there = owners.setdefault(key, here)
    if there[0] != here[0]:
        raise _leak(what, there, here)


def _claim_years(owners: dict[int, tuple[str, str]], one: LeakageKeys, here: tuple[str, str]) -> None:
    if not one.years:
        raise DataError(
            f"chip {one.chip} has no date, but the splits are told apart by year", "use `split_by: scene`"
        )
    for year in one.years:
        _claim(owners, year, here, f"the year {year}")


def _check_ground(places: Mapping[str, Sequence[tuple[str, Geometry]]], buffer_m: float) -> None:
    """Refuse chips of two splits that overlap, or lie nearer than the buffer."""
    for first, second in combinations(places, 2):
        ours, theirs = (np.array([outline for _, outline in places[one]]) for one in (first, second))
        reach = _degrees(buffer_m, ours) if buffer_m else 0.0
        at_theirs, at_ours = shapely.STRtree(ours).query(theirs, predicate="dwithin", distance=reach)
        near = _distances_m(ours[at_ours], theirs[at_theirs]) < buffer_m * (1 - TOLERANCE)
        shared = near | overlap(ours[at_ours], theirs[at_theirs])
        if shared.any():
            pair = int(shared.argmax())
            what = "ground within the buffer" if near[pair] else "the same ground"
            one, other = places[first][at_ours[pair]][0], places[second][at_theirs[pair]][0]
            raise _leak(what, (first, one), (second, other))


def _degrees(metres: float, outlines: NDArray[np.object_]) -> float:
    """A bound in degrees of a distance in metres, at the latitude farthest from the equator."""
    latitude = np.abs(shapely.bounds(outlines)[:, [1, 3]]).max()
    return float(metres / (_DEGREE_M * max(np.cos(np.radians(latitude)), 0.01)))


def _distances_m(ours: NDArray[np.object_], theirs: NDArray[np.object_]) -> NDArray[np.float64]:
    """Distances of pairs of outlines in degrees, in metres on a plane that touches the earth there."""
    stretch = np.cos(np.radians(shapely.get_y(shapely.centroid(ours))))
    flat = []
    for outlines in (ours, theirs):
        degrees, pair = shapely.get_coordinates(outlines, return_index=True)
        metres = degrees * np.column_stack([stretch[pair], np.ones(len(pair))]) * _DEGREE_M
        flat.append(shapely.set_coordinates(outlines.copy(), metres))
    distances: NDArray[np.float64] = shapely.distance(*flat)
    return distances


def _leak(what: str, there: tuple[str, str], here: tuple[str, str]) -> DataError:
    return DataError(
        f"{there[0]} and {here[0]} share {what}: chips {there[1]} and {here[1]}",
        "split by block with a buffer, give scenes of one place the same `group`, or images their true dates",
    )

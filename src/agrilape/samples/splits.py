"""Splits that share no ground: by scene, or by blocks of a scene with a gap between them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Literal, TypeVar, get_args

import numpy as np
import shapely
from pyproj import Transformer
from shapely import Geometry

from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Box
from agrilape.samples.types import Example
from agrilape.sources.scene import PixelWindow, Scene

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
BLOCK_CHIPS = 2  # chips along the side of a block
TOLERANCE = 0.01  # share of an area or distance that rounding to whole pixels may cost
_DEGREE_M = 111_195.0  # of latitude, on a sphere of the mean radius
K = TypeVar("K")


def assign(groups: Iterable[str], shares: tuple[float, float, float], seed: int) -> dict[str, Split]:
    """Give each group to one split, in the wanted shares as nearly as whole groups allow.

    A split with a share above zero gets at least one group.

    Args:
        groups: Names of what must not be divided.
        shares: Shares of train, val and test.
        seed: Decides which groups go where.

    Raises:
        DataError: There are fewer groups than splits.
    """
    names = sorted(set(groups), key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    wanted = [split for split, share in zip(SPLITS, shares, strict=True) if share > 0]
    if len(names) < len(wanted):
        raise DataError(
            f"{len(names)} separate place(s) cannot be divided into {', '.join(wanted)}",
            "use more scenes, `split_by: block`, or a split with zeros such as [1, 0, 0]",
        )
    exact = np.array(shares) / sum(shares) * len(names)
    counts = np.where(exact > 0, np.maximum(np.floor(exact), 1), 0).astype(int)
    while counts.sum() < len(names):
        counts[int((exact - counts).argmax())] += 1
    while counts.sum() > len(names):
        counts[int(np.where(counts > 1, counts - exact, -np.inf).argmax())] -= 1
    return dict(zip(names, np.repeat(SPLITS, counts).tolist(), strict=True))


def scene_groups(scenes: Sequence[Scene]) -> list[str]:
    """What each scene stays together with: its source's own group, and scenes that it overlaps on the map.

    Returns:
        One group name per scene.
    """
    names = [str(scene.meta.get("group", scene.id)) for scene in scenes]
    mapped = [
        (name, scene.georeference) for name, scene in zip(names, scenes, strict=True) if scene.georeference
    ]
    places = [footprint(georeference) for _, georeference in mapped]
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    touching = shapely.STRtree(places).query(places, predicate="intersects").T.tolist() if places else []
    for one, other in touching:
        if _overlap(places[one], places[other]):
            first, second = sorted((root(mapped[one][0]), root(mapped[other][0])))
            parent[second] = first
    return [root(name) for name in names]


def blocks(scene: Scene, chip: int, buffer_m: float) -> dict[str, PixelWindow]:
    """Blocks of a scene by name, with half the buffer left out on each inner side.

    Args:
        scene: The scene.
        chip: Side of a chip in pixels.
        buffer_m: Ground between blocks in metres.

    Raises:
        DataError: A buffer in metres is wanted and the pixels have no size.
    """
    gsd = scene.georeference.gsd_m if scene.georeference else scene.meta.get("gsd_m")
    if buffer_m and not gsd:
        raise DataError(
            f"scene {scene.id} has no ground sampling distance for a buffer of {buffer_m} m",
            "use buffer_m: 0",
        )
    gap = int(np.ceil(buffer_m / gsd / 2)) if buffer_m and gsd else 0
    found = {}
    rows, columns = _edges(scene.height, chip, gap), _edges(scene.width, chip, gap)
    for r, (top, bottom) in enumerate(rows):
        for c, (left, right) in enumerate(columns):
            found[f"{scene.id}/block_{r}_{c}"] = PixelWindow(left, top, right - left, bottom - top)
    return found


def _edges(length: int, chip: int, gap: int) -> list[tuple[int, int]]:
    """Stretches of a side, equal up to a pixel, each at least one chip long without its gaps."""
    for chips in (BLOCK_CHIPS, 1):
        count = length // (chips * chip + 2 * gap)
        if count > 1:
            break
    cuts = np.linspace(0, length, max(count, 1) + 1).round().astype(int).tolist()
    return [(start + gap * (start > 0), end - gap * (end < length)) for start, end in pairwise(cuts)]


def footprint(georeference: Georeference) -> Geometry:
    """Outline of an image in WGS 84 longitude and latitude."""
    outline = georeference.box_to_map(Box(0, 0, 1, 1))
    to_degrees = Transformer.from_crs(georeference.crs, "EPSG:4326", always_xy=True)
    return shapely.transform(outline, lambda xy: np.column_stack(to_degrees.transform(xy[:, 0], xy[:, 1])))


def check_leakage(splits: Mapping[Split, Iterable[Example]], buffer_m: float = 0.0) -> None:
    """Make sure that no split shows what another split shows.

    Looks, independently of how the split was made, for the same picture, the same parcel as an answer, and
    ground nearer than the buffer.

    Args:
        splits: Chips of each split.
        buffer_m: Least ground between the chips of two splits, in metres.

    Raises:
        DataError: Two splits share something; the message names the first chips.
    """
    pictures: dict[bytes, tuple[str, str]] = {}
    parcels: dict[tuple[str, str], tuple[str, str]] = {}
    places: dict[str, list[tuple[str, Geometry]]] = defaultdict(list)
    pixels: dict[str, list[tuple[str, str, Geometry]]] = defaultdict(list)
    for split, examples in splits.items():
        for example in examples:
            here = (split, example.chip.id)
            for picture in example.chip.pictures:
                _claim(pictures, hashlib.sha256(picture.data).digest(), here, "the same picture")
            for sample in example.samples:
                for parcel in sample.provenance.get("parcels", ()):
                    _claim(parcels, (example.chip.scene, parcel), here, f"parcel {parcel}")
            if example.chip.georeference:
                places[split].append((example.chip.id, footprint(example.chip.georeference)))
            elif "pixel_window" in example.chip.meta:
                column, row, width, height = example.chip.meta["pixel_window"]
                outline = shapely.box(column, row, column + width, row + height)
                pixels[example.chip.scene].append((split, example.chip.id, outline))
    _check_ground(places, buffer_m)
    for chips in pixels.values():
        by_split: dict[str, list[tuple[str, Geometry]]] = defaultdict(list)
        for owner, name, outline in chips:
            by_split[owner].append((name, outline))
        _check_ground(by_split, 0.0)


def _claim(owners: dict[K, tuple[str, str]], key: K, here: tuple[str, str], what: str) -> None:
    there = owners.setdefault(key, here)
    if there[0] != here[0]:
        raise _leak(what, there, here)


def _check_ground(places: Mapping[str, Sequence[tuple[str, Geometry]]], buffer_m: float) -> None:
    """Refuse chips of two splits that overlap, or lie nearer than the buffer."""
    for first, second in combinations(places, 2):
        ours, theirs = [outline for _, outline in places[first]], [outline for _, outline in places[second]]
        reach = _degrees(buffer_m, ours) if buffer_m else 0.0
        pairs = shapely.STRtree(ours).query(theirs, predicate="dwithin", distance=reach)
        for here, there in pairs.T.tolist():
            near = _distance_m(ours[there], theirs[here]) < buffer_m * (1 - TOLERANCE) if buffer_m else False
            if near or _overlap(ours[there], theirs[here]):
                what = "ground within the buffer" if near else "the same ground"
                raise _leak(what, (first, places[first][there][0]), (second, places[second][here][0]))


def _overlap(one: Geometry, other: Geometry) -> bool:
    """Do two outlines share more than rounding?"""
    return bool(shapely.intersection(one, other).area > TOLERANCE * min(one.area, other.area))


def _degrees(metres: float, outlines: Sequence[Geometry]) -> float:
    """A bound in degrees of a distance in metres, at the latitude farthest from the equator."""
    latitude = np.abs(shapely.bounds(outlines)[:, [1, 3]]).max()
    return float(metres / (_DEGREE_M * max(np.cos(np.radians(latitude)), 0.01)))


def _distance_m(one: Geometry, other: Geometry) -> float:
    """Distance of two outlines in degrees, in metres on a plane that touches the earth there."""
    stretch = np.array([np.cos(np.radians(one.centroid.y)), 1.0]) * _DEGREE_M
    return float(
        shapely.distance(*(shapely.transform(shape, lambda xy: xy * stretch) for shape in (one, other)))
    )


def _leak(what: str, there: tuple[str, str], here: tuple[str, str]) -> DataError:
    return DataError(
        f"{there[0]} and {here[0]} share {what}: chips {there[1]} and {here[1]}",
        "split by block with a buffer, or give scenes of one place the same `group`",
    )

"""Scenes from a folder of the user's own imagery and parcels, or of simulated landscapes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from shapely.geometry import shape

from agrilape.errors import AgrilapeError, DataError
from agrilape.geo.georeference import Georeference
from agrilape.geo.timewindow import TimeWindow
from agrilape.sources.crops import read_crop_table
from agrilape.sources.parcels import ParcelTable, read_parcels
from agrilape.sources.pictures import PictureFrame, picture_size
from agrilape.sources.raster import RasterFile, inspect_raster
from agrilape.sources.scene import Scene
from agrilape.sources.series import Series, assemble, season

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg"}
SAME_PLACE = 0.5  # share of the smaller image's ground that two images of one scene have in common


@dataclass(frozen=True)
class Problem:
    """Something that was left out, and why.

    Attributes:
        path: The file or folder.
        reason: What is wrong, and what to do about it.
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class Opened:
    """What a folder holds.

    Attributes:
        scenes: Scenes that can be used, in order of path.
        problems: Files and scenes that were left out.
        notes: What was done on the way: reprojected, repaired.
    """

    scenes: tuple[Scene, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def open_folder(path: Path, images: str = "**/*.tif", parcels: str = "**/*.gpkg") -> Opened:
    """Find the scenes below a folder. One bad file never sinks the others.

    Images of one folder that show the same ground are one scene: several dates, bands or resolutions. Parcels
    beside the images are theirs; images without any in their folder take those of the whole tree that overlap
    them. A `scene.json` beside the images may say `window` (`{"start", "end"}`), `fully_labelled`, `group`
    and other facts, and a `crops.csv` (code,name) what crop codes mean. Hidden files are passed over.

    Args:
        path: The folder.
        images: Glob of GeoTIFFs, or of PNG and JPEG pictures, which have no place on the map.
        parcels: Glob of parcel vectors.

    Raises:
        DataError: The folder does not exist, or no file in it matches `images`.
    """
    if not path.is_dir():
        raise DataError(f"{path} is not a folder", "give the folder that holds the images")
    found = _visible(path, images)
    if not found:
        raise DataError(
            f"no file in {path} matches {images}", "correct the folder or the pattern, such as **/*.tif"
        )
    vectors = _visible(path, parcels)
    scenes: list[Scene] = []
    problems: list[Problem] = []
    notes: list[str] = []
    for folder in sorted({image.parent for image in found}):
        inside = [image for image in found if image.parent == folder]
        near = [vector for vector in vectors if vector.parent == folder]
        for files in _places(inside, problems):
            try:
                opened = _open_scene(path, files, near or vectors, problems, notes)
            except AgrilapeError as error:
                problems.append(Problem(files[0].path if len(files) == 1 else folder, str(error)))
            else:
                scenes.append(opened)
        scenes += _pictures(path, inside, problems)
    return Opened(tuple(scenes), tuple(problems), tuple(dict.fromkeys(notes)))


def read_raster(path: Path, crs: str | None = None, pixels_only: bool = False) -> Scene:
    """One image file as a scene without labels; a stack of dates gives one frame per date.

    Args:
        path: A GeoTIFF, or a PNG or JPEG picture.
        crs: Overrides the file's coordinate reference system.
        pixels_only: Accept a file without a coordinate reference system.

    Raises:
        DataError: The file cannot be read, has no valid pixel, or has no CRS and `pixels_only` is not set.
    """
    if path.suffix.lower() in PICTURE_SUFFIXES:
        if not pixels_only:
            raise DataError(f"{path} has no place on the map", "ask for pixels only, or give a GeoTIFF")
        return picture_scene(path, path.stem, path.parent.name)
    return series_scene(path.stem, path.parent.name, assemble([inspect_raster(path, crs, pixels_only)]))


def series_scene(name: str, source: str, series: Series, **facts: Any) -> Scene:
    """A scene of a series; `facts` are further fields of `Scene`, `meta` among them.

    Meta gains what holds for any series: `gsd_m`, `stretch`, `longitude` and `latitude` of the centre,
    `group` (what a split keeps together: the scene itself unless given), and `empty_dates` left out.
    """
    georeference = series.grid.georeference
    meta: dict[str, Any] = {
        "group": name,
        "stretch": {role: list(limits) for role, limits in series.frames[0].stretch.items()},
    }
    if georeference is not None:
        longitude, latitude = georeference.centre_wgs84()
        meta |= {"gsd_m": georeference.gsd_m, "longitude": longitude, "latitude": latitude}
    if series.empty:
        meta["empty_dates"] = [str(day) for day in series.empty]
    facts = {"window": season([frame.acquired for frame in series.frames])} | facts
    facts["meta"] = meta | dict(facts.get("meta", {}))
    return Scene(
        id=name, source=source, frames=series.frames, width=series.grid.width, height=series.grid.height,
        georeference=georeference, **facts,
    )  # fmt: skip


def picture_scene(path: Path, name: str, source: str, **facts: Any) -> Scene:
    """A scene of a plain picture, which has pixels only.

    Raises:
        DataError: The file is not a readable picture.
    """
    width, height = picture_size(str(path))
    return Scene(
        id=name, source=source, frames=(PictureFrame(str(path)),), width=width, height=height, **facts
    )


def _visible(folder: Path, pattern: str) -> list[Path]:
    """Files that match; nothing hidden, since half-written scenes and caches are."""

    def visible(path: Path) -> bool:
        return not any(part.startswith(".") for part in path.relative_to(folder).parts)

    return sorted(path for path in folder.glob(pattern) if path.is_file() and visible(path))


def _places(images: Sequence[Path], problems: list[Problem]) -> list[list[RasterFile]]:
    """Images of one folder grouped by the ground that they show; undated whole images stand alone."""
    places: list[list[RasterFile]] = []
    for path in images:
        if path.suffix.lower() in PICTURE_SUFFIXES:
            continue
        try:
            file = inspect_raster(path)
        except DataError as error:
            problems.append(Problem(path, str(error)))
            continue
        home = next((place for place in places if _belongs(file, place)), None)
        if home is None:
            places.append([file])
        else:
            home.append(file)
    return places


def _belongs(file: RasterFile, place: Sequence[RasterFile]) -> bool:
    """Does a file show the ground of a place, as another date or other bands of it?"""
    undated = [other for other in place if _undated(other)]
    if _undated(file) != bool(undated):
        return False
    if undated and any(set(file.layers) & set(other.layers) for other in undated):
        return False
    return _common_ground(file, place[0]) >= SAME_PLACE


def _undated(file: RasterFile) -> bool:
    return file.acquired is None and not file.dated


def _common_ground(one: RasterFile, other: RasterFile) -> float:
    """Shared ground of two images as a share of the smaller one."""
    here, there = one.grid.georeference, other.grid.georeference
    if here is None or there is None:
        return 0.0
    first, second = (shape(place.to_geojson(place.extent)) for place in (here, there))
    return float(first.intersection(second).area / min(first.area, second.area))


def _open_scene(
    root: Path,
    files: Sequence[RasterFile],
    vectors: Sequence[Path],
    problems: list[Problem],
    notes: list[str],
) -> Scene:
    folder = files[0].path.parent
    name = folder.relative_to(root).as_posix()
    if name == "." or len(files) == 1:
        name = files[0].path.relative_to(root).with_suffix("").as_posix()
    facts = _facts(folder)
    series = assemble(files)
    problems += [Problem(folder, f"{day}: no valid pixel, date left out") for day in series.empty]
    scene = series_scene(name, root.name, series, meta=facts)
    if "window" in facts:
        scene = replace(scene, window=_window(facts["window"], folder))
    if not vectors or scene.georeference is None:
        return scene
    table = _parcels(vectors, scene.georeference, folder)
    notes += table.notes
    return replace(scene, parcels=table.parcels, fully_labelled=bool(facts.get("fully_labelled", True)))


def _window(limits: Any, folder: Path) -> TimeWindow:
    try:
        return TimeWindow(date.fromisoformat(limits["start"]), date.fromisoformat(limits["end"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder / 'scene.json'}: window: {error}",
            'write {"window": {"start": "2021-02-01", "end": "2021-10-31"}}',
        ) from error


def _parcels(vectors: Sequence[Path], georeference: Georeference, folder: Path) -> ParcelTable:
    """The parcels of all files that overlap the image.

    Raises:
        DataError: None of them can be used; the first one's error.
    """
    codes = folder / "crops.csv"
    crops = read_crop_table(codes) if codes.is_file() else None
    tables: list[ParcelTable] = []
    first: DataError | None = None
    for vector in vectors:
        try:
            tables.append(read_parcels(vector, georeference, crops=crops))
        except DataError as error:
            first = first or error
    if not tables and first is not None:
        raise first
    return ParcelTable(
        tuple(parcel for table in tables for parcel in table.parcels),
        tuple(note for table in tables for note in table.notes),
    )


def _facts(folder: Path) -> dict[str, Any]:
    """The folder's `scene.json`, if there is one.

    Raises:
        DataError: It is not a JSON object.
    """
    path = folder / "scene.json"
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}", "correct or remove it") from error
    if not isinstance(facts, dict):
        raise DataError(f"{path} is not a JSON object", 'write something like {"fully_labelled": false}')
    return facts


def _pictures(root: Path, images: Sequence[Path], problems: list[Problem]) -> list[Scene]:
    scenes = []
    for path in images:
        if path.suffix.lower() in PICTURE_SUFFIXES:
            try:
                name = path.relative_to(root).with_suffix("").as_posix()
                scenes.append(picture_scene(path, name, root.name, meta={"group": name}))
            except DataError as error:
                problems.append(Problem(path, str(error)))
    return scenes

"""Scenes from a folder of the user's own imagery and parcels, or of simulated landscapes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agrilape.errors import AgrilapeError, DataError
from agrilape.io.pictures import picture_size
from agrilape.skips import attempt
from agrilape.sources.discovery import PICTURE_SUFFIXES, find_files, labels_below, listed, passed_over
from agrilape.sources.grouping import Problem, group_places, scene_folder
from agrilape.sources.image_table import ImageTable, read_image_table
from agrilape.sources.labels import PictureLabels, is_parcels, label_scene
from agrilape.sources.layers import RasterFile
from agrilape.sources.masks import is_mask
from agrilape.sources.picture_frame import PictureFrame
from agrilape.sources.raster import inspect_raster
from agrilape.sources.scene import Scene
from agrilape.sources.scene_json import SceneMetadata, read_scene_metadata
from agrilape.sources.series import Series, assemble, season
from agrilape.sources.vectors import is_plain_parquet

PARCELS = "**/*.gpkg"
"""Default glob of parcel vectors; where it finds none, other vector files are taken."""


@dataclass(frozen=True)
class FolderContents:
    """What a folder holds.

    Attributes:
        scenes: Scenes that can be used, in order of path.
        problems: Files and scenes that were skipped.
        notes: What was done on the way: reprojected, repaired.
    """

    scenes: tuple[Scene, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def open_folder(
    path: Path, images: str = "**/*.tif", parcels: str = PARCELS, exhaustively_labelled: bool | None = None
) -> FolderContents:
    """Find the scenes below a folder. One bad file never sinks the others.

    Images of one folder that show the same ground are one scene: several dates, bands or resolutions. Labels
    come with them:

    - parcel vectors beside the images, else those of the whole tree that overlap them; the layers (or files)
      `stress_zones` and `landcover` become zones;
    - `labels.tif`, a crop code for every pixel; for a picture `<name>_labels.png`, `outlines.csv` or
      `boxes.csv`;
    - `observations.csv` (or .geojson, .gpkg, .parquet): points with growth stages, sowing, harvest, crops.

    A `scene.json` says how to read the images and what is known of them (`scene_json.SceneMetadata`),
    `metadata.csv` the same of each image by itself, `crops.csv` (code,name) what crop codes mean; they hold
    for all folders below theirs, as `observations` do. Hidden files are passed over.

    Args:
        path: The folder.
        images: Glob of GeoTIFFs (or JPEG 2000), NetCDF files, Zarr stores or STAC items and collections
            (`**/*.json`), or of PNG and JPEG pictures, which have no place on the map.
        parcels: Glob of parcel vectors.
        exhaustively_labelled: Is every field labelled, where no `scene.json` says it?

    Raises:
        DataError: The folder does not exist, or no file in it matches `images`.
    """
    scenes: list[Scene] = []
    problems: list[Problem] = []
    notes: list[str] = []
    for group in find_image_folders(path, images, parcels):
        for found in open_image_folder(replace(group, exhaustively_labelled=exhaustively_labelled)):
            match found:
                case Scene():
                    scenes.append(found)
                case Problem():
                    problems.append(found)
                case str():
                    notes.append(found)
    return FolderContents(tuple(scenes), tuple(problems), tuple(dict.fromkeys(notes)))


@dataclass(frozen=True)
class ImageFolder:
    """Images of one folder, which are opened together.

    Attributes:
        root: Folder of the source.
        folder: Folder of the images.
        images: The images.
        vectors: Parcel files that may belong to them.
        notes: What is to be said of the whole source; the first of its folders has them.
        exhaustively_labelled: Is every field labelled, where no `scene.json` says it?
    """

    root: Path
    folder: Path
    images: tuple[Path, ...]
    vectors: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    exhaustively_labelled: bool | None = None


def find_image_folders(path: Path, images: str = "**/*.tif", parcels: str = PARCELS) -> list[ImageFolder]:
    """What `open_folder` opens, one folder after the other; for many, each may be opened by itself.

    Raises:
        DataError: The folder does not exist, or no file in it matches `images`.
    """
    if not path.is_dir():
        raise DataError(f"{path} is not a folder", "give the folder that holds the images")
    found = [image for image in find_files(path, images) if not is_mask(image)]
    others = [image for image in passed_over(path, found) if not is_mask(image)]
    if not found:
        there = f"; there are {listed(others)}" if others else ""
        raise DataError(
            f"no file in {path} matches {images}{there}",
            "correct the folder or the pattern (`images`), such as **/*.tif",
        )
    vectors, said = _vectors(path, parcels)
    inside: dict[Path, list[Path]] = defaultdict(list)
    for image in found:
        inside[scene_folder(image)].append(image)
    beside: dict[Path, list[Path]] = defaultdict(list)
    for vector in vectors:
        beside[vector.parent].append(vector)
    folders = [
        ImageFolder(path, folder, tuple(inside[folder]), tuple(beside.get(folder, vectors)))
        for folder in sorted(inside)
    ]
    if others:
        said.append(f"{listed(others)} were passed over: they do not match {images}")
    folders[0] = replace(folders[0], notes=tuple(said))
    return folders


def _vectors(path: Path, pattern: str) -> tuple[tuple[Path, ...], list[str]]:
    """The parcel files of a folder, and notes on those that were looked for or passed over in vain.

    Where the default pattern finds none, vector files of the other kinds are taken.
    """
    found = [vector for vector in find_files(path, pattern) if is_parcels(vector)]
    others = [
        vector
        for vector in labels_below(path)
        if vector not in found and is_parcels(vector) and not is_plain_parquet(vector)
    ]
    if not found and pattern == PARCELS and others:
        return tuple(others), [f"parcels are read from {listed(others)}: there is no GeoPackage"]
    notes = []
    if not found and (pattern != PARCELS or others):
        notes.append(f"no file matches parcels: {pattern}")
    if others:
        notes.append(f"{listed(others)} were passed over: they do not match parcels: {pattern}")
    return tuple(found), notes


def open_image_folder(group: ImageFolder) -> Iterator[Scene | Problem | str]:
    """The scenes of one folder one by one, what was skipped, and notes on what was done."""
    yield from group.notes
    facts = attempt("reading what is known of", group.folder, read_scene_metadata, group.root, group.folder)
    if isinstance(facts, AgrilapeError):
        yield Problem(group.folder, str(facts))
        return
    if facts.exhaustively_labelled is None:
        facts = facts.model_copy(update={"exhaustively_labelled": group.exhaustively_labelled})
    table = attempt(
        "reading what is known of the images of", group.folder, read_image_table, group.root, group.folder
    )
    if isinstance(table, AgrilapeError):
        yield Problem(group.folder, str(table))
        return
    yield from table.notes
    yield from _on_map(group, facts, table)
    yield from _pictures(group, facts, table)


def read_raster(
    path: Path, crs: str | None = None, pixels_only: bool = False, sensor: str | None = None
) -> Scene:
    """One image file as a scene without labels; a stack of dates gives one frame per date.

    A `scene.json` beside it says how to read it; what is given here goes before that.

    Args:
        path: A GeoTIFF, or a PNG or JPEG picture.
        crs: Coordinate reference system of a file that states none.
        pixels_only: Accept a file without a coordinate reference system.
        sensor: Name of the sensor, which tells what names of bands mean.

    Raises:
        DataError: The file cannot be read, has no valid pixel, or has no CRS and `pixels_only` is not set.
    """
    if path.suffix.lower() in PICTURE_SUFFIXES:
        if not pixels_only:
            raise DataError(f"{path} has no place on the map", "ask for pixels only, or give a GeoTIFF")
        return picture_scene(path, path.stem, path.parent.name)
    given = {"crs": crs, "pixels_only": pixels_only or None, "sensor": sensor}
    given = {key: value for key, value in given.items() if value is not None}
    facts = read_scene_metadata(path.parent, path.parent).model_copy(update=given)
    series = assemble([inspect_raster(path, facts)])
    known: dict[str, Any] = {} if facts.window is None else {"window": facts.window}
    known["meta"] = facts.meta | ({} if sensor is None else {"sensor": sensor})
    return series_scene(path.stem, path.parent.name, series, **known)


def series_scene(name: str, source: str, series: Series, **facts: Any) -> Scene:
    """A scene of a series; `facts` are further fields of `Scene`, `meta` among them.

    Meta gains what holds for any series: `gsd_m`, `stretch`, `longitude` and `latitude` of the centre,
    `group` (what a split keeps together: the scene itself unless given), `notes` on what was assumed, and
    `empty_dates` skipped.
    """
    georeference = series.grid.georeference
    meta: dict[str, Any] = {
        "group": name,
        "stretch": {role: list(limits) for role, limits in series.frames[0].stretch.items()},
    }
    if georeference is not None:
        longitude, latitude = georeference.centre_wgs84()
        meta |= {"gsd_m": georeference.gsd_m, "longitude": longitude, "latitude": latitude}
    if series.notes:
        meta["notes"] = list(series.notes)
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
    width, height = picture_size(path)
    return Scene(
        id=name, source=source, frames=(PictureFrame(str(path)),), width=width, height=height, **facts
    )


def _on_map(group: ImageFolder, facts: SceneMetadata, table: ImageTable) -> Iterator[Scene | Problem | str]:
    """The scenes of one folder's images other than plain pictures."""
    problems: list[Problem] = []
    plain = [image for image in group.images if image.suffix.lower() not in PICTURE_SUFFIXES]
    places = group_places(
        table.in_order(plain), facts, lambda path, reason: problems.append(Problem(path, reason)), group.root,
        lambda image: table.facts_of(image, facts),
    )  # fmt: skip
    yield from problems
    for files in places:
        place = files[0].path if len(files) == 1 else group.folder
        opened = attempt(
            "opening", place, _open_scene, group, _name(group, files, places), files, facts, table
        )
        if isinstance(opened, AgrilapeError):
            yield Problem(place, str(opened))
            continue
        scene, notes = opened
        yield scene
        yield from notes
        for day in scene.meta.get("empty_dates", ()):
            yield Problem(group.folder, f"{day}: no valid pixel, date skipped")


def _open_scene(
    group: ImageFolder, name: str, files: Sequence[RasterFile], facts: SceneMetadata, table: ImageTable
) -> tuple[Scene, list[str]]:
    facts = table.facts_of(files[0].path, facts)
    series = assemble(files, facts.clear)
    scene = series_scene(name, group.root.name, series, label=facts.label, meta=facts.meta)
    if facts.window is not None:
        scene = replace(scene, window=facts.window)
    notes = list(series.notes)
    if scene.georeference is None:
        return scene, [*notes, f"{name}: no place on the map, pixels only"]
    scene, said = label_scene(scene, group.root, group.folder, group.vectors, facts)
    return scene, notes + said


def _name(group: ImageFolder, files: Sequence[RasterFile], places: Sequence[object]) -> str:
    """A scene's name: its folder's, or its first file's if that is the only one or other scenes lie there."""
    if group.folder == group.root or len(places) > 1 or len({file.path for file in files}) == 1:
        return files[0].path.relative_to(group.root).with_suffix("").as_posix()
    return group.folder.relative_to(group.root).as_posix()


def _pictures(group: ImageFolder, facts: SceneMetadata, table: ImageTable) -> Iterator[Scene | Problem | str]:
    pictures = [path for path in group.images if path.suffix.lower() in PICTURE_SUFFIXES]
    if not pictures:
        return
    labels = attempt(
        "reading the labels of the pictures of", group.folder, PictureLabels.beside, group.root, group.folder
    )
    if isinstance(labels, AgrilapeError):
        yield Problem(group.folder, str(labels))
        return
    count = 0
    for path in table.in_order(pictures):
        opened = attempt("opening", path, _open_picture, group, path, facts, table, labels)
        if isinstance(opened, AgrilapeError):
            yield Problem(path, str(opened))
            continue
        scene, notes = opened
        yield scene
        yield from notes
        count += 1
    if count:
        yield f"{count} pictures have no place on the map: pixels only"


def _open_picture(
    group: ImageFolder, path: Path, facts: SceneMetadata, table: ImageTable, labels: PictureLabels
) -> tuple[Scene, list[str]]:
    facts = table.facts_of(path, facts)
    name = path.relative_to(group.root).with_suffix("").as_posix()
    meta = {"group": name} | facts.meta
    scene = picture_scene(path, name, group.root.name, label=facts.label, meta=meta)
    return labels.label(scene, path, facts)

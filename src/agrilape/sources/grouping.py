"""The images of a folder, grouped by the ground that they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from shapely.geometry import shape

from agrilape.errors import DataError
from agrilape.sources.band_hints import sensor_of_names
from agrilape.sources.bands import BandHints, name_in_stem, unread_name, word_role
from agrilape.sources.cubes import inspect_cube
from agrilape.sources.discovery import CUBE_SUFFIXES, RASTER_SUFFIXES
from agrilape.sources.filename_dates import dates_in_names
from agrilape.sources.layers import RasterFile, SiblingFiles
from agrilape.sources.raster import inspect_raster
from agrilape.sources.scene_json import ReadOptions
from agrilape.sources.sensors import sensor_in
from agrilape.sources.stac import inspect_stac, is_stac

SAME_PLACE = 0.5  # share of the smaller image's ground that two images of one scene have in common
PRODUCT = (
    ".safe"  # suffix, in lower case, of a Sentinel-2 product, a folder of its own with one file per band
)


@dataclass(frozen=True)
class Problem:
    """Something that was skipped, and why.

    Attributes:
        path: The file or folder.
        reason: What is wrong, and what to do about it.
    """

    path: Path
    reason: str


def scene_folder(image: Path) -> Path:
    """The folder whose images may be one scene: of a Sentinel-2 product the one that holds the product."""
    product = next((folder for folder in image.parents if folder.suffix.lower() == PRODUCT), None)
    return image.parent if product is None else product.parent


def group_places(
    images: Sequence[Path],
    reading: ReadOptions,
    leave_out: Callable[[Path, str], None],
    root: Path | None = None,
    reading_of: Callable[[Path], ReadOptions] | None = None,
) -> list[list[RasterFile]]:
    """Images of one folder grouped by the ground that they show; undated whole images stand alone.

    Args:
        images: GeoTIFFs and the like, cubes, STAC files; of Sentinel-2 products only bands are read.
        reading: What the user states of them.
        leave_out: Told of files that cannot be used, and why.
        root: Folder that files named by STAC stay in; None for the file's own.
        reading_of: What the user states of one image, where that differs.
    """
    places: list[list[RasterFile]] = []
    layers, notes = _layers_to_read(images, reading)
    for path in images:
        if path not in layers:
            continue
        try:
            own = reading if reading_of is None else reading_of(path)
            files = _inspect(path, own, leave_out, root, layers[path])
        except DataError as error:
            leave_out(path, str(error))
            continue
        except Exception as error:  # whatever one file holds, the others are read
            leave_out(path, f"{path} cannot be read ({type(error).__name__}: {error})")
            continue
        for file in files:
            home = next((place for place in places if _belongs(file, place)), None)
            if home is None:
                places.append([file])
            else:
                home.append(file)
    if unread := [path for path in images if path not in layers]:
        notes.append(
            f"{len(unread)} files are previews, quality layers or heat and were not read: {_some(unread)}"
        )
    notes += _idle_names(reading, [file for place in places for file in place])
    if places and notes:
        first = places[0][0]
        places[0][0] = replace(first, notes=(*first.notes, *notes))
    return places


def _idle_names(reading: ReadOptions, files: Sequence[RasterFile]) -> list[str]:
    """A note on names of bands that the user states and no file has."""
    if not isinstance(reading.bands, Mapping):
        return []
    roles = {role for file in files for role in file.layers}
    roles |= {role for file in files for _, role, _ in file.dated}
    idle = [name for name, role in reading.bands.items() if (word_role(role) or role) not in roles]
    return [f"no band is called {', '.join(idle)}, as scene.json names some"] if idle else []


def _layers_to_read(
    images: Sequence[Path], reading: ReadOptions
) -> tuple[Mapping[Path, SiblingFiles], list[str]]:
    """The files to read, each with what the names of its folder tell of it, and notes on what was assumed.

    Left out are quality layers, heat, previews and the like, unless there is nothing else.
    """
    stated = reading.bands if isinstance(reading.bands, Mapping) else {}
    sensors = {path: sensor_in(reading.sensor, stated=True) or sensor_of_names(path) for path in images}
    names = {path: name_in_stem(path.stem, sensors[path], stated) for path in images}
    beside: dict[Path, SiblingFiles] = {}
    notes = []
    for folder in dict.fromkeys(path.parent for path in images):
        own = [path for path in images if path.parent == folder]
        bands = frozenset(name for path in own if (name := names[path]))
        days, note = dates_in_names(path.stem for path in own)
        beside |= {path: SiblingFiles(bands, days.get(path.stem)) for path in own}
        notes += [note] if note else []

    def shows_ground(path: Path) -> bool:
        if path.suffix.lower() not in RASTER_SUFFIXES:
            return True
        if _in_product(path) and not ("IMG_DATA" in path.parts and names[path]):
            return False
        return unread_name(path.stem, BandHints(sensors[path], stated, beside[path].bands)) is None

    ground = {path: beside[path] for path in images if shows_ground(path)}
    return ground or {path: beside[path] for path in images if not _in_product(path)}, notes


def _in_product(path: Path) -> bool:
    return any(folder.suffix.lower() == PRODUCT for folder in path.parents)


def _some(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths[:3]) + (", ..." if len(paths) > 3 else "")


def _inspect(
    path: Path,
    reading: ReadOptions,
    leave_out: Callable[[Path, str], None],
    root: Path | None,
    beside: SiblingFiles,
) -> Sequence[RasterFile]:
    if path.suffix.lower() in CUBE_SUFFIXES:
        return inspect_cube(path, reading)
    if path.suffix.lower() == ".json":
        return inspect_stac(path, leave_out, reading, root) if is_stac(path) else ()
    return (inspect_raster(path, reading, beside),)


def _belongs(file: RasterFile, place: Sequence[RasterFile]) -> bool:
    """Does a file show the ground of a place, as another date or other bands of it?"""
    undated = [other for other in place if _undated(other)]
    if _undated(file) != bool(undated):
        return False
    if undated and any(set(file.layers) & set(other.layers) for other in undated):
        return False
    return file.path == place[-1].path or _common_ground(file, place[0]) >= SAME_PLACE


def _undated(file: RasterFile) -> bool:
    return file.acquired is None and not file.dated


def _common_ground(one: RasterFile, other: RasterFile) -> float:
    """Shared ground of two images as a share of the smaller one."""
    here, there = one.grid.georeference, other.grid.georeference
    if here is None or there is None:
        return 0.0
    first, second = (shape(place.to_geojson(place.extent)) for place in (here, there))
    return float(first.intersection(second).area / min(first.area, second.area))

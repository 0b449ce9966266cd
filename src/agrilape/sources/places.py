"""The images of a folder, grouped by the ground that they show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shapely.geometry import shape

from agrilape.errors import DataError
from agrilape.sources.bands import role_in_name
from agrilape.sources.cubes import CUBE_SUFFIXES, inspect_cube
from agrilape.sources.facts import Reading
from agrilape.sources.layers import RasterFile
from agrilape.sources.raster import inspect_raster
from agrilape.sources.stac import inspect_stac, is_stac

SAME_PLACE = 0.5  # share of the smaller image's ground that two images of one scene have in common
PRODUCT = ".SAFE"  # suffix of a Sentinel-2 product, a folder of its own with one file per band


@dataclass(frozen=True)
class Problem:
    """Something that was left out, and why.

    Attributes:
        path: The file or folder.
        reason: What is wrong, and what to do about it.
    """

    path: Path
    reason: str


def home_of(image: Path) -> Path:
    """The folder whose images may be one scene: of a Sentinel-2 product the one that holds the product."""
    product = next((folder for folder in image.parents if folder.suffix == PRODUCT), None)
    return image.parent if product is None else product.parent


def group_places(
    images: Sequence[Path],
    reading: Reading,
    leave_out: Callable[[Path, str], None],
    root: Path | None = None,
) -> list[list[RasterFile]]:
    """Images of one folder grouped by the ground that they show; undated whole images stand alone.

    Args:
        images: GeoTIFFs and the like, cubes, STAC files; of Sentinel-2 products only bands are read.
        reading: What the user states of them.
        leave_out: Told of files that cannot be used, and why.
        root: Folder that files named by STAC stay in; None for the file's own.
    """
    places: list[list[RasterFile]] = []
    for path in images:
        try:
            files = _inspect(path, reading, leave_out, root)
        except DataError as error:
            leave_out(path, str(error))
            continue
        for file in files:
            home = next((place for place in places if _belongs(file, place)), None)
            if home is None:
                places.append([file])
            else:
                home.append(file)
    return places


def _inspect(
    path: Path, reading: Reading, leave_out: Callable[[Path, str], None], root: Path | None
) -> Sequence[RasterFile]:
    if path.suffix.lower() in CUBE_SUFFIXES:
        return inspect_cube(path, reading)
    if path.suffix.lower() == ".json":
        return inspect_stac(path, leave_out, reading, root) if is_stac(path) else ()
    if any(folder.suffix == PRODUCT for folder in path.parents) and not _is_product_band(path):
        return ()
    return (inspect_raster(path, reading),)


def _is_product_band(path: Path) -> bool:
    """Of the images in a Sentinel-2 product: neither a preview nor a quality layer but the classification."""
    return "IMG_DATA" in path.parts and role_in_name(path.stem) is not None


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


def visible(folder: Path, pattern: str) -> Iterator[Path]:
    """Files and Zarr stores that match; nothing hidden, since half-written scenes and caches are."""
    for path in sorted(folder.glob(pattern)):
        inside = path.relative_to(folder)
        usable = path.is_file() or path.suffix == ".zarr"
        if usable and not any(part.startswith(".") for part in inside.parts):
            yield path

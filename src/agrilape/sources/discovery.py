"""Files of a folder, found whatever the case of their suffixes: the one place that looks for them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg"}
CUBE_SUFFIXES = {".nc", ".nc4", ".zarr"}
RASTER_SUFFIXES = {
    ".tif",
    ".tiff",
    ".gtiff",
    ".jp2",
    ".j2k",
    ".img",
    ".vrt",
    ".bil",
    ".bsq",
    ".bip",
    ".hdf",
    ".h5",
}
IMAGE_SUFFIXES = RASTER_SUFFIXES | CUBE_SUFFIXES | PICTURE_SUFFIXES
# Spellings of one suffix: a pattern with one of them finds the others too.
_SAME = ((".tif", ".tiff"), (".jpg", ".jpeg"), (".jp2", ".j2k"), (".nc", ".nc4"))
LABEL_SUFFIXES = {".gpkg", ".geojson", ".shp", ".fgb", ".gdb", ".parquet", ".geoparquet", ".kml"}
_FOLDERS = {".zarr", ".gdb"}  # folders that are one file to people
_FEATURES = re.compile(rb'"type"\s*:\s*"FeatureCollection"')
_HEAD = 1 << 16  # bytes that say what a JSON file is
NAMED = 5  # of the files that were passed over


def find_files(folder: Path, pattern: str) -> Iterator[Path]:
    """Files, Zarr stores and geodatabases below a folder that match a glob, in order of their paths.

    The case of letters in the suffix does not matter, nor whether it is spelled `.tif` or `.tiff`, `.jpg` or
    `.jpeg`. Nothing hidden is found: half-written scenes and caches are.

    Args:
        folder: The folder.
        pattern: Such as `**/*.tif`.
    """
    found = {path for spelled in _spellings(pattern) for path in folder.glob(spelled)}
    for path in sorted(found):
        inside = path.relative_to(folder)
        usable = path.is_file() or (path.suffix.lower() in _FOLDERS and path.is_dir())
        if usable and not any(part.startswith(".") for part in inside.parts):
            yield path


def _spellings(pattern: str) -> Iterator[str]:
    """A glob for each spelling of a pattern's suffix, with a class of both cases for each letter."""
    suffix = PurePath(pattern).suffix
    if not suffix or any(sign in suffix for sign in "*?["):
        yield pattern
        return
    same = next((group for group in _SAME if suffix.lower() in group), (suffix,))
    for spelled in same:
        letters = (f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in spelled)
        yield pattern.removesuffix(suffix) + "".join(letters)


def one_spelling(name: str) -> str:
    """A file's name with one spelling of its suffix: `a.TIFF` as `a.tif`."""
    path = PurePath(name)
    suffix = path.suffix.lower()
    same = next((group for group in _SAME if suffix in group), (suffix,))
    return name.removesuffix(path.suffix) + same[0]


def passed_over(folder: Path, found: Iterable[Path]) -> list[Path]:
    """Image files below a folder that are not among those found, in order of their paths.

    What lies in a Zarr store or a product of many files belongs to that.
    """
    known = {path for path in found if path.suffix.lower() in IMAGE_SUFFIXES}
    left = []
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_closed(name)]
        files = (Path(here, name) for name in names if not name.startswith("."))
        left += [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES and path not in known]
    return sorted(left)


def labels_below(folder: Path) -> list[Path]:
    """Vector files below a folder, whatever they are of, in order of their paths.

    Of plain `.json`, which may be anything, those whose beginning says that they are GeoJSON are among them.
    """
    left: list[Path] = []
    for here, folders, names in os.walk(folder):
        shut = [name for name in folders if PurePath(name).suffix.lower() == ".gdb"]
        folders[:] = [name for name in folders if not _is_closed(name)]
        left += [Path(here, name) for name in (*names, *shut) if not name.startswith(".")]
    return sorted(path for path in left if path.suffix.lower() in LABEL_SUFFIXES or _is_geojson(path))


def _is_geojson(path: Path) -> bool:
    """Does a `.json` begin as features do, and not as the items of a STAC catalogue?"""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return bool(_FEATURES.search(head)) and b'"stac_' not in head


def _is_closed(folder: str) -> bool:
    return folder.startswith(".") or PurePath(folder).suffix.lower() in {".zarr", ".safe", ".gdb"}


def listed(paths: Iterable[Path]) -> str:
    """A number of files by suffix, with the first names: `3 files (2 .jp2, 1 .png: a.jp2, b.jp2, c.png)`."""
    names = [path.name for path in paths]
    kinds = Counter(PurePath(name).suffix.lower() for name in names)
    said = ", ".join(f"{count} {suffix}" for suffix, count in kinds.most_common())
    more = ", ..." if len(names) > NAMED else ""
    return f"{len(names)} file{'s' * (len(names) > 1)} ({said}: {', '.join(names[:NAMED])}{more})"

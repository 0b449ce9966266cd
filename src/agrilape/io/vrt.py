"""Virtual rasters (VRT): plain mosaics and stacks of images within their folder, and nothing else.

A VRT may name any file or address as a source, hold formulas, or be computed by a warp. What `gdalbuildvrt`
and `gdal_translate -of VRT` write needs none of that, so only the elements and attributes that they use are
let through.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

from agrilape.errors import DataError
from agrilape.files import path_inside

MOST_BYTES = 64 << 20
DEEPEST = 3  # virtual rasters of virtual rasters
_HEADS = (
    b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\x89PNG", b"\xff\xd8\xff", b"\0\0\0\x0cjP  ",
    b"\xff\x4f\xff\x51", b"EHFA_HEADER_TAG",
)  # fmt: skip
"""How sources begin: formats that GDAL cannot take for another one, whose driver would not be asked for."""
_ELEMENTS = frozenset(
    """
    VRTDataset SRS GeoTransform GCPList GCP Metadata MDI VRTRasterBand ColorInterp ColorTable Entry
    NoDataValue HideNoDataValue Description UnitType Offset Scale CategoryNames Category Histograms
    HistItem HistMin HistMax BucketCount IncludeOutOfRange Approximate HistCounts MaskBand SimpleSource
    ComplexSource AveragedSource KernelFilteredSource NoDataFromMaskSource MaskValueThreshold
    RemappedValue SourceFilename SourceBand SourceProperties SrcRect DstRect NODATA ScaleOffset
    ScaleRatio LUT ColorTableComponent UseMaskBand Exponent SrcMin SrcMax DstMin DstMax Clamp Kernel
    Size Coefs OverviewList Overview BlockXSize BlockYSize
    """.split()  # noqa: SIM905
)
_ATTRIBUTES = frozenset(
    """
    rasterXSize rasterYSize dataType band blockXSize blockYSize relativeToVRT shared resampling RasterXSize
    RasterYSize DataType BlockXSize BlockYSize xOff yOff xSize ySize c1 c2 c3 c4 Projection
    dataAxisToSRSAxisMapping coordinateEpoch domain key Id Pixel Line X Y Z Info normalized
    """.split()  # noqa: SIM905
)


def is_vrt(head: bytes) -> bool:
    """Does a file that begins so hold a virtual raster?"""
    return b"<VRTDataset" in head[:4096] and head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def check(path: Path, try_source: Callable[[Path], None]) -> None:
    """Make sure that a virtual raster shows images of its own folder and does nothing else.

    Args:
        path: The file.
        try_source: Opens a source with the listed drivers and closes it, or raises.

    Raises:
        DataError: It does more, or a source lies elsewhere or is no such image.
        OSError: The file or a source is missing.
    """
    _check(path, path.absolute().parent, try_source, DEEPEST)


def _check(path: Path, folder: Path, try_source: Callable[[Path], None], deep: int) -> None:
    if deep == 0:
        raise _refused(path, "names virtual rasters that name others, and so on")
    status = path.stat()
    for source in _sources(path, folder, status.st_mtime_ns, status.st_size):
        with source.open("rb") as file:
            head = file.read(4096)
        if is_vrt(head):
            _check(source, folder, try_source, deep - 1)
        elif head.startswith(_HEADS):
            changed = source.stat()
            _try_once(try_source, source, changed.st_mtime_ns, changed.st_size)
        else:
            raise _refused(path, f"has the source {source.name}, which is no GeoTIFF, JPEG 2000, PNG or JPEG")


_tried: set[tuple[Path, int, int]] = set()


def _try_once(try_source: Callable[[Path], None], source: Path, changed: int, size: int) -> None:
    """A mosaic of thousands is opened again and again: what was an image is one still."""
    if (source, changed, size) not in _tried:
        try_source(source)
        _tried.add((source, changed, size))


@lru_cache(maxsize=64)
def _sources(path: Path, folder: Path, _changed: int, size: int) -> tuple[Path, ...]:
    """The files that a virtual raster names, each within the folder."""
    if size > MOST_BYTES:
        raise _refused(path, f"has more than {MOST_BYTES >> 20} MB")
    text = path.read_bytes().removeprefix(b"\xef\xbb\xbf").strip()
    if b"<!" in text or text.rfind(b"<?") > 0:
        raise _refused(path, "holds comments or declarations, where another file's name could hide")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  # nothing is declared that expands
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise _refused(path, f"is not readable: {error}") from error
    sources: dict[Path, None] = {}
    for element in root.iter():
        odd = [*({element.tag} - _ELEMENTS), *(set(element.attrib) - _ATTRIBUTES)]
        if odd:
            raise _refused(path, f"holds {sorted(odd)[0]}, which is more than a mosaic or a stack of images")
        if element.tag == "SourceFilename":
            sources[_source(path, folder, element)] = None
    return tuple(sources)


def _source(path: Path, folder: Path, element: ElementTree.Element) -> Path:
    name = element.text or ""
    if name.startswith("/vsi") or "://" in name:
        raise _refused(path, f"names {name}, which is not a file of this machine")
    if Path(name).is_absolute():
        try:
            name = os.path.relpath(name, folder)
        except ValueError as error:
            raise _refused(path, f"names {name!r}") from error
        return path_inside(folder, name, f"{path} names a source that")
    if element.get("relativeToVRT") != "1":
        raise _refused(path, f"names {name} relative to some other folder (relativeToVRT is not 1)")
    beside = path.absolute().parent.relative_to(folder)
    return path_inside(folder, (beside / name).as_posix(), f"{path} names a source that")


def _refused(path: Path, what: str) -> DataError:
    return DataError(
        f"{path} is a virtual raster (VRT) that {what}",
        "make an image of it: gdal_translate IN.vrt image.tif; or build it beside its images: gdalbuildvrt",
    )

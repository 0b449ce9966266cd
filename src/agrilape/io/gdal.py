"""The one place that opens rasters and vectors with GDAL.

GDAL goes by what a file holds, not by its suffix: a `.tif` may be a request to a server, or a virtual raster
that shows any other file as pixels. So only listed drivers open files, virtual rasters stay within their
folder (`vrt`), views of GeoPackages are not asked (`geopackage`), and nothing comes over a network unless
that was allowed (`remote`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyogrio
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader, MemoryFile

from agrilape.errors import DataError
from agrilape.io import geopackage, vrt
from agrilape.io.remote import check_remote, is_remote

RASTER_DRIVERS = {
    "GTiff": "GeoTIFF",
    "JP2OpenJPEG": "JPEG 2000",
    "PNG": "PNG",
    "JPEG": "JPEG",
    "BMP": "BMP",
    "GIF": "GIF",
    "WEBP": "WebP",
    "HFA": "Erdas Imagine",
    "ENVI": "ENVI",
    "EHdr": "Esri .hdr",
    "AAIGrid": "Arc/Info ASCII grid",
}
"""GDAL's drivers that open rasters, and what people call the formats. Besides them `VRT`, see `vrt`."""

VECTOR_FORMATS = {
    "gpkg": "GeoPackage",
    "json": "GeoJSON",
    "shp": "shapefile",
    "fgb": "FlatGeobuf",
    "gdb": "file geodatabase",
    "kml": "KML",
    "gpx": "GPX",
}
"""What vector files are opened: a name for what `vector_format` finds, and what people call it."""

_HEAD = 1 << 16  # bytes that say what a file is
# Of pyogrio's GDAL alone: LIBKML would fetch the styles that a file names.
_VECTOR_OPTIONS = {"LIBKML_EXTERNAL_STYLE": "NO", "OGR_GEOJSON_MAX_OBJ_SIZE": "200"}


def open_raster(path: Path | str) -> Any:
    """An image file opened for reading, as `rasterio.open` opens it; use it in a `with` statement.

    Args:
        path: A file of one of `RASTER_DRIVERS`, or a virtual raster (VRT) whose sources are such files
            within its folder. With `--allow-remote` also an address.

    Raises:
        DataError: The file is of another format, leads out of its folder, or lies on a network.
        OSError: It is missing.
        rasterio.errors.RasterioError: It cannot be read.
    """
    if is_remote(path):
        return _inside_its_folder(_open(check_remote(path), path), None)
    file = Path(path)
    head = _head(file)
    if vrt.is_vrt(head):
        vrt.check(file, lambda source: _open(os.path.abspath(source), source).close())
        dataset = DatasetReader(os.path.abspath(file), driver=["VRT"])
        return _inside_its_folder(dataset, file.parent)
    if not head and not file.is_dir():
        raise DataError(f"{file} is not a readable image: it is empty", "copy it again from its origin")
    return _inside_its_folder(_open(str(file), file), file.parent)


@contextmanager
def open_raster_bytes(data: bytes) -> Iterator[Any]:
    """An image that is in memory, opened for reading.

    Raises:
        DataError, rasterio.errors.RasterioError: See `open_raster`; virtual rasters are refused.
    """
    with MemoryFile(data) as file, _inside_its_folder(_open(file.name, "the image"), None) as dataset:
        yield dataset


def _open(address: str, path: Path | str) -> Any:
    """A dataset of a listed driver."""
    try:
        with rasterio.Env():
            return DatasetReader(address, driver=list(RASTER_DRIVERS))
    except RasterioIOError as error:
        if "not recognized as being in a supported file format" not in str(error):
            raise
        formats = ", ".join(RASTER_DRIVERS.values())
        raise DataError(
            f"{path} is not a readable image: its content is of no format that is opened ({formats})",
            f"copy it again from its origin, or convert it: gdal_translate {Path(path).name} image.tif",
        ) from error


def _inside_its_folder(dataset: Any, folder: Path | None) -> Any:
    """The dataset, unless its metadata put its overviews into some other file.

    Raises:
        DataError: They do.
    """
    other = dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE")
    if other is None:
        return dataset
    name = dataset.name
    dataset.close()
    beside = other.removeprefix(":::BASE:::")
    plain = folder is not None and not is_remote(beside) and Path(beside).name == beside
    if plain and not vrt.is_vrt(_head(Path(folder or "", beside))):
        _open(str(Path(folder or "", beside)), beside).close()
        return DatasetReader(name, driver=["VRT", *RASTER_DRIVERS])
    raise DataError(
        f"{name} names {other} as its overviews",
        "remove that from its .aux.xml, or gdaladdo it anew",
    )


def _head(path: Path) -> bytes:
    if path.is_dir():
        return b""
    with path.open("rb") as file:
        return file.read(_HEAD)


def vector_format(path: Path) -> str:
    """What a vector file is by its content: a key of `VECTOR_FORMATS`.

    Raises:
        DataError: It is of none of these formats.
        OSError: It is missing.
    """
    if path.is_dir():
        if path.suffix.lower() == ".gdb" and (path / "a00000001.gdbtable").is_file():
            return "gdb"
        raise _unlisted(path)
    head = _head(path)
    if head.startswith(geopackage.MAGIC):
        if path.suffix.lower() == ".gpkg" or head[68:72] in geopackage.APPLICATIONS:
            return "gpkg"
    elif head.startswith(b"fgb\x03fgb"):
        return "fgb"
    elif head.startswith((9994).to_bytes(4, "big")) and path.suffix.lower() == ".shp":
        return "shp"
    elif head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\x1e")[:1] in {b"{", b"["}:
        if b"gdal_streamed_alg" not in head:  # a pipeline of GDAL's own commands, on whatever files it names
            return "json"
    elif (root := _root_element(path)) in {"kml", "gpx"}:
        return root
    raise _unlisted(path)


def _unlisted(path: Path) -> DataError:
    formats = ", ".join(VECTOR_FORMATS.values())
    return DataError(
        f"{path} is not a readable vector file: its content is of no format that is opened ({formats})",
        f"convert it: ogr2ogr fields.gpkg {path.name}",
    )


def _root_element(path: Path) -> str:
    """Name of the root element of an XML file; empty if it is none."""
    try:
        with path.open("rb") as file:
            _, root = next(ElementTree.iterparse(file, events=("start",)))  # noqa: S314  # only the first
    except (ElementTree.ParseError, StopIteration, ValueError, LookupError):
        return ""
    return str(root.tag).rpartition("}")[2].lower()


def vector_layers(path: Path) -> list[tuple[str, str | None]]:
    """Names of the layers of a vector file and their kinds of geometry (None: a table without).

    Views and virtual tables of a GeoPackage are no layers: they may take for ever to read.

    Raises:
        DataError: The file cannot be read, or is of another format than `VECTOR_FORMATS`.
        OSError: It is missing.
    """
    unsafe = geopackage.unsafe_layers(path) if _checked(path) == "gpkg" else frozenset()
    now = path.stat()
    return [found for found in _layers(path, now.st_mtime_ns, now.st_size) if found[0] not in unsafe]


@lru_cache(maxsize=64)
def _layers(path: Path, changed: int, size: int) -> tuple[tuple[str, str | None], ...]:
    """All layers, remembered until the file changes: of a GeoJSON GDAL reads every feature to say them."""
    with _reading(path):
        return tuple((str(name), kind and str(kind)) for name, kind in pyogrio.list_layers(path))


def read_vector_layer(path: Path, layer: str | None = None, **how: Any) -> Any:
    """A layer as a GeoDataFrame, or as a DataFrame if it has no geometry.

    Args:
        path: The file.
        layer: Its layer; None for the first.
        how: What `pyogrio.read_dataframe` takes: `bbox`, `columns`, `max_features`, `where` ...

    Raises:
        DataError: The file or the layer cannot be read, or is of another format than `VECTOR_FORMATS`.
        OSError: It is missing.
    """
    chosen = _layer(path, layer)
    with _reading(path):
        return pyogrio.read_dataframe(path, layer=chosen, **how)


def vector_info(path: Path, layer: str | None = None, **how: Any) -> dict[str, Any]:
    """What the header says of a layer, as `pyogrio.read_info`: `crs`, `fields`, `features` ...

    Raises:
        DataError, OSError: See `read_vector_layer`.
    """
    chosen = _layer(path, layer)
    with _reading(path):
        return dict(pyogrio.read_info(path, layer=chosen, **how))


def vector_bounds(path: Path, layer: str | None = None) -> NDArray[np.float64]:
    """West, south, east and north `[4, features]` of every feature of a layer, as `pyogrio.read_bounds`.

    Raises:
        DataError, OSError: See `read_vector_layer`.
    """
    chosen = _layer(path, layer)
    with _reading(path):
        edges: NDArray[np.float64] = pyogrio.read_bounds(path, layer=chosen)[1]
    return edges


def _checked(path: Path) -> str:
    """The format of a file that may be opened."""
    if is_remote(path):
        raise DataError(
            f"{path} is not a file of this machine", "download it first, and give the file's path"
        )
    return vector_format(path)


def _layer(path: Path, layer: str | None) -> str | None:
    """The layer to read: the first that is a true table, unless one is asked for."""
    if _checked(path) != "gpkg":
        return layer
    names = [name for name, _ in vector_layers(path)]
    if layer is not None and layer in geopackage.unsafe_layers(path):
        raise DataError(
            f"{path}: layer {layer} is a view, which may take for ever to read",
            f"make a table of it: ogr2ogr fields.gpkg {path.name} {layer}",
        )
    if not names:
        raise DataError(f"{path} has no layer that is a table", "export its layers again, not views of them")
    return layer or names[0]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise one kind of error for the many of pyogrio and what lies below it."""
    pyogrio.set_gdal_config_options(_VECTOR_OPTIONS)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "More than one layer found", UserWarning)
            yield
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # pyogrio, pyarrow and shapely raise many kinds for one cause: not such a file
        raise DataError(
            f"{path} is not a readable vector file: {error}", "export it again, as GeoPackage"
        ) from error

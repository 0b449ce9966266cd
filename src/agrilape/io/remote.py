"""Files over a network: none, unless that was allowed.

Without imports that are heavy or that start GDAL, which reads its settings when it starts.
"""

from __future__ import annotations

import os
from pathlib import Path

from agrilape.errors import DataError

ALLOW_REMOTE = "AGRILAPE_ALLOW_REMOTE"
"""Environment variable that allows files over a network, in this process and those that it starts."""

_SCHEMES = {"http": "/vsicurl/http://", "https": "/vsicurl/https://", "s3": "/vsis3/", "gs": "/vsigs/",
            "az": "/vsiaz/"}  # fmt: skip
_REMOTE_ROOTS = ("/vsicurl/", "/vsis3/", "/vsigs/", "/vsiaz/", "/vsiadls/", "/vsioss/", "/vsiswift/")
# Drivers that ask servers, run others' formulas or lead to other files, and so are not even registered in
# processes of the command line: the sources of a virtual raster open with whatever is registered.
_SKIPPED = (
    "DERIVED", "GTI", "WCS", "WMS", "WMTS", "PLMOSAIC", "PLSCENES", "EEDA", "EEDAI", "DAAS", "STACTA",
    "STACIT", "HTTP", "OGCAPI", "GDALG", "OGR_VRT", "WFS", "OAPIF", "CSW", "Elasticsearch", "Carto",
    "AmigoCloud", "NGW", "ADBC", "GPSBabel", "GeoRSS", "GML", "SQLite", "GNMFile", "GNMDatabase",
    "KMLSUPEROVERLAY", "ESRIC", "MRF",
)  # fmt: skip
_FENCE = "CPL_VSIL_CURL_ALLOWED_EXTENSIONS"


def is_remote(path: Path | str) -> bool:
    """Is it an address, or a path in one of GDAL's virtual file systems, and not a path of this machine?"""
    text = str(path)
    return text.startswith("/vsi") or ("://" in text and not text.startswith("file://"))


def remote_allowed() -> bool:
    """May files be read over a network in this process?"""
    return os.environ.get(ALLOW_REMOTE, "") not in {"", "0"}


def allow_remote() -> None:
    """Allow it in this process and those that it starts."""
    os.environ[ALLOW_REMOTE] = "1"
    os.environ.pop(_FENCE, None)


def keep_to_listed_drivers() -> None:
    """Let GDAL not even register drivers that ask servers, nor read over a network unless that is allowed.

    For processes of our own, before anything is opened; those that they start inherit it. It is a second
    fence: `gdal.open_raster` and the functions for vectors hold without it.
    """
    known = [name for name in os.environ.get("GDAL_SKIP", "").split(",") if name]
    os.environ["GDAL_SKIP"] = ",".join(dict.fromkeys([*known, *_SKIPPED]))
    if not remote_allowed():
        os.environ[_FENCE] = ".nothing-over-a-network"


def check_remote(path: Path | str) -> str:
    """The address of a remote file as GDAL wants it.

    Raises:
        DataError: Nothing remote is allowed, or it is of another kind of GDAL's virtual file systems.
    """
    text = str(path)
    scheme, _, rest = text.partition("://")
    known = text.startswith(_REMOTE_ROOTS) or scheme.lower() in _SCHEMES
    if not known:
        raise DataError(
            f"{text} is not a file of this machine", "unpack or download it first, and give the file's path"
        )
    if not remote_allowed():
        raise DataError(
            f"{text} lies on a network", "download it, or allow reading over the network with --allow-remote"
        )
    return text if text.startswith("/vsi") else _SCHEMES[scheme.lower()] + rest

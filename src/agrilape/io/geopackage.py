"""What of a GeoPackage may be asked: true tables, not views and virtual tables.

Those may never end, or read other files. It is found out through sqlite3 and the file's own list of tables,
before GDAL opens it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import lru_cache
from pathlib import Path

from agrilape.errors import DataError

MAGIC = b"SQLite format 3\x00"
APPLICATIONS = (b"GPKG", b"GP10", b"GP11")
"""What a GeoPackage's header names as its application."""
_OF_THE_FORMAT = ("gpkg_", "rtree_", "sqlite_")  # tables that GDAL asks whatever layer is read
_INDEXES = ("rtree", "fts3", "fts4", "fts5")  # modules of virtual tables that only index true ones


def unsafe_layers(path: Path) -> frozenset[str]:
    """Names of the views and virtual tables of a GeoPackage.

    Raises:
        DataError: It is no GeoPackage, or one of the tables that every GeoPackage has is none.
        OSError: The file is missing.
    """
    status = path.stat()
    return _unsafe(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _unsafe(path: Path, _changed: int, _size: int) -> frozenset[str]:
    found = _schema(path)
    if not any(name.lower() == "gpkg_contents" for _, name, _ in found):
        raise DataError(f"{path} is not a GeoPackage", "export it again, as GeoPackage")
    unsafe = frozenset(name for kind, name, sql in found if kind == "view" or _reaches_out(sql))
    named = sorted(name for name in unsafe if name.lower().startswith(_OF_THE_FORMAT))
    if named:
        raise DataError(f"{path}: {named[0]} is not a table", "export it again, as GeoPackage")
    return unsafe


def _schema(path: Path) -> list[tuple[str, str, str]]:
    """Kind, name and definition of each table and view."""
    ask = "SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE type IN ('table', 'view')"
    address = path.resolve().as_uri()
    try:
        for how in ("mode=ro", "mode=ro&immutable=1"):  # the second in folders that cannot be written
            try:
                with closing(sqlite3.connect(f"{address}?{how}", uri=True)) as file:
                    return [(str(kind), str(name), str(sql)) for kind, name, sql in file.execute(ask)]
            except sqlite3.OperationalError as error:
                reason: Exception = error
    except (sqlite3.Error, ValueError) as error:
        reason = error
    raise DataError(
        f"{path} is not a readable vector file: {reason}", "export it again, as GeoPackage"
    ) from reason


def _reaches_out(sql: str) -> bool:
    """Is a definition that of a virtual table other than an index?"""
    words = sql.lower().split()
    if words[:3] != ["create", "virtual", "table"]:
        return False
    module = sql.lower().rpartition(" using ")[2].strip() if " using " in sql.lower() else ""
    return not module.startswith(_INDEXES)

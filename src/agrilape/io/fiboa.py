"""What makes GeoJSON and GeoParquet fiboa 0.3: the schemas that features of a collection follow."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import geopandas
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SCHEMAS = (
    "https://vecorel.org/specification/v0.1.0/schema.yaml",
    "https://fiboa.org/specification/v0.3.0/schema.yaml",
)
_REQUIRED = ("id", "collection", "geometry")
_TYPES = {
    "metrics:area": pa.float32(),
    "metrics:perimeter": pa.float32(),
    "determination:datetime": pa.timestamp("ms", "UTC"),
}


def collection_metadata(collections: Iterable[str]) -> dict[str, Any]:
    """Members of a FeatureCollection, or of a Parquet header, that name the schemas of its collections.

    Args:
        collections: Values of the property `collection` of its features.
    """
    return {"schemas": {name: list(SCHEMAS) for name in dict.fromkeys(collections)}}


def write_geoparquet(table: geopandas.GeoDataFrame, path: Path) -> None:
    """Write features as GeoParquet with fiboa's header and column types.

    Args:
        table: Features, with the columns `id`, `collection` and `geometry`, none of them empty.
        path: The file.
    """
    table.to_parquet(path, index=False)
    written = pq.read_table(path)
    fields, columns = [], []
    for field, column in zip(written.schema, written.columns, strict=True):
        plain = pa.string() if pa.types.is_large_string(field.type) else field.type
        kind = _TYPES.get(field.name, plain)
        if kind == _TYPES["determination:datetime"] and pa.types.is_string(plain):
            column = pc.strptime(column, "%Y-%m-%dT%H:%M:%SZ", "ms")
        columns.append(column.cast(kind))
        fields.append(pa.field(field.name, kind, field.name not in _REQUIRED, field.metadata))
    header = json.dumps(collection_metadata(table["collection"])).encode()
    # Not what pandas says of its columns, which are no longer of these types.
    metadata = {b"geo": written.schema.metadata[b"geo"], b"collection": header}
    pq.write_table(pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata)), path)

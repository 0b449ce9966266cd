"""GeoParquet as fiboa wants it: a header that names schemas, and the types of those."""

import json

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from agrilape.io.fiboa import SCHEMAS, collection_metadata, write_geoparquet


def test_columns_have_the_types_of_the_schema_and_the_header_names_it(tmp_path):
    box = shapely.box(8, 50, 8.01, 50.01)
    rows = [
        {"id": "a", "collection": "north", "metrics:area": 100.5, "determination:datetime": day}
        for day in ("2021-06-01T00:00:00Z", None)
    ]
    rows[1] |= {"id": "b", "collection": "south"}
    path = tmp_path / "a.parquet"
    write_geoparquet(geopandas.GeoDataFrame(rows, geometry=[box, box], crs="OGC:CRS84"), path)
    schema = pq.read_schema(path)
    assert schema.field("metrics:area").type == pa.float32()
    assert schema.field("determination:datetime").type == pa.timestamp("ms", "UTC")
    assert {field.name for field in schema if not field.nullable} == {"id", "collection", "geometry"}
    assert {str(schema.field(name).type) for name in ("id", "collection")} == {"string"}
    assert json.loads(schema.metadata[b"collection"])["schemas"] == {
        "north": list(SCHEMAS),
        "south": list(SCHEMAS),
    }
    read = geopandas.read_parquet(path)
    assert read.geometry.equals(geopandas.GeoSeries([box, box], crs="OGC:CRS84"))
    first, second = pq.read_table(path)["determination:datetime"].to_pylist()
    assert (first.date().isoformat(), second) == ("2021-06-01", None)


def test_a_collection_is_named_once():
    assert list(collection_metadata(["b", "a", "b"])["schemas"]) == ["b", "a"]

"""Answers as GIS files: GeoJSON (RFC 7946) or GeoPackage, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
from shapely import Geometry

from agrilape.files import whole_file, write_text
from agrilape.geo.georeference import Georeference


@dataclass(frozen=True)
class Feature:
    """One thing on the map.

    Attributes:
        id: Unique within the file.
        outline: In map coordinates of the image.
        properties: JSON-ready; the same keys for all features of a file.
    """

    id: str
    outline: Geometry
    properties: dict[str, Any]


def features_table(features: Sequence[Feature], crs: str) -> geopandas.GeoDataFrame:
    """Features as a table: `id`, their properties, and `geometry` in a coordinate system."""
    records: dict[str, list[Any]] = {"id": [feature.id for feature in features]}
    for key in features[0].properties if features else ():
        records[key] = [feature.properties[key] for feature in features]
    return geopandas.GeoDataFrame(records, geometry=[feature.outline for feature in features], crs=crs)


def geojson(features: Sequence[Feature], georeference: Georeference) -> dict[str, Any]:
    """Features as GeoJSON (RFC 7946): WGS 84 longitude and latitude, outer rings anticlockwise, no `crs`.

    Args:
        features: What to write; none gives a valid, empty collection.
        georeference: The map of their outlines.
    """
    return {
        "type": "FeatureCollection",
        "generator": "agrilape",  # a foreign member, as RFC 7946 allows: this file may be replaced
        "features": [
            {
                "type": "Feature",
                "id": feature.id,
                "geometry": georeference.to_geojson(feature.outline),
                "properties": feature.properties,
            }
            for feature in features
        ],
    }


def write_geojson(path: Path, features: Sequence[Feature], georeference: Georeference) -> None:
    """Write GeoJSON, see `geojson`."""
    text = json.dumps(geojson(features, georeference), ensure_ascii=False, allow_nan=False, indent=1)
    write_text(path, text + "\n")


def write_geopackage(
    path: Path, features: Sequence[Feature], georeference: Georeference, wgs84: bool = False
) -> None:
    """Write a GeoPackage with one layer, `answer`.

    Args:
        path: The file.
        features: What to write.
        georeference: The map of their outlines.
        wgs84: Write longitude and latitude; else the image's own CRS.
    """
    table = features_table(features, georeference.crs)
    write_table(path, table.to_crs("EPSG:4326") if wgs84 else table)


def write_table(path: Path, table: geopandas.GeoDataFrame) -> None:
    """Write a table of answers as a GeoPackage with one layer, `answer`."""
    with whole_file(path) as draft:
        table.to_file(
            draft, layer="answer", driver="GPKG", layer_options={"DESCRIPTION": "written by agrilape"}
        )

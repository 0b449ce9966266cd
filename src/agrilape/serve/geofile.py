"""Answers as GIS files: GeoJSON (RFC 7946) or GeoPackage, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import shapely
from shapely import Geometry
from shapely.geometry import mapping

from agrilape.files import whole_file, write_text
from agrilape.geo.georeference import Georeference
from agrilape.io.fiboa import collection_metadata
from agrilape.serve.qgis_style import add_style

LAYER = "answer"

NO_PLACE = "pixels from the top left corner, column before row: the picture has no place on the map"
"""What a file says of coordinates in pixels."""

COLLECTION = "agrilape"
"""The collection of all features that are answers, as fiboa wants one."""


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


def features_table(features: Sequence[Feature], crs: str | None) -> geopandas.GeoDataFrame:
    """Features as a table: `id`, their properties, and `geometry` in a coordinate system, or in pixels."""
    records: dict[str, list[Any]] = {"id": [feature.id for feature in features]}
    for key in features[0].properties if features else ():
        records[key] = [feature.properties[key] for feature in features]
    return geopandas.GeoDataFrame(records, geometry=[feature.outline for feature in features], crs=crs)


def geojson(features: Sequence[Feature], georeference: Georeference | None) -> dict[str, Any]:
    """Features as GeoJSON (RFC 7946): WGS 84 longitude and latitude, outer rings anticlockwise, no `crs`.

    Args:
        features: What to write; none gives a valid, empty collection.
        georeference: The map of their outlines; None: they are in pixels, column before row, and the
            collection says so.
    """
    to_geojson = mapping if georeference is None else georeference.to_geojson
    return {
        "type": "FeatureCollection",
        "generator": "agrilape",  # a foreign member, as RFC 7946 allows: this file may be replaced
        **collection_metadata([COLLECTION]),
        **({"coordinates": NO_PLACE} if georeference is None else {}),
        "features": [
            {
                "type": "Feature",
                "id": feature.id,
                "geometry": None if feature.outline.is_empty else to_geojson(feature.outline),
                "properties": {**feature.properties, "collection": COLLECTION},
            }
            for feature in features
        ],
    }


def write_geojson(path: Path, features: Sequence[Feature], georeference: Georeference | None) -> None:
    """Write GeoJSON, see `geojson`."""
    text = json.dumps(geojson(features, georeference), ensure_ascii=False, allow_nan=False, indent=1)
    write_text(path, text + "\n")


def write_coco(path: Path, features: Sequence[Feature], image: str, width: int, height: int) -> None:
    """Write outlines in pixels as COCO annotations, as annotation tools read them.

    Args:
        path: The file.
        features: With outlines in pixels; answers without an outline of their own are whole tiles.
        image: Name of the picture.
        width: Its columns.
        height: Its rows.
    """
    names = sorted({_category(feature) for feature in features})
    content = {
        "info": {"description": NO_PLACE, "generator": "agrilape"},
        "images": [{"id": 1, "file_name": image, "width": width, "height": height}],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, 1)],
        "annotations": [
            {
                "id": number,
                "image_id": 1,
                "category_id": names.index(_category(feature)) + 1,
                **_coco_shape(feature.outline),
                "iscrowd": 0,
                "score": feature.properties.get("confidence"),
                "attributes": feature.properties,
            }
            for number, feature in enumerate(features, 1)
        ],
    }
    write_text(path, json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n")


def _category(feature: Feature) -> str:
    return str(feature.properties.get("crop:name") or feature.properties.get("answer") or "field")


def _coco_shape(outline: Geometry) -> dict[str, Any]:
    left, top, right, bottom = (round(edge, 2) for edge in outline.bounds)
    rings = [part.exterior.coords[:-1] for part in shapely.get_parts(outline) if part.geom_type == "Polygon"]
    return {
        "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
        "area": round(float(outline.area), 2),
        "segmentation": [[round(value, 2) for place in ring for value in place[:2]] for ring in rings],
    }


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
    """Write a table of answers as a GeoPackage with one layer, `answer`, and how QGIS shows it."""
    with whole_file(path) as draft:
        table.to_file(draft, layer=LAYER, driver="GPKG", layer_options={"DESCRIPTION": "written by agrilape"})
        if "confidence" in table:
            add_style(draft, LAYER, "geom")

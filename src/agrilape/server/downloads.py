"""Answers as files to download."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import geopandas

from agrilape.serve.geofile import write_table


def geopackage_bytes(collection: dict[str, Any], least: float = 0.0) -> bytes:
    """A GeoJSON answer as a GeoPackage in WGS 84, less what is less sure than `least`."""
    features = [
        {**one, "properties": {"id": one["id"], **one["properties"]}}
        for one in collection["features"]
        if one["properties"]["confidence"] >= least
    ]
    if features:
        table = geopandas.GeoDataFrame.from_features(features, crs="EPSG:4326")
    else:
        table = geopandas.GeoDataFrame({"id": []}, geometry=[], crs="EPSG:4326")
    with tempfile.TemporaryDirectory(prefix="agrilape-") as folder:
        path = Path(folder) / "answer.gpkg"
        write_table(path, table)
        return path.read_bytes()

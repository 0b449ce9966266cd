"""Croissant metadata of a data set (JSON-LD), with the geographic terms of GeoCroissant.

Sources: Croissant 1.1 and GeoCroissant 1.0 of MLCommons. `mlcroissant` validates it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agrilape.dataset.manifest import Manifest, hash_file

_TERMS = (
    "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject", "fileProperty",
    "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path",
    "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator", "source",
    "subField", "transform",
)  # fmt: skip
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "geocr": "http://mlcommons.org/croissant/geo/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    **{term: f"cr:{term}" for term in _TERMS},
}
_FIELDS = (
    ("id", "sc:Text", "Name of the chip: its source, scene and pixels."),
    ("scene", "sc:Text", "The scene that it is cut from."),
    ("source", "sc:Text", "The data source."),
    ("longitude", "sc:Float", "Of its centre, in degrees (WGS 84); empty for images without a place."),
    ("latitude", "sc:Float", "Likewise."),
    ("crs", "sc:Text", "Coordinate reference system of its pixel grid."),
)


@dataclass
class Coverage:
    """Where and when a data set is, added up chip by chip.

    Attributes:
        box: West, south, east and north of the chips' centres in degrees; None for none.
        days: First and last date; None for none.
        systems: Coordinate reference systems.
        metres: Smallest and largest ground sampling distance.
    """

    box: tuple[float, float, float, float] | None = None
    days: tuple[str, str] | None = None
    systems: tuple[str, ...] = ()
    metres: tuple[float, float] | None = None

    def add(self, row: Mapping[str, Any], gsd_m: float | None) -> None:
        """Take a published row in, with the ground sampling distance of its images."""
        if row["longitude"] is not None:
            x, y = row["longitude"], row["latitude"]
            west, south, east, north = self.box or (x, y, x, y)
            self.box = (min(west, x), min(south, y), max(east, x), max(north, y))
        for day in filter(None, row["acquired"]):
            first, last = self.days or (day, day)
            self.days = (min(first, day), max(last, day))
        if row["crs"] and row["crs"] not in self.systems:
            self.systems = (*self.systems, row["crs"])
        if gsd_m:
            finest, coarsest = self.metres or (gsd_m, gsd_m)
            self.metres = (min(finest, gsd_m), max(coarsest, gsd_m))


def croissant(manifest: Manifest, folder: Path, files: Sequence[Path], coverage: Coverage) -> dict[str, Any]:
    """The metadata, JSON-ready.

    Args:
        manifest: The data set.
        folder: Folder that is published.
        files: Its Parquet files.
        coverage: Where and when it is.
    """
    licences = sorted({one.licence for one in manifest.origins if one.licence})
    cited = sorted({one.citation for one in manifest.origins if one.citation})
    about: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": manifest.name,
        "description": describe(manifest),
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/geo/1.0"],
        "license": licences or ["not recorded"],
        "citeAs": "; ".join(cited) or "no citation recorded",
        "version": "1.0.0",
        "datePublished": datetime.now(UTC).date().isoformat(),
        "creator": {"@type": "sc:Organization", "name": "see citeAs, by source"},
        "url": ".",
        "distribution": [_file(folder, path) for path in files],
        "recordSet": [_records(path.relative_to(folder).as_posix()) for path in files],
    }
    return about | _place(coverage)


def describe(manifest: Manifest) -> str:
    """One sentence on what the data set holds."""
    chips = sum(one.chips for one in manifest.splits.values())
    samples = sum(one.samples for one in manifest.splits.values())
    tasks = {task for one in manifest.splits.values() for task in one.tasks}
    return (
        f"{samples:,} questions with answers about {chips:,} image chips of farmland, {len(tasks)} task(s), "
        "with places as coordinates and times as dates."
    )


def _place(coverage: Coverage) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if coverage.box is not None:
        west, south, east, north = coverage.box
        shape = {"@type": "GeoShape", "box": f"{south:.5f} {west:.5f} {north:.5f} {east:.5f}"}
        said["spatialCoverage"] = {"@type": "Place", "geo": shape}
    if coverage.days is not None:
        said["temporalCoverage"] = "/".join(coverage.days)
    if coverage.systems:
        said["geocr:coordinateReferenceSystem"] = list(coverage.systems)
    if coverage.metres is not None:
        said["geocr:spatialResolution"] = [
            {"@type": "QuantitativeValue", "value": round(metres, 3), "unitText": "m"}
            for metres in dict.fromkeys(coverage.metres)
        ]
    return said


def _file(folder: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": hash_file(path),
    }


def _records(name: str) -> dict[str, Any]:
    split = Path(name).stem
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{split}/{column}",
            "name": column,
            "description": description,
            "dataType": kind,
            "source": {"fileObject": {"@id": name}, "extract": {"column": column}},
        }
        for column, kind, description in _FIELDS
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "key": {"@id": f"{split}/id"},
        "field": fields,
    }

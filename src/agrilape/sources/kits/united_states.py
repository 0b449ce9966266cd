"""Aerial NAIP pictures of the Midwest with hand-drawn fields (agoro-field-boundary-detector, 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import shapely

from agrilape.io.json_text import read_json
from agrilape.sources.folder import picture_scene
from agrilape.sources.scene import Parcel, Scene

# The first box (south, north, west, east; degrees) around a picture names its state. Straight lines in place
# of rivers: enough to keep states apart for evaluation, not a gazetteer.
_STATES = (
    ("MN", 43.5, 49.4, -97.3, -91.2),
    ("WI", 42.5, 47.1, -91.1, -86.8),
    ("IA", 40.6, 43.5, -96.6, -91.05),
    ("KS", 37.0, 40.0, -102.1, -94.6),
    ("MO", 36.0, 40.6, -95.8, -91.4),
    ("IL", 37.0, 42.5, -91.4, -87.5),
    ("MI", 41.75, 46.5, -87.4, -82.4),
    ("IN", 37.9, 41.75, -87.5, -84.8),
    ("OH", 38.75, 42.0, -84.8, -80.5),
    ("KY", 36.5, 38.9, -89.5, -82.0),
    ("NE", 40.0, 43.0, -104.1, -95.8),
)


def naip_fields(folder: Path) -> Iterator[Scene]:
    """One scene per picture, pixels only: its centre is known, its ground sampling distance is not."""
    labels = read_json(folder / "fields.json")
    for name, record in sorted(labels.items()):
        if not (folder / name).is_file():
            continue
        latitude, longitude = record["lat"], record["lon"]
        meta = {
            "group": _state(latitude, longitude),
            "latitude": latitude,
            "longitude": longitude,
            "sensor": "NAIP aerial",
            "licence": "MIT; imagery USDA NAIP, public domain",
            "citation": "Radix, agoro-field-boundary-detector (2021)",
        }
        yield picture_scene(
            folder / name,
            f"us/{Path(name).stem}",
            folder.name,
            parcels=_fields(record["polygons"]),
            meta=meta,
        )


def _state(latitude: float, longitude: float) -> str:
    for state, south, north, west, east in _STATES:
        if south <= latitude < north and west <= longitude < east:
            return f"us-{state.lower()}"
    return f"us-{round(latitude)}n{round(-longitude)}w"


def _fields(polygons: Sequence[Sequence[Sequence[float]]]) -> tuple[Parcel, ...]:
    """Drawn outlines as parcels; hand drawing leaves some crossing themselves, which are repaired."""
    parcels = []
    for number, ring in enumerate(polygons):
        if len(ring) < 3:
            continue
        outline = shapely.make_valid(shapely.Polygon(ring))
        if outline.area > 0:
            parcels.append(Parcel(str(number), outline))
    return tuple(parcels)

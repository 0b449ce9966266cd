"""Aerial NAIP pictures of the Midwest with hand-drawn fields (agoro-field-boundary-detector, 2021)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.kits.writing import copy, write_facts, write_table

# The first box (south, north, west, east; degrees) around a picture names its state. Straight lines in place
# of rivers: enough to keep states apart for evaluation, not a gazetteer.
STATES = (
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


def lay_out(source: Path, target: Path) -> None:
    """One scene per picture, pixels only: its centre is known, its ground sampling distance is not."""
    labels = json.loads((source / "fields.json").read_text(encoding="utf-8"))
    labels = {name: labels[name] for name in sorted(labels) if (source / name).is_file()}
    for name in labels:
        copy(source / name, target / "us" / name)
    write_table(
        target / "us/metadata.csv",
        (
            {
                "file_name": name,
                "group": state(one["lat"], one["lon"]),
                "latitude": one["lat"],
                "longitude": one["lon"],
            }
            for name, one in labels.items()
        ),
    )
    write_table(target / "us/outlines.csv", _outlines(labels))
    write_facts(
        target,
        exhaustively_labelled=True,
        sensor="NAIP aerial",
        licence="MIT; imagery USDA NAIP, public domain",
        citation="Radix, agoro-field-boundary-detector (2021)",
    )


def state(latitude: float, longitude: float) -> str:
    """The state of a place, else a name for the square degree around it."""
    for name, south, north, west, east in STATES:
        if south <= latitude < north and west <= longitude < east:
            return f"us-{name.lower()}"
    return f"us-{round(latitude)}n{round(-longitude)}w"


def _outlines(labels: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, one in labels.items():
        for number, ring in enumerate(one["polygons"]):
            if len(ring) >= 3:
                yield {"image": name, "id": number, "outline": _as_text(ring)}


def _as_text(ring: Sequence[Sequence[float]]) -> str:
    return f"POLYGON (({', '.join(f'{x} {y}' for x, y in [*ring, ring[0]])}))"

"""EuroSAT: Sentinel-2 tiles of 64 pixels in ten classes (Helber et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agrilape.sources.folder import picture_scene
from agrilape.sources.scene import Scene

CLASSES = {
    "AnnualCrop": "annual crop",
    "Forest": "forest",
    "HerbaceousVegetation": "herbaceous vegetation",
    "Highway": "highway",
    "Industrial": "industrial buildings",
    "Pasture": "pasture",
    "PermanentCrop": "permanent crop",
    "Residential": "residential buildings",
    "River": "river",
    "SeaLake": "sea or lake",
}


def eurosat_rgb(folder: Path) -> Iterator[Scene]:
    """One scene per tile; tiles carry no coordinates, so neighbours may lie on both sides of any split."""
    for name, label in CLASSES.items():
        for path in sorted((folder / name).glob("*.jpg"), key=lambda path: int(path.stem.rsplit("_", 1)[-1])):
            meta = {
                "group": f"eurosat/{path.stem}",
                "gsd_m": 10.0,
                "sensor": "Sentinel-2 MSI",
                "licence": "MIT (EuroSAT); contains modified Copernicus Sentinel data",
                "citation": "Helber, Bischke, Dengel, Borth (2019), IEEE JSTARS",
            }
            yield picture_scene(path, f"eurosat/{path.stem}", folder.name, label=label, meta=meta)

"""EuroSAT: Sentinel-2 tiles of 64 pixels in ten classes (Helber et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tools.kits.writing import copy, write_facts, write_table

# Of each class what it is called, and how many tiles are taken: those of the lowest numbers.
CLASSES = {
    "AnnualCrop": ("annual crop", 500),
    "Forest": ("forest", 150),
    "HerbaceousVegetation": ("herbaceous vegetation", 300),
    "Highway": ("highway", 150),
    "Industrial": ("industrial buildings", 100),
    "Pasture": ("pasture", 500),
    "PermanentCrop": ("permanent crop", 500),
    "Residential": ("residential buildings", 150),
    "River": ("river", 150),
    "SeaLake": ("sea or lake", 100),
}


def lay_out(source: Path, target: Path) -> None:
    """All tiles in one folder; `source` may be the whole of EuroSAT, with a folder for each class.

    Tiles carry no coordinates, so neighbours may lie on both sides of any split.
    """
    write_table(target / "eurosat/metadata.csv", _copied(source, target / "eurosat"))
    write_facts(
        target,
        gsd_m=10.0,
        exhaustively_labelled=False,  # a class of the whole tile says nothing of its fields
        sensor="Sentinel-2 MSI",
        licence="MIT (EuroSAT); contains modified Copernicus Sentinel data",
        citation="Helber, Bischke, Dengel, Borth (2019), IEEE JSTARS",
    )


def _copied(source: Path, folder: Path) -> Iterator[dict[str, str]]:
    for name, (label, count) in CLASSES.items():
        tiles = sorted((source / name).glob("*.jpg"), key=lambda path: int(path.stem.rsplit("_", 1)[-1]))
        for path in tiles[:count]:
            copy(path, folder / path.name)
            yield {"file_name": path.name, "label": label}

"""Sentinel-2 series of 2018 over Languedoc with partly labelled parcels (cropmaps; EuroCrops)."""

from __future__ import annotations

from pathlib import Path

from tools.kits.writing import copy, write_facts


def lay_out(source: Path, target: Path) -> None:
    """The one place on its dates. Only a subset of the visible fields is labelled."""
    folder = target / "fr/languedoc"
    for path in (*sorted(source.glob("*_[12]0m.tif")), source / "parcels.gpkg"):
        copy(path, folder / path.name)
    write_facts(
        target,
        window={"start": "2018-01-01", "end": "2018-12-31"},
        exhaustively_labelled=False,
        sensor="Sentinel-2 MSI",
        licence="contains modified Copernicus Sentinel data 2018; GPL-3.0 (cropmaps); EuroCrops CC BY 4.0",
        citation="Schneider et al. (2023) EuroCrops, Scientific Data",
    )

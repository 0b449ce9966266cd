"""Sentinel-2 and declared parcels of Jutland, 2016 (Rieke 2017)."""

from __future__ import annotations

from pathlib import Path

from tools.kits.writing import copy, write_facts


def lay_out(source: Path, target: Path) -> None:
    """The one image with its parcels, all of which are declared; the date is not recorded."""
    copy(source / "s2_rgb_10m.tif", target / "dk/jutland.tif")
    copy(source / "parcels.gpkg", target / "dk/parcels.gpkg")
    write_facts(
        target,
        group="dk-west",  # west of x = 515400; the kit keeps the part east of it out
        crop_column="crop_en",
        clipped=True,
        exhaustively_labelled=True,
        sensor="Sentinel-2 MSI",
        licence="contains modified Copernicus Sentinel data 2016; parcels: Danish Agricultural Agency",
        citation="Rieke (2017), MSc thesis, University of Jena",
    )

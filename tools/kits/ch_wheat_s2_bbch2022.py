"""Sentinel-2 series of winter wheat with growth stages rated in the field, 2022 (Graf et al. 2023)."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tools.kits.writing import copy, pixels_of, write_facts, write_table

SITES = ("Strickhof", "SwissFutureFarm")
MEASURED = (("insitu_bbch.csv", "BBCH Rating", "bbch"), ("insitu_glai.csv", "lai", "leaf_area_index"))


def lay_out(source: Path, target: Path) -> None:
    """One folder per site. Ground outside the parcels was blanked: labels hold within them only."""
    copy(source / "parcels.gpkg", target / "parcels.gpkg")
    for site in SITES:
        folder = target / "ch" / site.lower()
        for path in sorted((source / site).glob("*.tif")):
            copy(path, folder / path.name)
        write_table(folder / "observations.csv", _observations(source, site, pixels_of(folder)))
    write_facts(
        target,
        window={"start": "2022-02-15", "end": "2022-08-15"},
        clear={"scl": [4, 5]},  # the authors' own rule: some dates are cloudy although they are called valid
        labelled_area="parcels",
        exhaustively_labelled=True,
        sensor="Sentinel-2 MSI",
        licence="GPL-3.0; contains modified Copernicus Sentinel data 2022",
        citation="Graf, Merz, Walter, Aasen (2023), doi:10.1016/j.rse.2023.113860",
    )


def _observations(
    source: Path, site: str, place: Callable[[float, float], dict[str, float]]
) -> Iterator[dict[str, Any]]:
    for name, column, kind in MEASURED:
        with (source / name).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["location"] == site and row[column]:
                    yield {
                        **place(float(row["lon"]), float(row["lat"])),
                        "kind": kind,
                        "value": row[column],
                        "date": row["date"][:10],
                    }

"""Six years of Mato Grosso (MODIS, dtwSat), season by season, then as pairs of successive seasons.

Labels are the crop rotation of a pixel in one season; a pair shows it from one year to the next.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path

import rasterio
from tools.kits.writing import write_facts, write_table

Season = tuple[str, str]  # first day, and the day after the last


def lay_out(source: Path, target: Path) -> None:
    """A folder for each season and pair of seasons, with the dates that lie in it."""
    with (source / "dtwsat_samples.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    seasons = sorted({(row["from"], row["to"]) for row in rows})
    write_facts(
        target,
        group="br/mato-grosso",  # the same ground each time
        exhaustively_labelled=False,
        sensor="MODIS MOD13Q1",
        licence="GPL-3 or later (dtwSat); MODIS: NASA LP DAAC",
        citation="Maus et al. (2019), Journal of Statistical Software 88(5)",
    )
    for shown in [(season,) for season in seasons] + list(pairwise(seasons)):
        first, last = date.fromisoformat(shown[0][0]), date.fromisoformat(shown[-1][1])
        name = f"mato-grosso-{first.year}" + (f"-{last.year}" if len(shown) > 1 else "")
        folder = target / "br" / name
        write_facts(
            folder,
            season=f"{first.year}/{last.year}",
            window={"start": first.isoformat(), "end": last.isoformat()},
        )
        write_table(folder / "observations.csv", _observations(rows, shown))
        for path in sorted(source.glob("dtwsat_*_231m.tif")):
            _cut(path, folder / path.name, first, last)


def _observations(rows: Sequence[dict[str, str]], seasons: Sequence[Season]) -> list[dict[str, object]]:
    """`Soybean-millet` becomes `soybean, then millet`: two crops of one season."""
    return [
        {
            "column": int(row["col"]) + 0.5,
            "row": int(row["row"]) + 0.5,
            "kind": "rotation",
            "value": row["label"].lower().replace("-", ", then "),
            "date": row["from"],
            "until": row["to"],
        }
        for row in rows
        if (row["from"], row["to"]) in seasons
    ]


def _cut(path: Path, target: Path, first: date, last: date) -> None:
    """Those bands of a stack, described by their dates, that lie in a period."""
    with rasterio.open(path) as stack:
        days = [date.fromisoformat(day) for day in stack.descriptions]
        bands = [number for number, day in enumerate(days, 1) if first <= day < last]
        with rasterio.open(target, "w", **(stack.profile | {"count": len(bands)})) as cut:
            cut.write(stack.read(bands))
            cut.descriptions = tuple(stack.descriptions[number - 1] for number in bands)

"""Season-long NDVI of western Bahia (CBERS-4, inSitu): 23 composites of 16 days, land use at points."""

from __future__ import annotations

import json
from pathlib import Path

from tools.kits.writing import copy, pixels_of, write_facts, write_table

START, END = "2018-08-29", "2019-08-28"
SERIES = "point_series_16d.csv.gz"


def lay_out(source: Path, target: Path) -> None:
    """One scene; the labelled series of points, most of which lie beside it, are copied as they are."""
    copy(source / "ndvi_23x16d_64m.tif", target / "br/west-bahia.tif")
    copy(source / SERIES, target / SERIES)
    place = pixels_of(target / "br")
    features = json.loads((source / "points.geojson").read_text(encoding="utf-8"))["features"]
    write_table(
        target / "br/observations.csv",
        (
            {
                **place(*feature["geometry"]["coordinates"]),
                "kind": "land_use",
                "value": feature["properties"]["label"].lower(),
                "date": START,
                "until": END,
            }
            for feature in features
        ),
    )
    write_facts(
        target,
        window={"start": START, "end": END},
        bands=["ndvi"],
        exhaustively_labelled=False,
        sensor="CBERS-4 AWFI",
        licence="GPL-2 (inSitu); CBERS-4 data: INPE, CC BY-SA",
        citation="Picoli et al. (2020), ISPRS Annals; Camara et al., inSitu, INPE",
    )

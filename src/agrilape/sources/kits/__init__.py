"""Readers of published sets of real imagery with labels, each by the rules that its authors give.

`AGRILAPE_KITS` says where they lie. Every reader takes the kit's folder and yields scenes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from agrilape.errors import DataError, did_you_mean
from agrilape.sources.kits.brazil import cbers4_ndvi, modis_mato_grosso
from agrilape.sources.kits.denmark import sentinel2_lpis2016
from agrilape.sources.kits.eurosat import eurosat_rgb
from agrilape.sources.kits.france import sentinel2_2018
from agrilape.sources.kits.switzerland import wheat_bbch2022
from agrilape.sources.kits.united_states import naip_fields
from agrilape.sources.observations import PointSeries, read_point_series
from agrilape.sources.scene import Scene

KITS: dict[str, Callable[[Path], Iterator[Scene]]] = {
    "br_cbers4_ndvi_2018_19": cbers4_ndvi,
    "br_mt_modis_ts": modis_mato_grosso,
    "ch_wheat_s2_bbch2022": wheat_bbch2022,
    "dk_s2_lpis2016": sentinel2_lpis2016,
    "eurosat_rgb_subset": eurosat_rgb,
    "fr_s2_ts2018": sentinel2_2018,
    "us_naip_field_polygons": naip_fields,
}
POINT_SERIES = {"br_cbers4_ndvi_2018_19": "point_series_16d.csv.gz"}


def kits_folder() -> Path:
    """Where the kits lie: `AGRILAPE_KITS`, else `../shared/kits`."""
    return Path(os.environ.get("AGRILAPE_KITS", "../shared/kits"))


def open_kit(name: str) -> Iterator[Scene]:
    """The scenes of a kit.

    Raises:
        DataError: There is no such kit, or it is not there.
    """
    folder = _kit_folder(name)
    return KITS[name](folder)


def open_point_series(name: str) -> tuple[PointSeries, ...]:
    """The labelled series of a kit at points, most of which lie beside its images.

    Raises:
        DataError: The kit has none, or it is not there.
    """
    if name not in POINT_SERIES:
        raise DataError(f"no point series in the kit {name!r}", f"choose one of: {', '.join(POINT_SERIES)}")
    return read_point_series(_kit_folder(name) / POINT_SERIES[name])


def _kit_folder(name: str) -> Path:
    if name not in KITS:
        raise DataError(f"no kit {name!r}", did_you_mean(name, KITS, f"choose one of: {', '.join(KITS)}"))
    folder = kits_folder() / name
    if not folder.is_dir():
        raise DataError(
            f"the kit {name} is not in {kits_folder()}", "set AGRILAPE_KITS to the folder with the kits"
        )
    return folder

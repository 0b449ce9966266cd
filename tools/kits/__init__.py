"""One small adapter for each real data set that figures of this project rest on (docs/kits.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tools.kits import (
    br_cbers4_ndvi_2018_19,
    br_mt_modis_ts,
    ch_wheat_s2_bbch2022,
    dk_s2_lpis2016,
    eurosat_rgb_subset,
    fr_s2_ts2018,
    us_naip_field_polygons,
)

ADAPTERS: dict[str, Callable[[Path, Path], None]] = {
    module.__name__.rsplit(".", 1)[-1]: module.lay_out
    for module in (
        br_cbers4_ndvi_2018_19,
        br_mt_modis_ts,
        ch_wheat_s2_bbch2022,
        dk_s2_lpis2016,
        eurosat_rgb_subset,
        fr_s2_ts2018,
        us_naip_field_polygons,
    )
}
"""Name of a kit -> what lays it out: takes the folder that was downloaded, and the empty one to fill."""

"""From stored numbers to reflectance: what files state, what users state, and what is assumed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from agrilape.sources.bands import MASK_ROLES
from agrilape.sources.composite import INDICES
from agrilape.sources.facts import Reading

ASSUMED = "no scale is stated: integers were taken as value x 10,000"
REFLECTANCE_SCALE = 1e-4  # the convention of Sentinel-2, Landsat and MODIS products in 16-bit integers
# ESA's Sentinel-2 products of baseline 04.00 (25 January 2022) and later store reflectance x 10,000 + 1,000
# (BOA_ADD_OFFSET -1000), so that dark ground keeps its negative noise; 0 still means no data.
OFFSET_SINCE_BASELINE = 4.0
BOA_OFFSET = -0.1

_IN_PRODUCT_NAME = re.compile(r"S2[A-D]_MSIL(?:1C|2A)_\d{8}T\d{6}_N(\d\d)(\d\d)_")
_BASELINE_TAGS = ("processing_baseline", "s2:processing_baseline", "sentinel:processing_baseline")
_APPLIED_TAGS = ("boa_offset_applied", "earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")


class Scaling(NamedTuple):
    """Physical value = stored number x scale + offset; `note` says what of it was assumed."""

    scale: float
    offset: float
    nodata: float | None = None
    note: str | None = None


class Baseline(NamedTuple):
    """Of a Sentinel-2 product: its processing baseline, and whether its offset was already taken off."""

    version: float
    applied: bool = False

    @property
    def offset(self) -> float:
        """What to add to number x 1e-4."""
        return BOA_OFFSET if self.version >= OFFSET_SINCE_BASELINE and not self.applied else 0.0


def baseline_of(name: str, tags: Mapping[str, object], reading: Reading) -> Baseline | None:
    """The Sentinel-2 baseline of a file; None for anything else.

    Asked in this order: `reading`, tags (or STAC properties), and the product's name in the path, which
    carries it as `N0400`. Whether the offset was taken off can only be stated, as Earth Search does.
    """
    lower = {key.lower(): value for key, value in tags.items()}
    stated = reading.processing_baseline or next(
        (str(lower[tag]) for tag in _BASELINE_TAGS if tag in lower), None
    )
    if stated is None and (found := _IN_PRODUCT_NAME.search(name)):
        stated = f"{found[1]}.{found[2]}"
    version = re.search(r"\d+(\.\d+)?", stated or "")
    if version is None:
        return None
    applied = reading.boa_offset_applied
    if applied is None:
        said = next((lower[tag] for tag in _APPLIED_TAGS if tag in lower), False)
        applied = str(said).lower() in {"true", "1", "yes"}
    number = float(version[0])
    return Baseline(number / 100 if number >= 100 else number, applied)  # 0400 as 04.00


def scaling_of(
    dtype: str,
    role: str,
    stated: tuple[float, float, float | None],
    reading: Reading,
    baseline: Baseline | None,
) -> Scaling:
    """Scale, offset and nodata of a band: as the user says, else the file, else by convention.

    Args:
        dtype: Data type of the stored numbers.
        role: Role of the band; masks are codes and stay as they are.
        stated: Scale, offset and nodata of the file; a scale of 1 with an offset of 0 states nothing.
        reading: What the user states.
        baseline: Of a Sentinel-2 product.
    """
    scale, offset, nodata = stated
    if role in MASK_ROLES:
        return Scaling(1.0, 0.0)  # no nodata either: GeoTIFF's one number may be a mask's "clear"
    nodata = reading.nodata if reading.nodata is not None else nodata
    if reading.scale is not None or reading.offset is not None:
        return Scaling(1.0 if reading.scale is None else reading.scale, reading.offset or 0.0, nodata)
    if (scale, offset) != (1.0, 0.0) or dtype.startswith("float"):
        return Scaling(scale, offset, nodata)
    if dtype in {"uint8", "int8"}:
        return Scaling(1 / 255, 0.0, nodata)
    if baseline is not None and role not in INDICES:
        note = f"Sentinel-2 baseline {baseline.version:05.2f}: reflectance = number x 1e-4"
        note += " - 0.1" if baseline.offset else ""
        return Scaling(REFLECTANCE_SCALE, baseline.offset, 0.0 if nodata is None else nodata, note)
    return Scaling(REFLECTANCE_SCALE, 0.0, nodata, ASSUMED)

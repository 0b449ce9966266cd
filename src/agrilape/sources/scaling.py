"""From stored numbers to reflectance: what files state, what users state, and what is assumed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from agrilape.sources.bands import MASK_ROLES
from agrilape.sources.composite import INDICES
from agrilape.sources.scene_json import ReadOptions

ASSUMED = "no scale is stated: integers were taken as value x 10,000"
EIGHT_BIT_SCALE = 1 / 255
REFLECTANCE_SCALE = 1e-4  # the convention of Sentinel-2, Landsat and MODIS products in 16-bit integers
# ESA's Sentinel-2 products of baseline 04.00 (25 January 2022) and later store reflectance x 10,000 + 1,000
# (BOA_ADD_OFFSET -1000), so that dark ground keeps its negative noise; 0 still means no data.
OFFSET_SINCE_BASELINE = 4.0
BOA_OFFSET = -0.1

_IN_PRODUCT_NAME = re.compile(r"S2[A-D]_MSIL(?:1C|2A)_\d{8}T\d{6}_N(\d\d)(\d\d)_")
_BASELINE_TAGS = ("processing_baseline", "s2:processing_baseline", "sentinel:processing_baseline")
# Landsat Collection 2 (LSDS-1618, LSDS-1619): 16-bit surface reflectance, 0 is fill. Level 1 gives factors in
# its MTL file; those of OLI are the same in every scene.
LANDSAT_LEVEL_2 = (2.75e-5, -0.2)
OLI_LEVEL_1 = (2e-5, -0.1)
_LANDSAT_NAME = re.compile(
    r"(?<![A-Z0-9])L([COTE])0([4-9])_L([12])[A-Z]{2}_\d{6}_\d{8}_\d{8}_(\d\d)_", re.IGNORECASE
)
_MTL_LINE = re.compile(r"^\s*(\w+)\s*=\s*\"?([^\"\r\n]*?)\"?\s*$", re.MULTILINE)
_MTL_LARGEST = 1 << 20  # bytes; a metadata file has some twenty thousand
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


def baseline_of(name: str, tags: Mapping[str, object], reading: ReadOptions) -> Baseline | None:
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


def landsat_scaling(path: Path, name: str, dtype: str) -> Scaling | None:
    """Of a Landsat band whose file states no scale: surface reflectance, or at the top of the atmosphere.

    Level 1 is scaled by the `_MTL.txt` beside the file; without one, 8-bit numbers are brightness.

    Args:
        path: The file.
        name: Name of the band without separators, in lower case: `srb4`, `b4`.
        dtype: Data type of the stored numbers.
    """
    product = _LANDSAT_NAME.search(path.name)
    level_2 = product is not None and (product[3], product[4]) == ("2", "02")
    if dtype.startswith("float") or not (level_2 or re.fullmatch(r"srb\d", name) or product):
        return None
    if level_2 or re.fullmatch(r"srb\d", name):
        said = "Landsat Collection 2: reflectance = number x 0.0000275 - 0.2"
        return None if dtype in {"uint8", "int8"} else Scaling(*LANDSAT_LEVEL_2, 0.0, said)
    assert product is not None
    factors = _level_1_factors(str(path.parent), _product_of(path.name), re.sub(r"\D", "", name))
    if factors is None and dtype == "uint16" and product[1].upper() in "CO" and product[3] == "1":
        factors = OLI_LEVEL_1
    if factors is None:
        return None
    said = "Landsat Level 1: reflectance at the top of the atmosphere, not corrected for the sun's height"
    return Scaling(*factors, 0.0, said)


def _product_of(name: str) -> str:
    """What all files of a Landsat product begin with: seven parts, as `LC08_L1TP_..._02_T1`."""
    return "_".join(name.split("_")[:7])


@lru_cache(maxsize=256)
def _level_1_factors(folder: str, product: str, number: str) -> tuple[float, float] | None:
    """Factor and offset of a band's reflectance, from the metadata file of its product."""
    found = next(
        (p for p in Path(folder).glob("*_[mM][tT][lL].[tT][xX][tT]") if p.name.startswith(product)), None
    )
    if found is None or found.stat().st_size > _MTL_LARGEST:
        return None
    said = dict(_MTL_LINE.findall(found.read_text(encoding="utf-8", errors="replace")))
    try:
        factor, offset = (float(said[f"REFLECTANCE_{what}_BAND_{number}"]) for what in ("MULT", "ADD"))
    except (KeyError, ValueError):
        return None
    return factor, offset


def scaling_of(
    dtype: str,
    role: str,
    stated: tuple[float, float, float | None],
    reading: ReadOptions,
    baseline: Baseline | None,
    product: Scaling | None = None,
) -> Scaling:
    """Scale, offset and nodata of a band: as the user says, else the file, else by convention.

    Args:
        dtype: Data type of the stored numbers.
        role: Role of the band; masks are codes and stay as they are.
        stated: Scale, offset and nodata of the file; a scale of 1 with an offset of 0 states nothing.
        reading: What the user states.
        baseline: Of a Sentinel-2 product.
        product: What the product's description says, if the file itself says nothing.
    """
    scale, offset, nodata = stated
    if role in MASK_ROLES:
        return Scaling(1.0, 0.0)  # no nodata either: GeoTIFF's one number may be a mask's "clear"
    nodata = reading.nodata if reading.nodata is not None else nodata
    if reading.scale is not None or reading.offset is not None:
        return Scaling(1.0 if reading.scale is None else reading.scale, reading.offset or 0.0, nodata)
    if (scale, offset) != (1.0, 0.0) or dtype.startswith("float"):
        return Scaling(scale, offset, nodata)
    if product is not None and role not in INDICES:
        return product._replace(nodata=product.nodata if nodata is None else nodata)
    if dtype in {"uint8", "int8"}:
        return Scaling(EIGHT_BIT_SCALE, 0.0, nodata)
    if baseline is not None and role not in INDICES:
        note = f"Sentinel-2 baseline {baseline.version:05.2f}: reflectance = number x 1e-4"
        note += " - 0.1" if baseline.offset else ""
        return Scaling(REFLECTANCE_SCALE, baseline.offset, 0.0 if nodata is None else nodata, note)
    return Scaling(REFLECTANCE_SCALE, 0.0, nodata, ASSUMED)

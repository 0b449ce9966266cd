"""Bands of sensors: the names that products give them, and what they measure. The one table of it.

Sources: the Earth Engine data catalogue (developers.google.com/earth-engine/datasets/catalog:
COPERNICUS_S2_SR_HARMONIZED, LANDSAT_LC08_C02_T1_L2, LANDSAT_LE07_C02_T1_L2, LANDSAT_LT05_C02_T1_L2,
NASA_HLS_HLSL30_v002, NASA_HLS_HLSS30_v002, MODIS_061_MOD09A1, MODIS_061_MOD13Q1, MODIS_061_MCD43A4,
NASA_VIIRS_002_VNP09GA) and the producers: sentiwiki.copernicus.eu (Sentinel-2 MSI), usgs.gov (Landsat
Collection 2 Level-2 science product guides LSDS-1618 and LSDS-1619), hls.gsfc.nasa.gov/products-description,
lpdaac.usgs.gov, docs.planet.com/data/imagery/planetscope/psscene (band metadata of the assets). NAIP: red,
green, blue, near infrared, USDA Farm Production and Conservation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sensor:
    """A sensor, or several whose bands have the same names.

    Attributes:
        title: What people call it.
        bands: Role by name, without separators and in lower case; None for what shows no reflectance of the
            ground (quality, heat, water vapour, angles), or a band that has no role here.
        signs: What its products' names hold.
        instrument: What tags and people call it besides; in a file's name it would be any word.
        short: Further names of bands, which mean this only where the sensor is known.
        orders: Roles of files that name no bands, by their number of bands.
    """

    title: str
    bands: Mapping[str, str | None]
    signs: re.Pattern[str]
    instrument: re.Pattern[str] | None = None
    short: Mapping[str, str | None] = field(default_factory=dict)
    orders: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


def _signs(*patterns: str) -> re.Pattern[str]:
    """Any of some patterns, each as a word of its own: `_` and `.` separate words."""
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(patterns)})(?![a-z0-9])", re.IGNORECASE)


def _numbered(prefix: str, roles: Mapping[str, str | None]) -> dict[str, str | None]:
    return {f"{prefix}{number}": role for number, role in roles.items()}


def _padded(roles: Mapping[str, str | None]) -> dict[str, str | None]:
    """The same bands with numbers of two digits."""
    return {f"b{number.zfill(2)}": role for number, role in roles.items()}


def _unread(*names: str) -> dict[str, str | None]:
    return dict.fromkeys(names)


_MSI: dict[str, str | None] = {
    "1": "coastal", "2": "blue", "3": "green", "4": "red", "5": "red_edge_1", "6": "red_edge_2",
    "7": "red_edge_3", "8": "nir", "8a": "nir_narrow", "9": None, "10": None, "11": "swir_1", "12": "swir_2",
}  # fmt: skip
_OLI: dict[str, str | None] = {
    "1": "coastal", "2": "blue", "3": "green", "4": "red", "5": "nir", "6": "swir_1", "7": "swir_2",
}  # fmt: skip
_TM: dict[str, str | None] = {"1": "blue", "2": "green", "3": "red", "4": "nir", "5": "swir_1", "7": "swir_2"}
_MODIS: dict[str, str | None] = {
    "1": "red", "2": "nir", "3": "blue", "4": "green", "5": None, "6": "swir_1", "7": "swir_2",
}  # fmt: skip
_VIIRS: dict[str, str | None] = {
    "m1": None, "m2": "coastal", "m3": "blue", "m4": "green", "m5": "red", "m7": "nir", "m8": None,
    "m10": "swir_1", "m11": "swir_2", "i1": "red", "i2": "nir", "i3": "swir_1",
}  # fmt: skip
_ANGLES = ("saa", "sza", "vaa", "vza")
_LANDSAT_QUALITY = _unread(
    "bqa", "qapixel", "qaradsat", "pixelqa", "radsatqa", "stqa", "statran", "stcdist", "stdrad", "stemis",
    "stemsd", "sttrad", "sturad", *_ANGLES,
)  # fmt: skip

SENSORS: dict[str, Sensor] = {
    "sentinel_2": Sensor(
        "Sentinel-2",
        # ESA writes B02 and B8A, Earth Engine B2 and B8A.
        {
            **_numbered("b", _MSI), **_padded({n: r for n, r in _MSI.items() if n != "8a"}),
            **_unread(
                "aot", "wvp", "tcir", "tcig", "tcib", "tci", "qa10", "qa20", "qa60", "mskcldprb", "msksnwprb",
                "mskclassiopaque", "mskclassicirrus", "mskclassisnowice", "cld", "snw",
            ),
        },
        _signs(
            r"sentinel[-_ ]?2[a-d]?", r"s2[a-d]?", r"s2[a-d]?[-_]?l[12][ac]", r"msil(?:1c|2a)",
            r"(?:l2a_)?t\d\d[a-z]{3}_\d{8}t\d{6}", r"\d{8}t\d{6}_\d{8}t\d{6}_t\d\d[a-z]{3}",
        ),
        instrument=_signs("msi"),
    ),
    "hls_s30": Sensor(
        "HLS S30",
        {
            **_numbered("b", _MSI), **_padded({n: r for n, r in _MSI.items() if n != "8a"}),
            **_unread("fmask", *_ANGLES),
        },
        _signs(r"hls[-_. ]?s30", r"hlss30(?:[-_. ]v?\d+)?"),
    ),
    "hls_l30": Sensor(
        "HLS L30",
        {
            **_numbered("b", _OLI), **_padded(_OLI),
            **_unread("b9", "b09", "b10", "b11", "fmask", *_ANGLES),
        },
        _signs(r"hls[-_. ]?l30", r"hlsl30(?:[-_. ]v?\d+)?"),
    ),
    "landsat_8_9": Sensor(
        "Landsat 8-9",
        {
            **_numbered("b", _OLI), **_numbered("srb", _OLI), **_numbered("srband", _OLI),
            **_unread("b8", "b9", "b10", "b11", "stb10", "srqaaerosol", "sraerosol"), **_LANDSAT_QUALITY,
        },
        _signs(r"landsat[-_ ]?[89]", r"l[cot]0[89]", r"l[co][89]\d{13}[a-z]{3}\d\d"),
        instrument=_signs("oli2?", "oli_tirs", "tirs"),
        short={**_numbered("band", _OLI), **_padded(_OLI), **_unread("b08", "b09")},
    ),
    "landsat_4_7": Sensor(
        "Landsat 4-7",
        {
            **_numbered("b", _TM), **_numbered("srb", _TM), **_numbered("srband", _TM),
            **_unread(
                "b6", "b6vcid1", "b6vcid2", "b8", "stb6", "sratmosopacity", "srcloudqa", "atran", "cdist",
            ),
            **_LANDSAT_QUALITY,
        },
        _signs(r"landsat[-_ ]?[457]", r"l[te]0[457]", r"l[te][457]\d{13}[a-z]{3}\d\d"),
        instrument=_signs("tm", r"etm\+?"),
        short={**_numbered("band", _TM), **_padded(_TM), **_unread("b06", "b08")},
    ),
    "modis": Sensor(
        "MODIS",
        {
            **_numbered("surreflb0", _MODIS), **_numbered("surreflb", _MODIS),
            **_numbered("nadirreflectanceband", _MODIS), "ndvi": "ndvi", "evi": "evi",
            "redreflectance": "red", "nirreflectance": "nir", "bluereflectance": "blue",
            "mirreflectance": "mir",
            **_unread(
                "surreflqc500m", "surreflqc250m", "surreflstateqa", "surreflszen", "surreflvzen",
                "surreflraz", "surrefldayofyear", "stateqa", "qc500m", "viquality", "detailedqa", "summaryqa",
                "pixelreliability", "compositedayoftheyear", "viewzenith", "sunzenith", "relativeazimuth",
                "dayofyear", "viewzenithangle", "sunzenithangle", "relativeazimuthangle",
            ),
        },
        _signs(r"modis", r"m[oyc]d\d\d[a-z]*\d?"),
        short={**_numbered("b", _MODIS), **_padded(_MODIS), **_numbered("band", _MODIS)},
    ),
    "viirs": Sensor(
        "VIIRS",
        {f"surfreflect{name}": role for name, role in _VIIRS.items()},
        _signs(r"viirs", r"v(?:np|j1|j2)\d\d[a-z]*\d?"),
        short={**_VIIRS, **_unread(*(f"qf{n}" for n in range(1, 8)))},
    ),
    "planetscope": Sensor(
        "PlanetScope",
        _unread("udm", "udm2"),  # its files name their bands in words
        _signs(
            r"planet(?:scope)?", r"superdove", r"ps(?:scene|orthotile)\w*", r"skysat\w*", r"analyticms",
            r"3b_(?:analytic|ortho|visual|basic)\w*",
        ),
        instrument=_signs(r"ps2(?:\.sd)?", r"psb\.sd"),
        orders={
            3: ("red", "green", "blue"), 4: ("blue", "green", "red", "nir"),
            5: ("blue", "green", "red", "red_edge_1", "nir"),
            8: ("coastal", "blue", "green_i", "green", "yellow", "red", "red_edge_1", "nir"),
        },
    ),
    "rapideye": Sensor(
        "RapidEye",
        {},
        _signs(r"rapideye", r"reorthotile"),
        orders={5: ("blue", "green", "red", "red_edge_1", "nir")},
    ),
    "naip": Sensor(
        "NAIP",
        {},
        _signs(r"naip", r"m_\d{7}_(?:ne|nw|se|sw)(?:_\d+)*"),
        orders={3: ("red", "green", "blue"), 4: ("red", "green", "blue", "nir")},
    ),
}  # fmt: skip

# Satellites carry one instrument each, and these tags name one or the other.
SENSOR_TAGS = (
    "SENSOR", "SENSOR_ID", "SENSOR_NAME", "SENSORID", "INSTRUMENT", "INSTRUMENT_NAME", "INSTRUMENTS",
    "SPACECRAFT_ID", "SPACECRAFT_NAME", "SATELLITE", "SATELLITEID", "PLATFORM", "PLATFORM_NAME", "MISSION",
    "CONSTELLATION", "PRODUCT_URI", "PRODUCT_ID", "LANDSAT_PRODUCT_ID", "LANDSAT_SCENE_ID", "DATASTRIP_ID",
    "SHORTNAME", "SYSTEM:INDEX", "SYSTEM:ID", "PRODUCT_TYPE", "COLLECTION", "DATASET", "DATA_COVERAGE_SOURCE",
)  # fmt: skip
_ORIGIN = {"hls_s30": "sentinel_2", "hls_l30": "landsat_8_9"}  # a harmonised product names its origin too


def sensor_in(text: str | None, stated: bool = False) -> str | None:
    """The one sensor that a text names; None for none or several.

    Args:
        text: A file's name, such as `LC08_L2SP_193024_20210503_20210510_02_T1`.
        stated: It comes from a tag or a person, so that `OLI` or `TM` means the instrument.
    """
    found = {key for key, sensor in SENSORS.items() if text and _named(sensor, text, stated)}
    for product, origin in _ORIGIN.items():
        if product in found:
            found.discard(origin)
    return found.pop() if len(found) == 1 else None


def _named(sensor: Sensor, text: str, stated: bool) -> bool:
    by_instrument = stated and sensor.instrument is not None and sensor.instrument.search(text)
    return bool(sensor.signs.search(text) or by_instrument)


def sensor_of_tags(tags: Mapping[str, str]) -> str | None:
    """The one sensor that a file's tags name."""
    upper = {key.upper(): str(value) for key, value in tags.items()}
    return sensor_in(" ; ".join(upper[tag] for tag in SENSOR_TAGS if tag in upper), stated=True)


def known_name(code: str, sensor: str | None = None) -> bool:
    """Is this a band of any sensor, or of the one that is known? `code` has no separators, lower case."""
    if any(code in one.bands for one in SENSORS.values()):
        return True
    return sensor is not None and code in SENSORS[sensor].short


def meanings(code: str, beside: frozenset[str], sensor: str | None = None) -> dict[str, str | None]:
    """What a name can mean: its role by the title of each sensor that has it.

    Args:
        code: Name of a band, without separators and in lower case.
        beside: All names of the image, likewise. If some sensors have them all, the others are out.
        sensor: Key of the sensor, if it is known; it counts if it has the name.
    """
    if sensor is not None and code in (own := {**SENSORS[sensor].short, **SENSORS[sensor].bands}):
        return {SENSORS[sensor].title: own[code]}
    names = {name for name in beside if known_name(name)} | {code}
    having = [one for one in SENSORS.values() if code in one.bands]
    whole = [one for one in having if names <= set(one.bands)]
    return {one.title: one.bands[code] for one in whole or having}

"""About where a drone's photograph lies, from what its camera wrote into it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from affine import Affine

from agrilape.geo.georeference import Georeference
from agrilape.io.pictures import PictureTags
from agrilape.sources.dates import parse_date

FULL_FRAME = math.hypot(36.0, 24.0)
"""Diagonal in millimetres of the film that a focal length "in 35 mm" refers to (CIPA DCG-001)."""
MOST_TILT = 20.0
"""Degrees from straight down from which ground far from the middle lies elsewhere than a flat map says."""
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0}  # of FocalPlaneResolutionUnit: inch, centimetre, millimetre


@dataclass(frozen=True)
class CameraPlace:
    """About where a photograph lies.

    Attributes:
        georeference: Its grid on a flat map, in the UTM zone of the camera; None if the tags do not suffice.
        acquired: When it was taken.
        note: What was taken for granted, or what is missing.
    """

    georeference: Georeference | None
    acquired: date | None
    note: str


def camera_place(tags: PictureTags, width: int, height: int) -> CameraPlace:
    """The place of a photograph that looks straight down, by position, height, focal length and sensor.

    A pixel is height x pixel pitch / focal length long on the ground. The lens's distortion, the tilt that is
    left and the relief of the ground are not known: a place is good to some metres at best.

    Args:
        tags: Of the photograph.
        width: Columns, as people see it.
        height: Rows.
    """
    acquired = parse_date(tags.exif.get("DateTimeOriginal") or tags.exif.get("DateTime") or "")
    place = _position(tags.gps)
    above, of_what = _height(tags)
    per_metre = _pixel_per_metre_of_height(tags.exif, width, height)
    missing = [
        name
        for name, known in (
            ("GPS position", place),
            ("height", above),
            ("focal length and sensor", per_metre),
        )
        if known is None
    ]
    if place is None or above is None or per_metre is None:
        return CameraPlace(None, acquired, f"no place on the map: its tags lack {', '.join(missing)}")
    tilt = _xmp(tags.xmp, "GimbalPitchDegree")
    if tilt is not None and abs(tilt + 90) > MOST_TILT:
        aside = f"no place on the map: the camera looked {abs(tilt + 90):.0f} degrees aside"
        return CameraPlace(None, acquired, aside)
    yaw, turned = _yaw(tags)
    gsd = above * per_metre
    note = (
        "its place is approximate, from the camera's tags: "
        f"{gsd * 100:.1f} cm a pixel from {above:.0f} m {of_what}, {turned}"
    )
    return CameraPlace(_grid(*place, gsd, yaw, width, height), acquired, note)


def _grid(longitude: float, latitude: float, gsd: float, yaw: float, width: int, height: int) -> Georeference:
    """A grid whose middle lies at a place and whose top looks at a compass direction."""
    from pyproj import Transformer

    zone = min(int((longitude + 180) // 6) + 1, 60)
    crs = f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}"
    x, y = Transformer.from_crs("OGC:CRS84", crs, always_xy=True).transform(longitude, latitude)
    east, north = math.sin(math.radians(yaw)) * gsd, math.cos(math.radians(yaw)) * gsd  # of one pixel up
    right = (north, -east)
    left = x - right[0] * width / 2 + east * height / 2
    top = y - right[1] * width / 2 + north * height / 2
    return Georeference(crs, Affine(right[0], -east, left, right[1], -north, top), width, height)


def _position(gps: Mapping[str, Any]) -> tuple[float, float] | None:
    """Longitude and latitude in degrees."""
    longitude, latitude = (_degrees(gps, f"GPS{name}") for name in ("Longitude", "Latitude"))
    if longitude is None or latitude is None or abs(latitude) > 84 or abs(longitude) > 180:
        return None
    return longitude, latitude


def _degrees(gps: Mapping[str, Any], name: str) -> float | None:
    try:
        value = sum(float(part) / 60**power for power, part in enumerate(gps[name]))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    south = str(gps.get(f"{name}Ref", "")).upper()[:1] in ("S", "W")
    return None if not math.isfinite(value) else -value if south else value


def _height(tags: PictureTags) -> tuple[float | None, str]:
    """Metres above ground as far as is known, and above what."""
    above_start = _xmp(tags.xmp, "RelativeAltitude")
    if above_start is not None and above_start > 0:
        return above_start, "above the start"
    above_sea = _number(tags.gps.get("GPSAltitude"))
    return above_sea, "above sea level, taken for the height above ground"


def _pixel_per_metre_of_height(exif: Mapping[str, Any], width: int, height: int) -> float | None:
    """Ground that a pixel covers from a height of one metre."""
    equivalent = _number(exif.get("FocalLengthIn35mmFilm"))
    if equivalent:
        return FULL_FRAME / (equivalent * math.hypot(width, height))
    focal, resolution = _number(exif.get("FocalLength")), _number(exif.get("FocalPlaneXResolution"))
    unit = _UNIT_MM.get(int(_number(exif.get("FocalPlaneResolutionUnit")) or 2))
    return unit / resolution / focal if focal and resolution and unit else None


def _yaw(tags: PictureTags) -> tuple[float, str]:
    """Compass direction that the picture's top looks at, and how that is known."""
    said = [_xmp(tags.xmp, "GimbalYawDegree"), _xmp(tags.xmp, "FlightYawDegree")]
    yaw = next((one for one in (*said, _number(tags.gps.get("GPSImgDirection"))) if one is not None), None)
    if yaw is None:
        return 0.0, "its top taken for north"
    return yaw, f"its top looking at {yaw % 360:.0f} degrees"


def _xmp(packet: str, name: str) -> float | None:
    """A number of DJI's, as attribute or element."""
    found = re.search(rf"{name}(?:=\"|>)\s*([-+]?\d+(?:\.\d+)?)", packet)
    return float(found[1]) if found else None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None

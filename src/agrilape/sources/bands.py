"""Bands by role: what a band measures, whatever a file calls it."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Role -> names in use, lower case without separators: Sentinel-2, then plain words.
_NAMES = {
    "coastal": ("b01", "b1coastal", "coastalaerosol"),
    "blue": ("b02", "b"),
    "green": ("b03", "g"),
    "red": ("b04", "r"),
    "red_edge_1": ("b05", "rededge", "rededge1", "re", "re1"),
    "red_edge_2": ("b06", "rededge2", "re2"),
    "red_edge_3": ("b07", "rededge3", "re3"),
    "nir": ("b08", "nearinfrared", "infrared", "n"),
    "nir_narrow": ("b8a", "nirnarrow", "nir08"),
    "swir_1": ("b11", "swir", "swir1", "swir16"),
    "swir_2": ("b12", "swir2", "swir22"),
    "mir": (),
    "ndvi": (),
    "evi": (),
    "scl": ("sceneclassification",),
    "cloud_mask": ("cloudmask", "clouds", "cloud"),
}
_ROLES = {name: role for role, names in _NAMES.items() for name in (role.replace("_", ""), *names)}

RGB = ("red", "green", "blue")
MASK_ROLES = ("scl", "cloud_mask")


def role_of(name: str | None) -> str | None:
    """The role of a band from its description; None if the name says nothing."""
    if not name:
        return None
    return _ROLES.get(re.sub(r"[^a-z0-9]", "", name.lower()))


def role_in_name(stem: str) -> str | None:
    """The role that a word of a file name spells, as in `T32_20210503_B04_10m`; not a single letter."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", stem) if len(word) > 1]
    return next((role for word in reversed(words) if (role := role_of(word))), None)


def roles(descriptions: Sequence[str | None], colours: Sequence[str], stem: str) -> tuple[str, ...]:
    """Name every band of a file.

    Args:
        descriptions: Band descriptions.
        colours: Colour interpretations in lower case (`red`, `gray`, `undefined`, `alpha`).
        stem: File name without its suffix, asked only if the file holds a single band.

    Returns:
        One role per band: from its description, else its colour, else the file's name, else `band_1` and
        so on; a role belongs to the first band that claims it. Three or four unnamed bands are red, green,
        blue (and nir), the order of every RGB image.
    """
    named: list[str | None] = [role_of(text) for text in descriptions]
    if len(descriptions) == 1 and named[0] is None:
        named[0] = role_in_name(stem)
    elif not any(named):
        named = [colour if colour in {*RGB, "nir", "alpha"} else None for colour in colours]
    if len(descriptions) in {3, 4} and not any(descriptions) and not {"red", "green", "blue"} <= set(named):
        named[:] = [*RGB, "nir"][: len(descriptions)]
    first = {role: number for number, role in reversed(list(enumerate(named)))}
    return tuple(
        role if role and first[role] == number else f"band_{number + 1}" for number, role in enumerate(named)
    )

"""Bands by role: what a band measures, whatever a file calls it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agrilape.sources.sensors import SENSORS, known_name, meanings

# Role -> plain words for it, lower case without separators. Names of sensors' bands are in `sensors`.
_WORDS = {
    "coastal": ("coastalaerosol", "coastalblue", "b1coastal"),
    "blue": ("b",),
    "green": ("g",),
    "green_i": ("greeni",),
    "yellow": (),
    "red": ("r",),
    "red_edge_1": ("rededge", "rededge1", "re", "re1"),
    "red_edge_2": ("rededge2", "re2"),
    "red_edge_3": ("rededge3", "re3"),
    "nir": ("nearinfrared", "infrared", "n"),
    "nir_narrow": ("nirnarrow", "narrownir", "nir08"),
    "swir_1": ("swir", "swir1", "swir16"),
    "swir_2": ("swir2", "swir22"),
    "mir": (),
    "ndvi": (),
    "evi": (),
    "scl": ("sceneclassification",),
    "cloud_mask": ("cloudmask", "clouds", "cloud"),
}
_ROLES = {word: role for role, words in _WORDS.items() for word in (role.replace("_", ""), *words)}

# Role -> centre and reach in nanometres; `nir` before `nir_narrow`, since a lone one serves as both.
WAVELENGTHS: dict[str, tuple[float, float]] = {
    "coastal": (443, 6), "blue": (484, 36), "green": (560, 27), "yellow": (610, 10), "red": (665, 27),
    "red_edge_1": (705, 20), "red_edge_2": (740, 15), "red_edge_3": (783, 10), "nir": (842, 40),
    "nir_narrow": (865, 15), "swir_1": (1610, 60), "swir_2": (2190, 110),
}  # fmt: skip

RGB = ("red", "green", "blue")
MASK_ROLES = ("scl", "cloud_mask")
_COUNTED = re.compile(r"(?:band|layer|channel)?[ _#]*\d+", re.IGNORECASE)  # a name that only counts bands
_PARTS = re.compile(r"[,(:;)]| - ")
_STATISTIC = re.compile(
    r"(?:(?:median|mean|average|medoid|mosaic|first|last|min|max|composite|sr|boa|toa|reflectance"
    r"|[a-z]*\d[a-z0-9]*)(?:_|$))+"
)
LISTED = 5  # names in a note
LONGEST_NAME = 5  # words of a band's name in a file's name, as in `sur_refl_b02`


@dataclass(frozen=True)
class BandHints:
    """What is known of a file beside the names of its bands.

    Attributes:
        sensor: Key in `SENSORS`, where metadata, file name or the user say it.
        stated: The user's roles by the file's own names of bands.
        beside: Names of bands in the names of the files beside it, which tell one sensor from another.
        colours: Colour interpretations of the bands in lower case (`red`, `gray`, `undefined`, `alpha`).
        wavelengths: Central wavelengths of the bands in nanometres; None where the file says none.
    """

    sensor: str | None = None
    stated: Mapping[str, str] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    colours: tuple[str, ...] = ()
    wavelengths: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class BandRoles:
    """Roles of the bands of a file, and notes on what was assumed or could not be told.

    Attributes:
        roles: One per band, each but once; `band_1` and so on for a band without one.
        names: Their own names without separators, in lower case; empty for none.
        read: Is a band read? One that shows no reflectance of the ground (quality, heat, angles) is not.
        notes: For people.
    """

    roles: tuple[str, ...]
    names: tuple[str, ...]
    read: tuple[bool, ...]
    notes: tuple[str, ...] = ()


def plain(name: str | None) -> str:
    """A name without separators, in lower case: `SR_B2` as `srb2`."""
    return re.sub(r"[^a-z0-9]", "", (name or "").lower())


def words_of(text: str) -> list[str]:
    """The words of a file's name or a band's description."""
    return [word for word in re.split(r"[^A-Za-z0-9]+", text) if word]


def word_role(name: str | None) -> str | None:
    """The role that a plain word names, whatever the sensor; None if the name says nothing."""
    return _ROLES.get(plain(name))


def name_in_stem(stem: str, sensor: str | None = None, stated: Iterable[str] = ()) -> str | None:
    """The name of a band in a file's name: the last one, as `B04` in `T32_20210503_B04_10m`.

    A name may be of several words (`SR_B4`, `red_edge_1`); a single letter is none.
    """
    words = words_of(stem)
    known = {plain(name) for name in stated}
    for end in range(len(words), 0, -1):
        for start in range(max(end - LONGEST_NAME, 0), end):
            name = "".join(words[start:end]).lower()
            if len(name) > 1 and (name in _ROLES or known_name(name, sensor) or name in known):
                return name
    return None


def image_and_band(text: str) -> tuple[str, str]:
    """A text with a known name of a band at its end or its start, apart; the whole text if there is none."""
    words = words_of(text)
    for size in range(min(LONGEST_NAME, len(words)), 0, -1):
        for name, rest in ((words[-size:], words[:-size]), (words[:size], words[size:])):
            joined = plain("".join(name))
            if (len(joined) > 1 or not rest) and (word_role(joined) or known_name(joined)):
                return "_".join(rest), "_".join(name)
    return text, ""


def name_bands(descriptions: Sequence[str | None], clues: BandHints, stem: str = "") -> BandRoles:
    """Name every band of a file.

    In this order: what the user states, plain words (`red`, `NIR`), the sensor's own names (`B04`, `SR_B4`),
    and the central wavelength. A name that two sensors give to two kinds of bands is used only if the sensor
    is known, or if but one sensor has all names of the image; else it stays unnamed, and a note says so.
    Where no band has a name, the file's own name counts (of a single band), then its colours, then the usual
    order of the sensor; three or four bands of an unknown one are taken as red, green, blue (and nir), which
    is noted.

    Args:
        descriptions: Band descriptions.
        clues: What else is known.
        stem: File name without its suffix.
    """
    names = [spelled_name(text, clues) for text in descriptions]
    if not any(names):
        names = _of_one_statistic(descriptions) or names
    if len(names) == 1 and not names[0] and not any(clues.wavelengths):
        names[0] = name_in_stem(stem, clues.sensor, clues.stated) or ""
    found, notes = _resolve(names, descriptions, clues)
    for number, role in _by_wavelength(clues.wavelengths).items():
        if found[number] is None and role not in found:
            found[number] = role
    if len(found) > 1 and not any(found) and not any(names):
        found, notes = _by_order(descriptions, clues)
    return _named(found, names, descriptions, clues, notes)


def name_stated(names: Sequence[str], clues: BandHints) -> BandRoles:
    """Roles of names that the user gives, in file order; a name without a role is one itself."""
    found, notes = _resolve([plain(name) for name in names], names, clues)
    roles = tuple(role or name for role, name in zip(found, names, strict=True))
    return BandRoles(roles, tuple(map(plain, names)), (True,) * len(names), tuple(notes))


def _of_one_statistic(descriptions: Sequence[str | None]) -> list[str]:
    """Names of bands that all say the same of how they were made, as `B4_median`, or of what; else none."""
    parts = [image_and_band(text or "") for text in descriptions]
    (rest, *others) = {rest.lower() for rest, _ in parts}
    return [] if others or not _STATISTIC.fullmatch(rest) else [plain(name) for _, name in parts]


def _named(
    found: Sequence[str | None],
    names: Sequence[str],
    texts: Sequence[str | None],
    clues: BandHints,
    notes: list[str],
) -> BandRoles:
    """Bands with what their names mean; those that show no ground are left unread, unless all are such."""
    beside = frozenset((*names, *clues.beside))
    shown = [
        role is not None or not _shows_no_ground(name, beside, clues)
        for role, name in zip(found, names, strict=True)
    ]
    if not any(shown):
        shown = [True] * len(found)
    left = [text or name.upper() for text, name, kept in zip(texts, names, shown, strict=True) if not kept]
    if left:
        notes = [
            *notes,
            f"{len(left)} bands show no reflectance of the ground and were not read: {_some(left)}",
        ]
    return BandRoles(_once(found), tuple(names), tuple(shown), tuple(notes))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")


def _shows_no_ground(name: str, beside: frozenset[str], clues: BandHints) -> bool:
    """Is a name that of quality, heat, angles and the like on every sensor that it can be of?"""
    if not name or name in _ROLES or name in {plain(one) for one in clues.stated}:
        return False
    words = frozenset(one for one in beside if one not in _ROLES)
    can_mean = meanings(name, words, clues.sensor)
    return set(can_mean.values()) == {None}


def spelled_name(text: str | None, clues: BandHints) -> str:
    """The name that a description spells: the whole of it, else a part of it; plain words before others.

    `B4, central wavelength 665 nm` spells `b4`, `Band 4 - Red` spells `red`.
    """
    stated = {plain(name) for name in clues.stated}
    parts = [plain(part) for part in (text or "", *_PARTS.split(text or ""))]
    tests: tuple[Callable[[str], object], ...] = (
        lambda name: name in stated,
        lambda name: name in _ROLES,
        lambda name: known_name(name, clues.sensor),
    )
    for known in tests:
        for name in parts:
            for one in (name, name.removesuffix("band")):
                if one and known(one):
                    return one
    return ""


def _resolve(
    names: Sequence[str], texts: Sequence[str | None], clues: BandHints
) -> tuple[list[str | None], list[str]]:
    """Roles of names, and a note on those that mean this on one sensor and that on another."""
    stated = {plain(name): word_role(role) or role for name, role in clues.stated.items()}
    beside = frozenset(name for name in (*names, *clues.beside) if name not in _ROLES)
    found: list[str | None] = []
    doubtful: dict[str, str] = {}
    for number, name in enumerate(names):
        role = stated.get(name) or _ROLES.get(name)
        if role is None and name:
            can_mean = meanings(name, beside, clues.sensor)
            if len(set(can_mean.values())) > 1:
                if any(clues.wavelengths[number : number + 1]):
                    found.append(None)  # which tells more
                    continue
                doubtful[texts[number] or name.upper()] = _both_meanings(can_mean)
            else:
                role = next(iter(can_mean.values()), None)
        found.append(role)
    return found, [_doubt(doubtful)] if doubtful else []


def _doubt(doubtful: Mapping[str, str]) -> str:
    first = next(iter(doubtful))
    return (
        f"bands {_some(list(doubtful))} were left unnamed, since names differ between sensors: {first} is "
        f'{doubtful[first]}; state "sensor" in scene.json (such as "Landsat 8"), or '
        f'"bands": {{"{first}": "nir", ...}}'
    )


def _both_meanings(can_mean: Mapping[str, str | None]) -> str:
    """Roles with the sensors that mean them: `blue (Sentinel-2, Landsat 8-9) or green (Landsat 4-7)`."""
    titles: dict[str, list[str]] = {}
    for title, role in can_mean.items():
        titles.setdefault(role or "no reflectance", []).append(title)
    return " or ".join(f"{role} ({', '.join(sensors)})" for role, sensors in titles.items())


def _by_wavelength(wavelengths: Sequence[float | None]) -> dict[int, str]:
    """Roles by number of the band: for each the band that lies nearest to its centre, if one is in reach."""
    found: dict[int, str] = {}
    for role, (centre, reach) in WAVELENGTHS.items():
        near = [
            (abs(nm - centre), number)
            for number, nm in enumerate(wavelengths)
            if nm is not None and number not in found
        ]
        if near and min(near)[0] <= reach:
            found[min(near)[1]] = role
    return found


def _by_order(descriptions: Sequence[str | None], clues: BandHints) -> tuple[list[str | None], list[str]]:
    """Roles of bands without names: by their colours, else by the order of the sensor or of RGB images."""
    count = len(descriptions)
    silent = not any(text and not _COUNTED.fullmatch(text) for text in descriptions)
    colours: list[str | None] = [c if c in {*RGB, "nir", "alpha"} else None for c in clues.colours]
    colours += [None] * (count - len(colours))
    own = SENSORS[clues.sensor].orders.get(count) if clues.sensor else None
    if own and all(colour in {role, None, "alpha"} for colour, role in zip(colours, own, strict=True)):
        title = SENSORS[clues.sensor or ""].title
        said = f"{count} bands without names are in the order of {title} files: {', '.join(own)}"
        return list(own), [] if set(RGB) <= set(colours) and count == len(RGB) else [said]
    if count in {3, 4} and silent and not set(RGB) <= set(colours):
        assumed = [*RGB, "nir"][:count]
        return list(assumed), [
            f"{count} bands without names were taken as {', '.join(assumed)}; if their order is another "
            '(PlanetScope files are blue, green, red, nir), state "bands" in scene.json'
        ]
    if any(colours) or (count <= len(RGB) and silent):
        return colours, []
    first = "" if silent else f" that say anything (first: {descriptions[0]})"
    return colours, [f'{count} bands have no names{first}: state "bands" in scene.json, in file order']


def _once(found: Sequence[str | None]) -> tuple[str, ...]:
    """Each role but once, for the first band that claims it."""
    first = {role: number for number, role in reversed(list(enumerate(found)))}
    return tuple(
        role if role and first[role] == number else f"band_{number + 1}" for number, role in enumerate(found)
    )


def unread_name(stem: str, clues: BandHints) -> str | None:
    """The name of a layer that shows no reflectance of the ground, if a file's name holds one; else None.

    Such are quality, clouds as bits, heat, angles: `QA_PIXEL`, `ST_B10`, `Fmask`.
    """
    name = name_in_stem(stem, clues.sensor, clues.stated)
    return name if name and _shows_no_ground(name, clues.beside | {name}, clues) else None

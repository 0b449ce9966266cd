"""Files that hold several images: every band called after its image, as Earth Engine's `toBands()` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from agrilape.errors import DataError
from agrilape.sources.bands import BandHints, BandRoles, image_and_band, name_bands, plain
from agrilape.sources.dates import parse_date
from agrilape.sources.sensors import sensor_in


@dataclass(frozen=True)
class Part:
    """One band of a stack.

    Attributes:
        image: Which image it belongs to, as `20210503T103021_20210503T103024_T32UNC`; empty for none.
        acquired: Date of that image.
        name: Name of the band in it, as `B2`; empty in a stack of one unnamed band per date.
    """

    image: str
    acquired: date | None
    name: str


def dates_of_stack(descriptions: Sequence[str | None]) -> list[date | None]:
    """The date of each band whose name holds one, where all do; else None for each."""
    days = [parse_date(text) if text else None for text in descriptions]
    return days if all(days) else [None] * len(days)


def parts_of_stack(path: Path, descriptions: Sequence[str | None]) -> list[Part] | None:
    """The images and bands that the band names of a file spell; None if it is one image.

    Args:
        path: The file, for errors.
        descriptions: Band descriptions: `<image>_<band>`, `<band>_<image>`, or dates.

    Raises:
        DataError: The bands of several images are there without dates, or twice for one date.
    """
    if not descriptions or not all(descriptions):
        return None
    texts = [text for text in descriptions if text]
    days = [parse_date(text) for text in texts]
    parts = [Part(image, day, name) for (image, name), day in zip(_split(texts), days, strict=True)]
    if not all(days):
        _refuse_mixture(path, texts, parts)
        return None
    if len(texts) == 1 and not parts[0].name:
        return None
    if unnamed := [text for text, part in zip(texts, parts, strict=True) if not part.name]:
        if len(set(days)) < len(days):
            raise DataError(
                f"{path} holds several bands of one date, and {len(unnamed)} of {len(texts)} names of bands "
                f"were not understood (first: {unnamed[0]})",
                "end them in the names of bands, as 20210503_red, or export each date to a file of its own",
            )
        return [Part("", part.acquired, "") for part in parts]
    _refuse_repeats(path, texts, parts)
    return parts


def name_stack(parts: Sequence[Part], clues: BandHints, stem: str) -> BandRoles:
    """Roles of a stack's bands: the names of each image are understood by themselves.

    A band without a role is called the same on every date. Where bands have no names but dates, all are what
    the file's name says.

    Args:
        parts: From `parts_of_stack`.
        clues: What is known of the file.
        stem: File name without its suffix.
    """
    if not any(part.name for part in parts):
        one = name_bands([None], replace(clues, colours=(), wavelengths=()), stem)
        known = not one.roles[0].startswith("band_")
        said = 'bands are called by dates alone: state what they are, as "bands": ["ndvi"], in scene.json'
        notes = one.notes if known else (*one.notes, said)
        return BandRoles(one.roles * len(parts), one.names * len(parts), (True,) * len(parts), notes)
    order = {name: n for n, name in enumerate(dict.fromkeys(plain(part.name) for part in parts), start=1)}
    roles, names, read = [""] * len(parts), [plain(part.name) for part in parts], [True] * len(parts)
    heard: dict[str, None] = {}
    for image in dict.fromkeys((part.image, part.acquired) for part in parts):
        members = [n for n, part in enumerate(parts) if (part.image, part.acquired) == image]
        own = replace(clues, sensor=sensor_in(image[0]) or clues.sensor, colours=(), wavelengths=())
        named = name_bands([parts[n].name for n in members], own)
        heard |= dict.fromkeys(named.notes)
        for n, role, shown in zip(members, named.roles, named.read, strict=True):
            roles[n] = f"band_{order[names[n]]}" if role.startswith("band_") else role
            read[n] = shown
    return BandRoles(tuple(roles), tuple(names), tuple(read), tuple(heard))


def _split(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Image and band of each text; an unknown band of an image that others name is what follows its name."""
    found = [image_and_band(text) for text in texts]
    images = sorted({image for image, name in found if image and name}, key=len, reverse=True)
    for number, text in enumerate(texts):
        if not found[number][1]:
            image = next((one for one in images if text.startswith(f"{one}_")), None)
            found[number] = (image, text[len(image) + 1 :]) if image else (text, "")
    return found


def _refuse_repeats(path: Path, texts: Sequence[str], parts: Sequence[Part]) -> None:
    """Refuse two images of one date with the same band: which of the two is meant?"""
    seen: dict[tuple[date | None, str], str] = {}
    for text, part in zip(texts, parts, strict=True):
        first = seen.setdefault((part.acquired, part.name.lower()), text)
        if part.name and first != text:
            raise DataError(
                f"{path} holds {part.name} of {part.acquired} twice, as {first} and as {text}",
                "mosaic the images of one day before they are stacked, or export each to a file of its own",
            )


def _refuse_mixture(path: Path, texts: Sequence[str], parts: Sequence[Part]) -> None:
    """Refuse several images of the same bands without a date."""
    bands: dict[str, set[str]] = {}
    for part in parts:
        bands.setdefault(part.image, set()).add(part.name.lower())
    sets = list(bands.values())
    if len(sets) > 1 and all(part.name for part in parts) and all(names == sets[0] for names in sets):
        raise DataError(
            f"{path} mixes the bands of {len(sets)} images ({texts[0]} ... {texts[-1]}) without their dates",
            "name the bands <date>_<band>, as 20210503_B2, or export each image to a file of its own",
        )

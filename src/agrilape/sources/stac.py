"""Local STAC items and collections, read through pystac (extra `cubes`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agrilape.errors import DataError
from agrilape.files import path_inside
from agrilape.io.json_text import read_json
from agrilape.io.remote import check_remote, is_remote
from agrilape.io.text import read_text
from agrilape.sources.bands import BandHints, name_bands, plain, word_role
from agrilape.sources.cubes import need
from agrilape.sources.dates import parse_date
from agrilape.sources.layers import RasterFile
from agrilape.sources.raster import inspect_raster
from agrilape.sources.scaling import BOA_OFFSET, baseline_of
from agrilape.sources.scene_json import DEFAULT_OPTIONS, ReadOptions
from agrilape.sources.sensors import known_name, sensor_in, sensor_of_tags

_NO_DATA_ROLES = {"thumbnail", "overview", "visual", "metadata"}


def is_stac(path: Path) -> bool:
    """Is a JSON file a STAC item, collection or catalogue?"""
    try:
        content = read_json(path)
    except DataError:
        return False
    return isinstance(content, dict) and "stac_version" in content


def inspect_stac(
    path: Path,
    leave_out: Callable[[Path, str], None],
    reading: ReadOptions = DEFAULT_OPTIONS,
    root: Path | None = None,
) -> list[RasterFile]:
    """The image files of an item, or of all items of a collection: one description per asset.

    Roles come from the assets' band metadata, else their keys; scale, offset and nodata from `raster:bands`
    (`bands` in STAC 1.1), corrected by what is known of the Sentinel-2 baseline.

    Args:
        path: JSON file of an item, collection or catalogue.
        leave_out: Told of assets that cannot be used, and why.
        reading: What the user states of the files.
        root: Folder that links and assets stay in; None for that of the file. Remote ones are read where
            that is allowed.

    Raises:
        DataError: The JSON is no valid STAC.
    """
    pystac = need("pystac", str(path))
    root = root or path.parent
    try:
        known = _read(path, root)
        items = [known] if isinstance(known, pystac.Item) else list(known.get_items(recursive=True))
    except Exception as error:  # pystac raises many kinds for one cause: not such a file, or a link is broken
        raise DataError(f"{path} is not readable STAC: {error}", "export it again with pystac") from error
    return [file for item in items for file in _item(item, path.parent, root, leave_out, reading)]


def _read(path: Path, root: Path) -> Any:
    """The item, collection or catalogue of a file, whose links are followed within a folder only."""
    from pystac import Catalog
    from pystac.stac_io import DefaultStacIO

    class Within(DefaultStacIO):
        def read_text_from_href(self, href: str, *args: Any, **kwargs: Any) -> str:
            if is_remote(href):
                check_remote(href)
                return str(super().read_text_from_href(href, *args, **kwargs))
            return read_text(_within(href, root))

    reader = Within()
    known = reader.read_stac_object(str(path))
    if isinstance(known, Catalog):
        known._stac_io = reader
        known.set_root(known)  # else its link to another root would be followed
    return known


def _within(href: str, root: Path) -> Path:
    """The file of an address that an item names.

    Raises:
        DataError: It lies outside the folder.
    """
    try:
        name = os.path.relpath(href.removeprefix("file://"), root)
    except ValueError as error:
        raise DataError(f"it names {href!r:.200}", "name a file by its path") from error
    remedy = (
        "give the folder that holds both the STAC file and its images, with a pattern such as stac/*.json"
    )
    return path_inside(root, name, "it names a file whose path", remedy)


def _item(
    item: Any, folder: Path, root: Path, leave_out: Callable[[Path, str], None], reading: ReadOptions
) -> Iterator[RasterFile]:
    """The bands of an item, under its own name in the folder: assets may lie anywhere."""
    name = folder / f"{item.id.replace('/', '_')}.json"
    taken: set[str] = set()
    properties = item.properties
    day = parse_date(properties.get("datetime")) or parse_date(properties.get("start_datetime"))
    roles, doubts = _roles(item, reading)
    for doubt in doubts:
        leave_out(name, doubt)
    for key, asset in item.assets.items():
        names = roles.get(key, [])
        if not names or taken & set(names):  # `red-jp2` beside `red`
            continue
        try:
            href = asset.get_absolute_href() or asset.href
            place = href if is_remote(href) else str(_within(href, root))
            file = inspect_raster(place, _stated(item, asset, names, reading))
        except DataError as error:
            leave_out(name, str(error))
        else:
            taken |= set(names)
            # A file's own tags may tell when it was made, not when it was taken.
            yield replace(file, path=name, acquired=day or file.acquired)


def _roles(item: Any, reading: ReadOptions) -> tuple[dict[str, list[str]], list[str]]:
    """The roles of the bands of an item's assets, without those that are no bands, and what is doubtful.

    Common names come first, then the assets' own (`B04`), which the item's platform explains.
    """
    said = {key: _names(key, asset) for key, asset in item.assets.items() if _is_image(asset)}
    beside = frozenset(plain(name) for names in said.values() for name in names)
    stated = reading.bands if isinstance(reading.bands, Mapping) else {}
    clues = BandHints(_sensor(item, reading), stated, beside)
    found: dict[str, list[str]] = {}
    doubts: list[str] = []
    for key, names in said.items():
        named = name_bands(names, clues)
        doubts += named.notes if len(names) == 1 else []
        if all(named.read) and (len(names) > 1 or not named.roles[0].startswith("band_")):
            found[key] = list(named.roles)
    return found, doubts


def _sensor(item: Any, reading: ReadOptions) -> str | None:
    properties = {name: item.properties.get(name) for name in ("platform", "constellation", "instruments")}
    texts = {key.upper(): str(value) for key, value in properties.items() if value}
    return (
        sensor_in(reading.sensor, stated=True)
        or sensor_in(item.id)
        or sensor_in(item.collection_id)
        or sensor_of_tags(texts)
    )


def _is_image(asset: Any) -> bool:
    media = str(asset.media_type or "image")
    return not set(asset.roles or ()) & _NO_DATA_ROLES and media.startswith("image")


def _names(key: str, asset: Any) -> list[str | None]:
    """What an asset calls its bands: by their common names, else their own, else its key."""
    described = [
        next(
            (n for n in (band.get("eo:common_name"), band.get("common_name"), band.get("name")) if _known(n)),
            None,
        )
        for band in asset.extra_fields.get("eo:bands") or asset.extra_fields.get("bands") or ()
    ]
    if len(described) > 1:
        return described
    common = described[0] if described else None
    return [key if word_role(key) or not common else common]


def _known(name: str | None) -> bool:
    return bool(name and (word_role(name) or known_name(plain(name))))


def _stated(item: Any, asset: Any, names: list[str], reading: ReadOptions) -> ReadOptions:
    """What the item states of an asset, unless the user states otherwise.

    Earth Search gives an offset of -0.1 in `raster:bands` whether or not it was taken off already; its
    `earthsearch:boa_offset_applied` decides.
    """
    known: dict[str, Any] = {"bands": tuple(names)}
    baseline = baseline_of(asset.href, item.properties, reading)
    if baseline is not None:
        known |= {"processing_baseline": str(baseline.version), "boa_offset_applied": baseline.applied}
    listed = asset.extra_fields.get("raster:bands") or asset.extra_fields.get("bands") or [{}]
    said = {key.removeprefix("raster:"): value for key, value in listed[0].items()}  # a prefix since STAC 1.1
    if isinstance(said.get("nodata"), int | float):
        known["nodata"] = said["nodata"]
    if "scale" in said or "offset" in said:
        offset = said.get("offset") or 0.0
        if baseline is not None and offset in {0.0, BOA_OFFSET}:
            offset = baseline.offset
        known |= {"scale": said.get("scale") or 1.0, "offset": offset}
    return ReadOptions(
        **(known | reading.model_dump(include=set(ReadOptions.model_fields), exclude_none=True))
    )

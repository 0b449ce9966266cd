"""Field parcels from vector files: GeoPackage, GeoJSON, GeoParquet, shapefile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import shapely

from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.sources import cropland_data_layer
from agrilape.sources.columns import known_column, plain_name, read_numbers
from agrilape.sources.crop_names import are_words, plain_crop, unnamed_code
from agrilape.sources.date_columns import DateOrder, read_dates
from agrilape.sources.scene import Parcel
from agrilape.sources.vectors import (
    is_empty_file,
    parcels_layer,
    polygon_layers,
    polygons_only,
    read_near,
    whole_column,
)

CROP_COLUMNS = (
    "crop", "crop_name", "crop_en", "ec_trans_n", "ec_hcat_n", "hcat_name", "hcat3_name", "crop:name_en",
    "crop:name", "croptype", "crop_type", "cropname", "culture", "crop:code", "crop_code", "cropcode",
    "code_cultu", "kultur", "kulturart", "fruchtart", "hauptfrucht", "snar_bezei", "afgroede",
    "afgrøde", "gewas", "gwsnam_h", "cultivo", "coltura", "nutzcode", "nu_code", "kulturcode", "kultur_code",
    "afgkode", "gewascode", "gwscod_h",
)  # fmt: skip
ID_COLUMNS = (
    "parcel_id", "id", "parcel", "field_id", "fid", "marknr", "id_parcel", "csbid",
)  # fmt: skip
EVENTS: Mapping[str, tuple[str, ...]] = {
    "sowing": ("sowing_date", "sowing", "planting_date", "planting", "planted", "sown", "seeding_date",
               "aussaat", "saatdatum", "aussaatdatum", "semis", "date_semis", "siembra", "fecha_siembra"),
    "emergence": ("emergence_date", "emergence", "auflauf", "aufgang", "levee", "date_levee"),
    "peak": ("peak_date", "peak"),
    "harvest": ("harvest_date", "harvest", "harvested", "harvesting_date", "ernte", "erntedatum", "recolte",
                "date_recolte", "cosecha", "fecha_cosecha"),
}  # fmt: skip
MEASURED = ("row_azimuth_deg",)
"""Further columns of numbers that questions are made from."""

LISTED_CODES = 10  # of the unnamed ones, the most frequent


@dataclass(frozen=True)
class ParcelTable:
    """Parcels of one image.

    Attributes:
        parcels: Those that touch the image, in file order.
        notes: What was done to get them, for people: reprojected, repaired, skipped, with counts.
    """

    parcels: tuple[Parcel, ...]
    notes: tuple[str, ...] = ()


def read_parcels(
    path: Path,
    georeference: Georeference,
    crop_column: str | None = None,
    crops: Mapping[str, str] | None = None,
    date_order: DateOrder | None = None,
    layer: str | None = None,
    year: int | None = None,
) -> ParcelTable:
    """Read the parcels that touch an image, in its pixel coordinates.

    Outlines are not clipped: a parcel may reach beyond the image. Other coordinate systems are reprojected,
    invalid outlines repaired, empty ones skipped; `notes` says how many.

    Args:
        path: A vector file.
        georeference: Grid of the image.
        crop_column: Column with the crop; None to look for the usual names.
        crops: The user's crop names by code.
        date_order: Order of day and month in dates such as 05/06/2021; None to find out.
        layer: Layer with the parcels; None for `parcels`, else the first with polygons.
        year: Of the image, for tables with a crop for every year.

    Raises:
        DataError: The file is unreadable, has no CRS or no polygons, or lies beside the image.
    """
    table, notes = read_near(path, georeference, layer)
    chosen = layer or parcels_layer(path)
    others = [name for name in polygon_layers(path) if name != chosen]
    if others and layer is None:
        notes.append(f"read layer {chosen}, not {', '.join(others)}; `layer` in scene.json chooses")
    found = len(table)
    table, repairs = polygons_only(table)
    notes += repairs
    if not len(table):
        raise _without_polygons(path, layer, found)
    outlines = georeference.to_pixels(np.asarray(table.geometry.array))
    image = shapely.box(0, 0, georeference.width, georeference.height)
    touching = np.flatnonzero(shapely.area(shapely.intersection(outlines, image)) > 0)
    if not touching.size:
        raise _elsewhere(path)
    areas = georeference.areas_ha(np.asarray(table.geometry.array[touching])).tolist()
    facts = table.iloc[touching].drop(columns=table.geometry.name)
    columns = _Columns.among([str(name) for name in facts.columns], crop_column, year, path)
    cells = _Cells.of(facts, columns, crops, date_order, partial(whole_column, path, layer))
    notes += cells.notes
    rows = zip(cells.records(), outlines[touching], areas, strict=True)
    parcels = [Parcel(outline=outline, area_ha=area, **record) for record, outline, area in rows]
    parcels, repeated = _once(parcels)
    if repeated:
        notes.append(f"skipped {repeated} parcels that repeat an outline")
    disordered = sum(not _in_order(parcel) for parcel in parcels)
    if disordered:
        notes.append(f"skipped the dates of {disordered} parcels, which are out of order")
    parcels = [parcel if _in_order(parcel) else _undated(parcel) for parcel in parcels]
    return ParcelTable(tuple(_unique(parcels)), tuple(f"{path.name}: {note}" for note in notes))


class ParcelsOutsideImageError(DataError):
    """Parcels that can be read, but lie on other ground than the image."""


def _elsewhere(path: Path) -> ParcelsOutsideImageError:
    return ParcelsOutsideImageError(
        f"{path} and the image do not overlap",
        "check that both show the same place and that both have their true coordinate system",
    )


def _without_polygons(path: Path, layer: str | None, found: int) -> DataError:
    """Why nothing of a file is a parcel of the image, of which it has so many features nearby."""
    if found:
        return DataError(
            f"{path} holds no polygons where the image lies, but {found:,} features of other kinds",
            "export the outlines of the fields; points belong into observations.geojson",
        )
    if is_empty_file(path, layer):
        return DataError(f"{path} holds no features", "export it again, or remove it")
    return _elsewhere(path)


@dataclass(frozen=True)
class _Columns:
    """Which columns say what; `rest` are the others, by the name that they get."""

    id: str | None
    crop: str | None
    events: Mapping[str, str]
    rest: Mapping[str, str]

    @classmethod
    def among(cls, names: Sequence[str], crop_column: str | None, year: int | None, path: Path) -> _Columns:
        """The columns of a table.

        Raises:
            DataError: There is no `crop_column`.
        """
        stated = crop_column and known_column(names, (plain_name(crop_column),))
        if crop_column and not stated:
            raise DataError(
                f"no column {crop_column!r} in the parcels of {path}", f"choose one of: {', '.join(names)}"
            )
        events = {event: column for event, known in EVENTS.items() if (column := known_column(names, known))}
        identity = known_column(names, ID_COLUMNS)
        crop = stated or known_column(names, CROP_COLUMNS) or _of_year(names, year)
        used = {identity, crop, *events.values()}
        measured = {known_column(names, (name,)): name for name in MEASURED}
        rest = {name: measured.get(name, name) for name in names if name not in used}
        return cls(identity, crop, events, rest)


def _of_year(names: Sequence[str], year: int | None) -> str | None:
    """The column with the crops of a year among those of several, such as CDL2021; else the latest one's."""
    yearly = {int(match[1]): name for name in names if (match := cropland_data_layer.YEARLY.fullmatch(name))}
    return yearly.get(year or 0, yearly[max(yearly)] if yearly else None)


@dataclass(frozen=True)
class _Cells:
    """What the cells of a table say, column by column."""

    ids: Sequence[str]
    crops: Sequence[str | None]
    events: Mapping[str, Sequence[date | None]]
    attributes: Sequence[Mapping[str, Any]]
    notes: Sequence[str]

    @classmethod
    def of(
        cls,
        facts: Any,
        columns: _Columns,
        crops: Mapping[str, str] | None,
        order: DateOrder | None,
        whole: Callable[[str], Iterable[object]],
    ) -> _Cells:
        """Read a table; `whole` gives all values of a column, wherever they lie."""
        named, notes = _crops(facts, columns, crops)
        days: dict[str, Sequence[date | None]] = {}
        for event, column in columns.events.items():
            found = read_dates(column, facts[column].tolist(), order, partial(whole, column))
            days[event] = found.days
            notes += found.notes
        said = {name: facts[column].tolist() for column, name in columns.rest.items()}
        for name in set(said) & set(MEASURED):
            said[name], strange = read_numbers(name, said[name])
            notes += strange
        rows = zip(*said.values(), strict=True) if said else [()] * len(facts)
        attributes = [
            {
                name: plain
                for name, value in zip(said, row, strict=True)
                if (plain := _plain(value)) is not None
            }
            for row in rows
        ]
        ids = [_plain(value) for value in facts[columns.id]] if columns.id else [None] * len(facts)
        return cls(["" if one is None else str(one) for one in ids], named, days, attributes, notes)

    def records(self) -> Iterator[dict[str, Any]]:
        """The fields of a `Parcel` that each row states; its id may be empty."""
        for row, (identity, crop, attributes) in enumerate(
            zip(self.ids, self.crops, self.attributes, strict=True)
        ):
            events = {event: days[row] for event, days in self.events.items()}
            yield {"id": identity, "crop": crop, "attributes": attributes, **events}


def _crops(
    facts: Any, columns: _Columns, crops: Mapping[str, str] | None
) -> tuple[list[str | None], list[str]]:
    """The crop of every row, with notes on codes that have no name and on where it is not stated at all."""
    if columns.crop is None:
        names = ", ".join(columns.rest)
        return [None] * len(facts), [
            f"no column is known to hold the crop; state `crop_column` in scene.json, one of: {names}"
        ]
    said = facts[columns.crop].tolist()
    yearly = cropland_data_layer.YEARLY.fullmatch(columns.crop)
    table = {**cropland_data_layer.CROPS, **(crops or {})} if yearly else crops
    words = are_words(said)
    notes = [f"the crop is that of column {columns.crop}"] if yearly else []
    unnamed = Counter(code for name in said if (code := unnamed_code(name, table, words)))
    if unnamed:
        listed = ", ".join(code for code, _ in unnamed.most_common(LISTED_CODES))
        notes.append(f"the crop of {unnamed.total()} parcels is unknown: crops.csv has no name for {listed}")
    return [plain_crop(name, table, words) for name in said], notes


def _once(parcels: Sequence[Parcel]) -> tuple[list[Parcel], int]:
    """Parcels with each outline once, and how many were skipped; two crops on one outline are unknown."""
    kept: dict[bytes, Parcel] = {}
    shapes = shapely.to_wkb(shapely.normalize([parcel.outline for parcel in parcels]))
    for shape, parcel in zip(shapes, parcels, strict=True):
        first = kept.setdefault(shape, parcel)
        if first.crop != parcel.crop:
            kept[shape] = replace(first, crop=None)
    return list(kept.values()), len(parcels) - len(kept)


def _plain(value: Any) -> str | int | float | bool | None:
    """A value of a table as JSON has it; None for a missing one."""
    if value is None or (pandas.api.types.is_scalar(value) and pandas.isna(value)):
        return None
    if isinstance(value, date):  # pandas' Timestamp is one too
        return value.isoformat()[:10]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # pandas turns integers with gaps into floats
    return value if isinstance(value, str | int | float | bool) else str(value)


def _in_order(parcel: Parcel) -> bool:
    days = [day for event in EVENTS if (day := getattr(parcel, event)) is not None]
    return days == sorted(days)


def _undated(parcel: Parcel) -> Parcel:
    return replace(parcel, sowing=None, emergence=None, peak=None, harvest=None)


def _unique(parcels: Sequence[Parcel]) -> list[Parcel]:
    """Parcels with unique ids, since parts of one farm may share one; nameless ones are numbered."""
    seen: Counter[str] = Counter()
    unique = []
    for number, parcel in enumerate(parcels):
        name = parcel.id or str(number)
        seen[name] += 1
        name = name if seen[name] == 1 else f"{name}-{seen[name]}"
        unique.append(parcel if name == parcel.id else replace(parcel, id=name))
    return unique

"""EuroCrops: declared parcels of EU countries with harmonised crops (Schneider et al. 2023).

Source: github.com/maja601/EuroCrops. Vector files `<country>_<year>/<country>_<year>_EC21.shp` (as GeoPackage
or `..._EuroCrops.*` too) with the country's own columns and `EC_trans_n` (the crop in English), `EC_hcat_n`
and `EC_hcat_c` (name and code of HCAT). Where the HCAT columns are missing, the country's own codes are
looked up in its table `country_mappings/<country>_<year>.csv` (`original_code`, `original_name`,
`HCAT3_name`). Imagery is the user's: each place of the GeoTIFFs in the folder becomes a scene with the
parcels that touch it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.sources.crop_names import read_crop_table
from agrilape.sources.folder import series_scene
from agrilape.sources.formats.release_files import SkippedRows, published
from agrilape.sources.grouping import group_places
from agrilape.sources.layers import RasterFile
from agrilape.sources.parcels import ParcelTable, read_parcels
from agrilape.sources.scene import Scene
from agrilape.sources.scene_json import DEFAULT_OPTIONS
from agrilape.sources.series import assemble
from agrilape.sources.vectors import VECTOR_SUFFIXES, read_near

HCAT_NAME = "ec_hcat_n"
COMMON = 0.5  # share of parcels whose code the country's table knows, in the column that holds codes
# HCAT joins synonyms and runs from the plant to its season; these are the names as people say them.
HCAT = {
    "winter_common_soft_wheat": "winter wheat", "spring_common_soft_wheat": "spring wheat",
    "summer_common_soft_wheat": "spring wheat", "common_soft_wheat": "wheat",
    "winter_durum_hard_wheat": "winter durum wheat", "spring_durum_hard_wheat": "spring durum wheat",
    "durum_hard_wheat": "durum wheat", "grain_maize_corn_popcorn": "grain maize",
    "green_silo_maize": "silage maize", "winter_rapeseed_rape": "winter rapeseed",
    "spring_rapeseed_rape": "spring rapeseed", "rapeseed_rape": "rapeseed", "soy_soybeans": "soybeans",
    "pasture_meadow_grassland_grass": "grassland", "fallow_land_not_crop": "fallow",
    "vineyards_wine_vine_rebland_grapes": "vineyard", "orchards_fruits": "orchard",
    "alfalfa_lucerne": "alfalfa", "lolium_ryegrass": "ryegrass", "festuca_fescue": "fescue",
    "poaceae_grasses": "grass", "flax_linseed": "flax", "hemp_cannabis": "hemp", "carrots_daucus": "carrots",
    "beetroot_beets": "beetroot", "cherry_cherries": "cherries", "hazelnuts_hazel": "hazelnuts",
    "tree_wood_forest": "forest", "afforestation_reforestation": "afforestation", "populus": "poplar",
    "willows_osiers": "willow", "nurseries_nursery": "tree nursery", "olive_plantations": "olives",
    "citrus_plantations": "citrus", "greenhouse_foil_film": "greenhouse",
    "millet_sorghum": "millet or sorghum",
    "pumpkin_squash_gourd": "pumpkin", "sod_turf": "turf", "not_known_and_other": "",
}  # fmt: skip


def read(folder: Path, omissions: SkippedRows) -> Iterator[Scene]:
    """A scene for each place that the folder's GeoTIFFs show."""
    found = published(folder, "**/*_EC21.*", "**/*_EC.*", "**/*EuroCrops*")
    vectors = [path for path in found if path.suffix.lower() in VECTOR_SUFFIXES]
    images = published(folder, "**/*.tif")
    for files in group_places(images, DEFAULT_OPTIONS, omissions.add):
        try:
            yield _scene(folder, files, vectors)
        except Exception as error:
            omissions.add(files[0].path, error)


def country_codes(folder: Path, vectors: Path) -> dict[str, str]:
    """Crop names by the codes of a country's own tables, and by HCAT's names.

    Args:
        folder: Holds the tables, perhaps of all countries: they use the same codes for different crops.
        vectors: The country's parcels; their name begins with the country's, as its tables' names do.
    """
    words = vectors.stem.lower().split("_")
    country = "_".join(takewhile(str.isalpha, words))
    tables = sorted(folder.glob("**/country_mappings/*.csv"))
    own = [table for table in tables if f"{table.stem.lower()}_".startswith(f"{country}_")]
    of_year = [table for table in own if table.stem.lower() == "_".join(words[: country.count("_") + 2])]
    codes = dict(HCAT)
    for table in of_year or own or tables[: len(tables) == 1]:
        codes |= {code: HCAT.get(name, name) for code, name in read_crop_table(table).items()}
    return codes


def crop_column(table: Any, codes: Mapping[str, str]) -> str:
    """The column that holds the crop: HCAT's name, else the one whose values are mostly known codes.

    Args:
        table: Parcels near an image.
        codes: Names by code.

    Raises:
        DataError: There is neither.
    """
    columns = [str(column) for column in table.columns if column != table.geometry.name]
    for column in columns:
        if column.lower() == HCAT_NAME:
            return column
    shares = {column: float(table[column].map(_said).isin(codes.keys()).mean()) for column in columns}
    best = max(columns, key=lambda column: shares[column], default=None)
    if best is None or not shares[best] >= COMMON:
        raise DataError(
            "no column of the parcels holds HCAT names or codes of a country's table",
            "put the country's table beside the parcels, named as they are: country_mappings/dk_2019.csv",
        )
    return best


def _said(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _scene(folder: Path, files: Sequence[RasterFile], vectors: Sequence[Path]) -> Scene:
    series = assemble(files)
    if series.grid.georeference is None:
        raise DataError(f"{files[0].path} has no place on the map", "give georeferenced images")
    table = _parcels(folder, vectors, series.grid.georeference)
    meta = {
        "licence": "CC BY 4.0 (EuroCrops)",
        "citation": "Schneider et al. (2023) EuroCrops, Scientific Data",
        "notes": [*series.notes, *table.notes],
    }
    name = files[0].path.relative_to(folder).with_suffix("").as_posix()
    return series_scene(
        name, "eurocrops", series, parcels=table.parcels, exhaustively_labelled=False, meta=meta
    )


def _parcels(folder: Path, vectors: Sequence[Path], place: Georeference) -> ParcelTable:
    """The parcels of the first country that the image shows.

    Raises:
        DataError: No file has any there; the first one's error.
    """
    first: DataError | None = None
    for path in vectors:
        try:
            near, _ = read_near(path, place)
            if len(near):
                codes = country_codes(folder, path)
                return read_parcels(path, place, crop_column(near, codes), codes)
        except DataError as error:
            first = first or error
    raise first or DataError("no parcels lie where the image is", "give the files of the image's country")

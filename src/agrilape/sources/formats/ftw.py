"""Fields of The World: Sentinel-2 chips of two seasons with field outlines (Kerner et al. 2024).

Source: fieldsofthe.world. `<country>/s2_images/window_{a,b}/<id>.tif` (red, green, blue, nir),
`<country>/label_masks/instance/<id>.tif` (one number per field, 0 for none),
`<country>/chips_<country>.parquet` with `aoi_id` and `split`. Chips do not say their dates, so each window
is a still; both windows of a place are one group.
"""

from __future__ import annotations

from collections.abc import Iterator
from glob import escape
from pathlib import Path

import pandas
from rasterio.errors import RasterioError

from agrilape.errors import DataError
from agrilape.io.gdal import open_raster
from agrilape.sources.discovery import find_files
from agrilape.sources.folder import series_scene
from agrilape.sources.formats.instances import instance_outlines
from agrilape.sources.formats.release_files import SkippedRows, published
from agrilape.sources.layers import Grid
from agrilape.sources.raster import inspect_raster
from agrilape.sources.scene import Parcel, Scene
from agrilape.sources.scene_json import ReadOptions
from agrilape.sources.series import assemble

WINDOWS = ("window_a", "window_b")
READING = ReadOptions(bands=("red", "green", "blue", "nir"), scale=1e-4)
# Countries where only some fields are labelled: ground outside them is unknown (the baselines' settings).
PARTLY_LABELLED = {
    "brazil", "india", "kenya", "rwanda", "cerrado2", "altoparana_training", "altoparana_validation",
    "peruvianamazon_training", "peruvianamazon_validation",
}  # fmt: skip


def read(folder: Path, omissions: SkippedRows) -> Iterator[Scene]:
    """Two scenes for each chip of each country; `meta` has the country and the split."""
    tables: dict[Path, dict[str, str]] = {}
    for mask in published(folder, "label_masks/instance/*.tif", "*/label_masks/instance/*.tif"):
        country = mask.parents[2]
        if country not in tables:
            tables[country] = _splits(country, omissions)
        for window in WINDOWS:
            images = find_files(country / "s2_images" / window, f"{escape(mask.stem)}.tif")
            image = next(images, country / "s2_images" / window / mask.name)
            try:
                yield _scene(image, mask, country.name, window, tables[country].get(mask.stem))
            except Exception as error:
                omissions.add(image, error)


def _scene(image: Path, mask: Path, country: str, window: str, split: str | None) -> Scene:
    series = assemble([inspect_raster(image, READING)])
    meta = {
        "group": f"{country}/{mask.stem}",
        "sensor": "Sentinel-2 MSI",
        "country": country,
        "split": split,
        "citation": "Kerner et al. (2024) Fields of The World, arXiv:2409.16252",
    }
    return series_scene(
        f"{country}/{mask.stem}/{window}", "ftw", series, parcels=tuple(_parcels(mask, series.grid)),
        exhaustively_labelled=country not in PARTLY_LABELLED, meta=meta,
    )  # fmt: skip


def _parcels(mask: Path, grid: Grid) -> Iterator[Parcel]:
    """The fields of a mask on the image's own pixels.

    Raises:
        DataError: It cannot be read, or lies on other pixels.
    """
    try:
        with open_raster(mask) as opened:
            numbers, transform = opened.read(1), opened.transform
    except (RasterioError, OSError) as error:
        raise DataError(f"{mask} cannot be read: {error}", "download it again") from error
    if numbers.shape != (grid.height, grid.width) or not transform.almost_equals(grid.transform, 1e-6):
        raise DataError("a mask lies on other pixels than its image", "download both again")
    place = grid.georeference
    for number, outline in instance_outlines(numbers):
        yield Parcel(str(number), outline, None, place.area_ha(place.from_pixels(outline)) if place else None)


def _splits(country: Path, omissions: SkippedRows) -> dict[str, str]:
    """The split of each chip; empty without the country's table."""
    path = country / f"chips_{country.name}.parquet"
    if not path.is_file():
        return {}
    try:
        chips = pandas.read_parquet(path, columns=["aoi_id", "split"])
    except (OSError, ValueError) as error:
        omissions.add(path, error)
        return {}
    return dict(zip(chips["aoi_id"].astype(str), chips["split"].astype(str), strict=True))

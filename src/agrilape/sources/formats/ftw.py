"""Fields of The World: Sentinel-2 chips of two seasons with field outlines (Kerner et al. 2024).

Source: fieldsofthe.world. `<country>/s2_images/window_{a,b}/<id>.tif` (red, green, blue, nir),
`<country>/label_masks/instance/<id>.tif` (one number per field, 0 for none),
`<country>/chips_<country>.parquet` with `aoi_id` and `split`. Chips do not say their dates, so each window
is a still; both windows of a place are one group.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas

from agrilape.errors import AgrilapeError
from agrilape.sources.facts import Reading
from agrilape.sources.folder import series_scene
from agrilape.sources.formats.common import Omissions, published
from agrilape.sources.masks import parcels_from_mask
from agrilape.sources.raster import inspect_raster
from agrilape.sources.scene import Scene
from agrilape.sources.series import assemble

WINDOWS = ("window_a", "window_b")
READING = Reading(bands=("red", "green", "blue", "nir"), scale=1e-4)
# Countries where only some fields are labelled: ground outside them is unknown (the baselines' settings).
PARTLY_LABELLED = {
    "brazil", "india", "kenya", "rwanda", "cerrado2", "altoparana_training", "altoparana_validation",
    "peruvianamazon_training", "peruvianamazon_validation",
}  # fmt: skip


def read(folder: Path, omissions: Omissions) -> Iterator[Scene]:
    """Two scenes for each chip of each country; `meta` has the country and the split."""
    for mask in published(folder, "label_masks/instance/*.tif", "*/label_masks/instance/*.tif"):
        country = mask.parents[2]
        splits = _splits(country)
        for window in WINDOWS:
            image = country / "s2_images" / window / mask.name
            try:
                yield _scene(image, mask, country.name, window, splits.get(mask.stem))
            except AgrilapeError as error:
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
        f"{country}/{mask.stem}/{window}", "ftw", series, parcels=parcels_from_mask(mask, series.grid),
        fully_labelled=country not in PARTLY_LABELLED, meta=meta,
    )  # fmt: skip


def _splits(country: Path) -> dict[str, str]:
    """The split of each chip; empty without the country's table."""
    table = country / f"chips_{country.name}.parquet"
    if not table.is_file():
        return {}
    chips = pandas.read_parquet(table, columns=["aoi_id", "split"])
    return dict(zip(chips["aoi_id"].astype(str), chips["split"].astype(str), strict=True))

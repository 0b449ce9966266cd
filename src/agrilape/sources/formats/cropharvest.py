"""CropHarvest: labelled points all over the world with a year of monthly measurements (Tseng et al. 2021).

`labels.geojson` has `dataset`, `index` (or `dataset_index`), `lat`, `lon`, `is_crop`, `label`,
`export_end_date`, `planting_date` and `harvest_date`; `features/arrays/<index>_<dataset>.h5` the array `[12
months, 18 bands]` (github.com/nasaharvest/cropharvest). A month is 30 days, the last one ends at
`export_end_date`; here its middle is its date. There are no images: to label imagery of one's own, copy
`labels.geojson` beside it as `observations.geojson`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrilape.errors import DataError
from agrilape.files import path_inside
from agrilape.sources.crop_names import plain_crop
from agrilape.sources.dates import parse_date
from agrilape.sources.formats.release_files import SkippedRows, published
from agrilape.sources.observations import PointSeries
from agrilape.sources.vectors import read_vector

MONTHS, DAYS = 12, 30
REFLECTANCE = 1e-4
# Band of an array -> role and factor; radar, height and slope stand between and around these.
ROLES = {
    2: ("blue", REFLECTANCE), 3: ("green", REFLECTANCE), 4: ("red", REFLECTANCE),
    5: ("red_edge_1", REFLECTANCE), 6: ("red_edge_2", REFLECTANCE), 7: ("red_edge_3", REFLECTANCE),
    8: ("nir", REFLECTANCE), 9: ("nir_narrow", REFLECTANCE), 11: ("swir_1", REFLECTANCE),
    12: ("swir_2", REFLECTANCE), 13: ("temperature_k", 1.0), 14: ("precipitation_m", 1.0), 17: ("ndvi", 1.0),
}  # fmt: skip
BANDS = 18


def read(folder: Path, omissions: SkippedRows) -> Iterator[PointSeries]:
    """A series for each label whose array is there."""
    (path,) = published(folder, "labels.geojson")
    table = read_vector(path)
    for number, record in enumerate(table.drop(columns=table.geometry.name).to_dict("records"), start=1):
        try:
            yield _series(folder, record)
        except Exception as error:
            omissions.add(path, error, number)


def _series(folder: Path, record: Mapping[str, Any]) -> PointSeries:
    index = int(record["index"] if "index" in record else record["dataset_index"])
    name = f"{index}_{record['dataset']}"
    try:
        path = path_inside(folder, f"features/arrays/{name}.h5")
    except DataError as error:  # said alike for all such names, which are counted by what is said of them
        raise ValueError("the name of a data set leads out of the folder") from error
    if not path.is_file():
        raise ValueError("the measurements of a label are not there")
    end = parse_date(record["export_end_date"])
    if end is None:
        raise ValueError("a label has no date")
    array = _array(path)
    values = {role: tuple((array[:, band] * scale).tolist()) for band, (role, scale) in ROLES.items()}
    return PointSeries(name, _label(record), float(record["lon"]), float(record["lat"]), months(end), values)


def months(end: date) -> tuple[date, ...]:
    """The middle of each month of a series that ends on a day."""
    start = end - timedelta(days=MONTHS * DAYS)
    return tuple(start + timedelta(days=month * DAYS + DAYS // 2) for month in range(MONTHS))


def _label(record: Mapping[str, Any]) -> str | None:
    """What grows at a point: its label, else whether anything does."""
    named = plain_crop(record["label"]) if record.get("label") else None
    if named is None and record.get("is_crop") in (0, 1):
        return "crop" if record["is_crop"] else "no crop"
    return named


def _array(path: Path) -> NDArray[np.float64]:
    """The measurements `[12, 18]`.

    Raises:
        DataError: They cannot be read, or what reads them is not installed.
    """
    try:
        import netCDF4  # HDF5 files are NetCDF-4's own form
    except ImportError as error:
        raise DataError("netCDF4 is not installed", "pip install 'agrilape[cubes]'") from error
    try:
        with netCDF4.Dataset(path) as content:
            array: NDArray[np.float64] = np.ma.filled(np.ma.asarray(content["array"][:], dtype=float), np.nan)
    except (OSError, IndexError, KeyError, RuntimeError) as error:
        raise DataError(f"{path} is not a readable array", "download it again") from error
    if array.shape != (MONTHS, BANDS):
        raise ValueError(f"the measurements are {array.shape}, not {(MONTHS, BANDS)}")
    return array

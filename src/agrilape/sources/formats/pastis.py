"""PASTIS: Sentinel-2 series of French farmland with every parcel's crop (Garnot and Landrieu 2021).

`metadata.geojson` has one feature per patch: `ID_PATCH`, `TILE`, `Fold`, `dates-S2` (`{"0": 20180910,
...}`) and its footprint. `DATA_S2/S2_<id>.npy` is `[dates, 10 bands, 128, 128]` (reflectance x 10,000, all
10 m grid), `ANNOTATIONS/TARGET_<id>.npy` the class of each pixel in its first layer, and
`INSTANCE_ANNOTATIONS/INSTANCES_<id>.npy` the parcel (github.com/VSainteuf/pastis-benchmark).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.geo.timewindow import TimeWindow
from agrilape.io.json_text import parse_json
from agrilape.sources import composite as composites
from agrilape.sources.dates import parse_date
from agrilape.sources.formats.instances import instance_outlines
from agrilape.sources.formats.release_files import SkippedRows, published
from agrilape.sources.scene import Parcel, PixelWindow, Scene
from agrilape.sources.vectors import read_vector

BANDS = (
    "blue", "green", "red", "red_edge_1", "red_edge_2", "red_edge_3", "nir", "nir_narrow", "swir_1", "swir_2",
)  # fmt: skip
CROPS = {
    1: "meadow", 2: "winter wheat", 3: "maize", 4: "winter barley", 5: "winter rapeseed", 6: "spring barley",
    7: "sunflower", 8: "vineyard", 9: "beet", 10: "winter triticale", 11: "winter durum wheat",
    12: "fruit, vegetables or flowers", 13: "potatoes", 14: "leguminous fodder", 15: "soybeans",
    16: "orchard", 17: "mixed cereal", 18: "sorghum",
}  # fmt: skip
VOID = 19  # parcels that are mostly outside the patch, or of another crop
GSD = 10.0  # metres
# The first of the benchmark's five turns.
FOLDS = {1: "train", 2: "train", 3: "train", 4: "val", 5: "test"}
SCALE = 1e-4  # reflectance of a stored number
STRAY = 0.005  # share by which a footprint may miss an upright square of 10 m pixels
SAMPLED = 4  # pixels between those that the stretch is taken from


@dataclass(frozen=True)
class ArrayFrame:
    """One date of a NumPy file `[dates, bands, height, width]`, mapped into memory and read by window.

    Attributes:
        path: The file.
        index: Number of the date.
        acquired: Its date.
        stretch: Values shown as 0 and 255, by role.
    """

    path: str
    index: int
    acquired: date
    stretch: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def bands(self) -> tuple[str, ...]:
        """Sentinel-2's 10 m and 20 m bands, and the indices that they give."""
        return BANDS + composites.derivable_indices(BANDS)

    def read(self, window: PixelWindow, bands: tuple[str, ...]) -> NDArray[np.float32]:
        """Reflectance of a window, `[bands, height, width]`; NaN outside the patch and without data.

        Raises:
            DataError: A band is none of Sentinel-2's, nor an index of them.
        """
        strange = [name for name in bands if name not in self.bands and composites.index_of(name) is None]
        if strange:
            raise DataError(f"no band {', '.join(strange)} in {self.path}", f"it has {', '.join(self.bands)}")
        values = {role: self._band(window, role) for name in bands for role in _inputs(name)}
        return np.stack([_value(name, values) for name in bands])

    def picture(self, window: PixelWindow, composite: str) -> NDArray[np.uint8]:
        """8-bit RGB `[height, width, 3]` of a window."""
        bands = composites.composite_bands(composite, self.bands)
        return composites.render(self.read(window, bands), bands, self.stretch)

    def _band(self, window: PixelWindow, role: str) -> NDArray[np.float32]:
        values = np.full((window.height, window.width), np.nan, np.float32)
        left, top = max(window.column, 0), max(window.row, 0)
        bottom, right = (max(edge, 0) for edge in (window.row + window.height, window.column + window.width))
        part = _mapped(self.path)[self.index, BANDS.index(role), top:bottom, left:right]
        rows, columns = part.shape
        stored = part.astype(np.float32)
        into = values[top - window.row :, left - window.column :][:rows, :columns]
        into[:] = np.where(stored > 0, stored * np.float32(SCALE), np.nan)
        return values


def _inputs(name: str) -> tuple[str, ...]:
    index = None if name in BANDS else composites.index_of(name)
    return composites.inputs_of(index.formula) if index else (name,)


def _value(name: str, values: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    index = None if name in BANDS else composites.index_of(name)
    return composites.evaluate_formula(index.formula, values) if index else values[name]


@lru_cache(maxsize=16)
def _mapped(path: str) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim != 4 or array.shape[1] != len(BANDS):
        raise ValueError("the series is not [dates, 10 bands, height, width]")
    return array


def read(folder: Path, omissions: SkippedRows) -> Iterator[Scene]:
    """One scene per patch, in order of number; `meta` has the official fold."""
    (path,) = published(folder, "metadata.geojson")
    table = read_vector(path)
    for record, footprint in zip(table.to_dict("records"), table.geometry, strict=True):
        try:
            yield _scene(folder, record, footprint, table.crs)
        except Exception as error:
            omissions.add(path, error, f"patch {record.get('ID_PATCH')}")


def _scene(folder: Path, record: Mapping[str, Any], footprint: shapely.Geometry, crs: Any) -> Scene:
    patch = int(record["ID_PATCH"])
    path = folder / "DATA_S2" / f"S2_{patch}.npy"
    array = _mapped(str(path))
    days = _dates(record["dates-S2"], len(array))
    height, width = array.shape[2:]
    place = patch_grid(footprint, crs, str(record.get("TILE", "")), width, height)
    stretch = _stretch(array)
    order = sorted(range(len(days)), key=lambda index: days[index])
    classes = _classes(folder, patch)
    meta = {
        "group": f"pastis/{patch}", "sensor": "Sentinel-2 MSI", "gsd_m": GSD,
        "fold": record.get("Fold"), "split": FOLDS.get(int(record.get("Fold") or 0)),
        "citation": "Garnot and Landrieu (2021) PASTIS, ICCV",
    }  # fmt: skip
    return Scene(
        id=f"pastis/{patch}", source="pastis",
        frames=tuple(ArrayFrame(str(path), index, days[index], stretch) for index in order),
        width=width, height=height, georeference=place,
        window=TimeWindow(min(days), max(days)) if len(set(days)) > 1 else None,
        parcels=tuple(_parcels(folder, patch, classes, place)),
        exhaustively_labelled=not (classes == VOID).any(),
        meta=meta,
    )  # fmt: skip


def _stretch(array: NDArray[Any]) -> dict[str, tuple[float, float]]:
    stored = array[:, :, ::SAMPLED, ::SAMPLED].astype(np.float32)
    values = np.where(stored > 0, stored * np.float32(SCALE), np.float32(np.nan))
    return composites.percentile_stretch({role: values[:, n] for n, role in enumerate(BANDS)})


def _classes(folder: Path, patch: int) -> NDArray[np.int64]:
    target = np.load(folder / "ANNOTATIONS" / f"TARGET_{patch}.npy", allow_pickle=False)
    classes: NDArray[np.int64] = (target[0] if target.ndim == 3 else target).astype(int)
    return classes


def _dates(stated: Any, count: int) -> list[date]:
    """The dates of a series in its own order.

    Raises:
        ValueError: One is missing.
    """
    table = parse_json(stated) if isinstance(stated, str) else dict(stated)
    days = [day for index in range(count) if (day := parse_date(table[str(index)]))]
    if len(days) != count:
        raise ValueError("a date cannot be read")
    return days


def _parcels(
    folder: Path, patch: int, classes: NDArray[np.int64], place: Georeference | None
) -> Iterator[Parcel]:
    """Parcels by number, with the class that most of their pixels have; void ones have no known crop."""
    numbers = np.load(folder / "INSTANCE_ANNOTATIONS" / f"INSTANCES_{patch}.npy", allow_pickle=False)
    for number, outline in instance_outlines(numbers):
        code = int(np.bincount(classes[numbers == number]).argmax())
        area = place.area_ha(place.from_pixels(outline)) if place else outline.area * GSD**2 / 10_000
        yield Parcel(str(number), outline, CROPS.get(code), area, attributes={"class": code})


def patch_grid(
    footprint: shapely.Geometry, crs: Any, tile: str, width: int, height: int
) -> Georeference | None:
    """The pixel grid of a patch: its footprint, in whichever system makes it upright and of 10 m pixels.

    Footprints are published in Lambert-93 while Sentinel-2's own grid is the tile's UTM zone. A place is only
    claimed where one of the two fits.

    Args:
        footprint: Of the patch.
        crs: Its coordinate system.
        tile: Sentinel-2 tile, as T31TFM.
        width: Columns.
        height: Rows.
    """
    digits = tile.upper().removeprefix("T")[:2]
    found: list[tuple[float, Georeference]] = []
    for system in [crs.to_string()] + ([f"EPSG:326{digits}"] if digits.isdigit() else []):
        here = geopandas.GeoSeries([footprint], crs=crs).to_crs(system).iloc[0]
        left, bottom, right, top = here.bounds
        sides = np.array([right - left, top - bottom])
        stray = max(np.abs(sides / (np.array([width, height]) * GSD) - 1).max(), 1 - here.area / sides.prod())
        if stray <= STRAY:
            transform = Affine(sides[0] / width, 0, left, 0, -sides[1] / height, top)
            found.append((float(stray), Georeference(system, transform, width, height)))
    return min(found, key=lambda fit: fit[0])[1] if found else None

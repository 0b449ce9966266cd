"""One simulated scene, from seed to files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from agrilape.config.recipe import SimulateSource
from agrilape.errors import RecipeError
from agrilape.files import whole_folder
from agrilape.geo.georeference import Georeference
from agrilape.simulate.canvas import Floats, paint
from agrilape.simulate.farmland import WINDOW, Farmland, grow_farmland
from agrilape.simulate.regions import REGIONS, Region
from agrilape.simulate.render import StaticLayers, make_static_layers, render
from agrilape.simulate.sky import acquisition_days, draw_weather
from agrilape.simulate.truth import calendar_date, truth_layers
from agrilape.simulate.writer import write_image, write_json, write_truth

_SMALLEST_M = 100.0
SIMULATOR_VERSION = "0.1.0"
"""The version of agrilape that last changed what a seed gives: data sets made from scenes depend on it."""


def simulate_scene(folder: Path, config: SimulateSource, index: int) -> Path:
    """Simulate one scene and write it to `folder/scene_<index>`, replacing what is there once all is written.

    The scene holds `YYYYMMDD.tif` for each date, `parcels.gpkg` with the layers `parcels`, `landcover` and
    `stress_zones`, and `scene.json`. It depends on the configuration and the index alone: the same two give
    the same bytes.

    Args:
        folder: Folder of all scenes.
        config: Size, sampling distance, dates, years and seed.
        index: Number of the scene, from 0.

    Returns:
        The scene's folder.

    Raises:
        RecipeError: More dates are asked for than the season has days, or the scene is too small for fields.
    """
    drawn = draw_scene(config, index)
    target = folder / f"scene_{index:04d}"
    with whole_folder(target) as draft:
        for acquired, image, mask in drawn.acquisitions():
            write_image(draft, acquired, image, mask, drawn.grid)
        write_truth(draft / "parcels.gpkg", truth_layers(drawn.farmland, drawn.grid))
        write_json(draft / "scene.json", drawn.facts)
    return target


@dataclass(frozen=True)
class DrawnScene:
    """A scene before it is written.

    Attributes:
        config: What was asked for.
        index: Number of the scene.
        grid: Its pixels on the map.
        farmland: The truth.
        ground: Patterns of soil, growth and rows, and which field each pixel shows.
        weather: Draws dates and clouds.
        noise: Draws what the sensor adds.
    """

    config: SimulateSource
    index: int
    grid: Georeference
    farmland: Farmland
    ground: StaticLayers
    weather: np.random.Generator
    noise: np.random.Generator

    def acquisitions(self) -> Iterator[tuple[date, Floats, NDArray[np.bool_] | None]]:
        """Render the dates in order, once: the date, reflectance `[4, H, W]`, cloud mask `[H, W]` or None."""
        for day in acquisition_days(self.weather, self.config.dates, *WINDOW):
            sky = draw_weather(self.weather, self.config.size, self.config.gsd)
            image = render(self.noise, self.ground, day, sky)
            yield calendar_date(self.farmland.year, day), image, None if sky is None else sky.mask

    @property
    def facts(self) -> dict[str, object]:
        """What the files do not say, JSON-ready."""
        first, last = (calendar_date(self.farmland.year, day).isoformat() for day in WINDOW)
        return {
            "version": SIMULATOR_VERSION,
            "seed": self.config.seed,
            "index": self.index,
            "sensor": "simulated multispectral",
            "region": self.farmland.region.name,
            "year": self.farmland.year,
            "crs": self.grid.crs,
            "gsd_m": self.config.gsd,
            "window": {"start": first, "end": last},
            "exhaustively_labelled": True,
        }


def draw_scene(config: SimulateSource, index: int) -> DrawnScene:
    """Draw a scene; arguments and errors as in `simulate_scene`."""
    _check(config)
    place, growth, weather, pixels = np.random.default_rng([config.seed, index]).spawn(4)
    region = REGIONS[np.random.default_rng(config.seed).permutation(len(REGIONS))[index % len(REGIONS)]]
    year = int(place.choice(config.years))
    grid = _grid(place, region, config)
    farmland = grow_farmland(growth, region, year, config.size * config.gsd, config.gsd)
    ground = make_static_layers(pixels, farmland, paint(farmland.landscape, config.size, config.gsd))
    return DrawnScene(config, index, grid, farmland, ground, weather, pixels)


def _check(config: SimulateSource) -> None:
    season, extent = WINDOW[1] - WINDOW[0], config.size * config.gsd
    if config.dates > season:
        raise RecipeError(
            f"{config.dates} dates do not fit into a season of {season} days",
            f"set `dates` to at most {season}",
        )
    if extent < _SMALLEST_M:
        raise RecipeError(
            f"a scene of {extent:g} m holds no field",
            f"raise `size` or `gsd` until their product is at least {_SMALLEST_M:g} m",
        )


def _grid(rng: np.random.Generator, region: Region, config: SimulateSource) -> Georeference:
    """The UTM grid of a place somewhere in the region, its corner on a multiple of the pixel."""
    longitude, latitude = rng.uniform(*region.longitude), rng.uniform(*region.latitude)
    zone = int((longitude + 180) // 6) + 1
    crs = f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}"
    corner = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(longitude, latitude)
    west, north = (round(metres / config.gsd) * config.gsd for metres in corner)
    return Georeference(crs, Affine(config.gsd, 0, west, 0, -config.gsd, north), config.size, config.size)

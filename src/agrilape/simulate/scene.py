"""One simulated scene, from seed to files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import Transformer

from agrilape import __version__
from agrilape.config.recipe import SimulateSource
from agrilape.errors import RecipeError
from agrilape.geo.georeference import Georeference
from agrilape.simulate.canvas import paint
from agrilape.simulate.farmland import WINDOW, grow_farmland
from agrilape.simulate.regions import REGIONS, Region
from agrilape.simulate.render import prepare_ground, render
from agrilape.simulate.sky import acquisition_days, draw_weather
from agrilape.simulate.truth import calendar_date, truth_layers
from agrilape.simulate.writer import whole_folder, write_image, write_json, write_truth

_SMALLEST_M = 100.0


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
    _check(config)
    place, growth, weather, pixels = np.random.default_rng([config.seed, index]).spawn(4)
    region = REGIONS[np.random.default_rng(config.seed).permutation(len(REGIONS))[index % len(REGIONS)]]
    year = int(place.choice(config.years))
    grid = _grid(place, region, config)
    farmland = grow_farmland(growth, region, year, config.size * config.gsd, config.gsd)
    ground = prepare_ground(pixels, farmland, paint(farmland.landscape, config.size, config.gsd))
    target = folder / f"scene_{index:04d}"
    with whole_folder(target) as draft:
        for day in acquisition_days(weather, config.dates, *WINDOW):
            sky = draw_weather(weather, config.size, config.gsd)
            image = render(pixels, ground, day, sky)
            write_image(draft, calendar_date(year, day), image, None if sky is None else sky.mask, grid)
        write_truth(draft / "parcels.gpkg", truth_layers(farmland, grid))
        write_json(draft / "scene.json", _facts(config, index, region, year, grid))
    return target


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


def _facts(
    config: SimulateSource, index: int, region: Region, year: int, grid: Georeference
) -> dict[str, object]:
    first, last = (calendar_date(year, day).isoformat() for day in WINDOW)
    return {
        "version": __version__,
        "seed": config.seed,
        "index": index,
        "sensor": "simulated multispectral",
        "region": region.name,
        "year": year,
        "crs": grid.crs,
        "gsd_m": config.gsd,
        "window": {"start": first, "end": last},
        "fully_labelled": True,
    }

"""One simulated scene, from seed to files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import date, timedelta
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from affine import Affine
from shapely import Geometry

from agrilape import __version__
from agrilape.config.recipe import SimulateSource
from agrilape.errors import RecipeError
from agrilape.simulate import phenology, spectra
from agrilape.simulate.canvas import Canvas, _burn, paint, row_azimuths, rows
from agrilape.simulate.crops import CROPS, NATURE
from agrilape.simulate.landscape import Landscape, build_landscape
from agrilape.simulate.phenology import DAYS, Dates, Season
from agrilape.simulate.regions import REGIONS, Region
from agrilape.simulate.render import Ground, prepare_ground, render
from agrilape.simulate.sky import acquisition_days, draw_weather
from agrilape.simulate.stress import CAUSES, StressZone, draw_stress
from agrilape.simulate.writer import whole_folder, write_image, write_json, write_truth

WINDOW = (32, 304)
"""Days of the year that a scene's calendar spans: February to October."""
_IRRIGATED = ("maize", "sugar beet", "potato", "winter wheat", "sunflower")


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
        RecipeError: If more dates are asked for than the season has days.
    """
    if config.dates > WINDOW[1] - WINDOW[0]:
        raise RecipeError(
            f"{config.dates} dates do not fit into a season of {WINDOW[1] - WINDOW[0]} days",
            "set `dates` to a smaller number",
        )
    place, land, growth, weather, pixels = np.random.default_rng([config.seed, index]).spawn(5)
    region = REGIONS[np.random.default_rng(config.seed).permutation(len(REGIONS))[index % len(REGIONS)]]
    year = int(place.choice(config.years))
    crs, transform = _grid(place, region, config)
    extent = config.size * config.gsd
    landscape = build_landscape(land, region, extent, smallest=max(16 * config.gsd**2, 500 * min(1, config.gsd / 5)))
    crops = _choose_crops(growth, region, landscape)
    season = phenology.draw_season(growth, [*crops, *NATURE], year, region.shift, region.vigour)
    zones = draw_stress(growth, landscape, season, config.gsd)
    curves = spectra.ndvi(spectra.reflectance(season.canopy(DAYS), season.crops, region.soil))
    dates = phenology.read_dates(season, curves, WINDOW)
    ground = _ground(pixels, region, landscape, season, zones, config)
    target = folder / f"scene_{index:04d}"
    with whole_folder(target) as draft:
        for day in acquisition_days(weather, config.dates, *WINDOW):
            sky = draw_weather(weather, config.size, config.gsd)
            image = render(pixels, ground, day, sky)
            mask = np.zeros(image.shape[1:], bool) if sky is None else sky.mask
            write_image(draft, _date(year, day), image, mask, crs, transform)
        write_truth(draft / "parcels.gpkg", _layers(landscape, crops, dates, zones, year, crs, transform, extent))
        write_json(
            draft / "scene.json",
            {
                "version": __version__, "seed": config.seed, "index": index, "crs": crs, "gsd_m": config.gsd,
                "region": region.name, "year": year, "window_start": _date(year, WINDOW[0]).isoformat(),
                "window_end": _date(year, WINDOW[1]).isoformat(),
            },
        )  # fmt: skip
    return target


def _grid(rng: np.random.Generator, region: Region, config: SimulateSource) -> tuple[str, Affine]:
    """The UTM grid of a place somewhere in the region."""
    from pyproj import Transformer

    longitude, latitude = rng.uniform(*region.longitude), rng.uniform(*region.latitude)
    crs = f"EPSG:{(32600 if latitude >= 0 else 32700) + int((longitude + 180) // 6) + 1}"
    corner = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(longitude, latitude)
    west, north = (round(c / config.gsd) * config.gsd for c in corner)
    return crs, Affine(config.gsd, 0, west, 0, -config.gsd, north)


def _choose_crops(rng: np.random.Generator, region: Region, landscape: Landscape) -> list[str]:
    names = list(region.crops)
    shares = np.array([region.crops[name] for name in names]) * rng.uniform(0.6, 1.6, len(names))
    watered = shares * [name in _IRRIGATED for name in names]
    return [
        str(rng.choice(names, p=(w := watered if plot.pivot else shares) / w.sum())) for plot in landscape.plots
    ]


def _ground(
    rng: np.random.Generator,
    region: Region,
    landscape: Landscape,
    season: Season,
    zones: Sequence[StressZone],
    config: SimulateSource,
) -> Ground:
    canvas = paint(landscape, config.size, config.gsd)
    crops = [CROPS[name] for name in season.crops[: len(landscape.plots)]]
    stripes = rows(rng, canvas, landscape, np.array([c.row_width for c in crops]))
    contrast = np.array([c.row_contrast for c in crops] + [0.0], np.float32)
    stress = _burn([z.outline for z in zones], list(range(len(zones))), config.size, config.gsd / 3, -1)[1::3, 1::3]
    stressors = np.array([(z.onset, *CAUSES[z.cause]) for z in zones], np.float32).reshape(-1, 3)
    return prepare_ground(rng, canvas, season, region.soil, stripes * contrast[canvas.plot], stress, stressors)


def _layers(
    landscape: Landscape,
    crops: Sequence[str],
    dates: Sequence[Dates],
    zones: Sequence[StressZone],
    year: int,
    crs: str,
    transform: Affine,
    extent: float,
) -> dict[str, gpd.GeoDataFrame]:
    ids = [f"p{k + 1:04d}" for k in range(len(crops))]

    def frame(columns: dict[str, object], outlines: Iterable[Geometry]) -> gpd.GeoDataFrame:
        corner = np.array([transform.c, transform.f - extent])
        placed = shapely.transform(np.array(list(outlines), dtype=object), lambda xy: xy + corner)
        return gpd.GeoDataFrame(columns, geometry=placed, crs=crs)

    outlines = [p.outline for p in landscape.plots]
    days = {f"{f.name}_date": [_optional(year, getattr(d, f.name)) for d in dates[: len(ids)]] for f in fields(Dates)}
    parcels = {
        "parcel_id": ids,
        "crop": crops,
        **{name: pd.array(values, dtype="date32[pyarrow]") for name, values in days.items()},
        "area_ha": np.round([o.area / 1e4 for o in outlines], 4),
        "row_azimuth_deg": np.round((90 - np.degrees(row_azimuths(landscape))) % 180, 1),
        "centre_pivot": [p.pivot for p in landscape.plots],
    }
    cover = [("farmstead" if k == "roof" else k, g) for k, v in landscape.cover.items() if k != "roof" for g in v]
    stress = {
        "parcel_id": [ids[z.plot] for z in zones],
        "cause": [z.cause for z in zones],
        "share": [z.share for z in zones],
        "onset_date": pd.array([_date(year, z.onset) for z in zones], dtype="date32[pyarrow]"),
    }
    return {
        "parcels": frame(parcels, outlines),
        "landcover": frame({"kind": [kind for kind, _ in cover]}, [g for _, g in cover]),
        "stress_zones": frame(stress, [z.outline for z in zones]),
    }


def _date(year: int, day: int) -> date:
    return date(year, 1, 1) + timedelta(days=day - 1)


def _optional(year: int, day: int | None) -> date | None:
    return None if day is None else _date(year, day)

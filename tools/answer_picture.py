"""The picture of an answer on a map in the README: `python tools/answer_picture.py docs/images/answer.jpg`.

A scene is simulated whose seed no recipe uses, and the model that ships is asked for the field at a point in
each of the largest fields that fit into a tile; nothing is chosen by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas as gpd
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import rasterio
import shapely
from rasterio.plot import plotting_extent

from agrilape.config.recipe import SimulateSource
from agrilape.serve import SHIPPED, predict_raster
from agrilape.simulate import simulate_scene

SEED, FIELDS = 4242, 12
MOST_M = 280.0
"""Longest side of a field that is asked for: a tile shows 320 m."""


def ask(image: Path, parcels: gpd.GeoDataFrame, folder: Path) -> gpd.GeoDataFrame:
    """The field that the model finds at a point inside each parcel, on the map."""
    found = []
    for number, point in enumerate(parcels.representative_point().to_crs(4326)):
        question = f"which field is at {point.x:.6f}, {point.y:.6f}?"
        answer = predict_raster(SHIPPED, image, question, folder / f"{number}.geojson")
        found.append(gpd.read_file(answer.path).to_crs(parcels.crs).assign(number=number))
    return pd.concat(found)


def main(output: Path) -> None:
    """Simulate, ask, draw."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        scene = simulate_scene(folder, SimulateSource(scenes=1, gsd=2.5, size=512, dates=3, seed=SEED), 0)
        image = sorted(scene.glob("*.tif"))[1]
        parcels = gpd.read_file(scene / "parcels.gpkg", layer="parcels")
        sides = parcels.bounds.T
        fits = (
            np.maximum(sides.loc["maxx"] - sides.loc["minx"], sides.loc["maxy"] - sides.loc["miny"]) <= MOST_M
        )
        inside = parcels[parcels.within(_bounds(image)) & fits]
        largest = inside.loc[inside.area.nlargest(FIELDS).index]
        draw(image, largest, ask(image, largest, folder), output)


def _bounds(image: Path) -> shapely.Polygon:
    with rasterio.open(image) as raster:
        return shapely.box(*raster.bounds)


def draw(image: Path, parcels: gpd.GeoDataFrame, boxes: gpd.GeoDataFrame, output: Path) -> None:
    """The image with each point, the true outline and the box that the model gave."""
    with rasterio.open(image) as raster:
        rgb, extent = raster.read([3, 2, 1]).astype(float), plotting_extent(raster)
    low, high = np.percentile(rgb, (1, 99))
    _, axes = plt.subplots(figsize=(6.4, 6.4), layout="constrained")
    axes.imshow(np.moveaxis(np.clip((rgb - low) / (high - low), 0, 1) ** 0.8, 0, 2), extent=extent)
    parcels.boundary.plot(ax=axes, color="white", linewidth=1.2, linestyle=":")
    boxes.boundary.plot(ax=axes, color="#ffd84d", linewidth=2)
    parcels.representative_point().plot(ax=axes, color="#ffd84d", edgecolor="black", markersize=34, zorder=3)
    axes.set(xlim=extent[:2], ylim=extent[2:])
    axes.set_axis_off()
    plt.savefig(output, dpi=100, pil_kwargs={"quality": 82} if output.suffix == ".jpg" else {})


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Where a raster lies: its coordinate system and transform, or why it has no place on the map."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from affine import Affine
from rasterio.transform import from_gcps

from agrilape.errors import DataError
from agrilape.geo.georeference import apply_affine, centre_longitude
from agrilape.sources.layers import Grid
from agrilape.sources.scene_json import ReadOptions

FEWEST_POINTS = 3  # ground control points that fix a plane
SMALLEST_M = 1e-3  # of a pixel: degrees taken for metres would be smaller
STRAY = 0.5  # pixels that control points may lie off the plane through them


class Placement(NamedTuple):
    """Coordinate system and transform of a raster; `crs` is None for pixels only."""

    crs: str | None
    transform: Affine


def grid_of(path: Path | str, dataset: Any, reading: ReadOptions) -> Grid:
    """The pixel grid of an open raster, on the map if it has a place there.

    Ground control points that lie on a plane are used as they are: the grid may then be rotated. Longitudes
    of 0 to 360 are brought to -180 to 180.

    Args:
        path: The file, for errors.
        dataset: The open raster.
        reading: What the user states: a CRS, or that pixels suffice.

    Raises:
        DataError: It has no place on the map, and `reading` does not accept that.
    """
    place = place_of(dataset, reading.crs)
    if place is None or place.crs is None:
        if reading.pixels_only:
            flat = dataset.transform.determinant == 0
            transform = Affine.identity() if flat else dataset.transform
            return Grid(dataset.width, dataset.height, transform, None)
        raise DataError(*_why_nowhere(path, dataset, reading))
    return on_earth(path, Grid(dataset.width, dataset.height, place.transform, place.crs))


def place_of(dataset: Any, stated: str | None = None) -> Placement | None:
    """Where an open raster lies, going by its transform, else its control points; None for nowhere.

    Args:
        dataset: The open raster.
        stated: Coordinate system of a file that states none.
    """
    points, their_crs = dataset.gcps
    crs, transform = dataset.crs, dataset.transform
    if _is_nowhere(dataset):
        fitted = _fitted(points)
        if fitted is None:
            return None
        crs, transform = their_crs or crs, fitted
    text = crs.to_string() if crs else stated
    if text is None:
        return Placement(None, transform)
    return Placement(text, centre_longitude(text, transform, dataset.width, dataset.height))


def on_earth(path: Path | str, grid: Grid) -> Grid:
    """A grid with longitudes of -180 to 180, if it lies where its coordinate system has a place.

    Args:
        path: Its file, for errors.
        grid: The grid.

    Raises:
        DataError: It does not.
    """
    if grid.crs is None:
        return grid
    transform = centre_longitude(grid.crs, grid.transform, grid.width, grid.height)
    grid = Grid(grid.width, grid.height, transform, grid.crs)
    _check_on_earth(path, grid)
    return grid


def _is_nowhere(dataset: Any) -> bool:
    """Has a raster what stands for "no transform"? Pixels counted from a corner, or a plane without area."""
    a, b, c, d, e, f = tuple(dataset.transform)[:6]
    corners = (0,) if dataset.crs else (0, dataset.height)
    counted = (abs(a), b, c, d, abs(e)) == (1, 0, 0, 0, 1) and f in corners
    return counted or a * e - b * d == 0 or not math.isfinite(a + b + c + d + e + f)


def _fitted(points: Any) -> Affine | None:
    """The transform through control points; None if they are too few, or lie off any plane."""
    if len(points) < FEWEST_POINTS:
        return None
    transform = from_gcps(points)
    if transform.determinant == 0 or not math.isfinite(transform.determinant):
        return None
    on_map = np.array([(point.x, point.y) for point in points])
    pixels = np.array([(point.col, point.row) for point in points])
    off = np.abs(apply_affine(~transform, on_map) - pixels).max()
    return transform if off <= STRAY else None


def _why_nowhere(path: Path | str, dataset: Any, reading: ReadOptions) -> tuple[str, str]:
    """What a raster lacks to have a place on the map, and what gives it one."""
    warped = f"{path} warped.tif"
    if not _is_nowhere(dataset) or _fitted(dataset.gcps[0]):
        return (
            f"{path} has no coordinate reference system",
            'assign the true one (rio edit-info --crs EPSG:..., or "crs" in scene.json), '
            "or ask for pixels only",
        )
    if points := dataset.gcps[0]:
        target = dataset.gcps[1].to_string() if dataset.gcps[1] else "EPSG:..."
        few = len(points) < FEWEST_POINTS
        return (
            f"{path} has no transform, and {len(points)} ground control points that fix none",
            f"give it {FEWEST_POINTS} or more: gdal_translate -gcp COLUMN ROW X Y -a_srs {target} {warped}"
            if few
            else f"warp it through them: gdalwarp -tps -t_srs {target} {warped}",
        )
    if dataset.rpcs:
        return (
            f"{path} has rational polynomial coefficients (RPC) and no transform",
            f"orthorectify it: gdalwarp -rpc -to RPC_DEM=elevation.tif -t_srs EPSG:... {warped}",
        )
    system = dataset.crs.to_string() if dataset.crs else reading.crs
    known = f"the system {system[:40]} but" if system else "no coordinate reference system and"
    return (
        f"{path} has {known} no place on the map: its transform only counts pixels",
        "export it again with its georeference, put its world file (.tfw) beside it, or give its corners: "
        "gdal_translate -a_srs EPSG:... -a_ullr LEFT TOP RIGHT BOTTOM; or ask for pixels only",
    )


def _check_on_earth(path: Path | str, grid: Grid) -> None:
    """Refuse a place that its coordinate system does not have."""
    georeference = grid.georeference
    assert georeference is not None
    try:
        size = georeference.gsd_m
        longitude, latitude = georeference.centre_wgs84()
    except DataError as error:
        raise DataError(f"{path}: {error.problem}", error.remedy) from error
    if not (math.isfinite(longitude + latitude + size) and abs(latitude) <= 90 and size > SMALLEST_M):
        raise DataError(
            f"{path} lies outside what its coordinate system {grid.crs!r} can show, or its pixels are tiny",
            "assign the system in which its transform was made",
        )

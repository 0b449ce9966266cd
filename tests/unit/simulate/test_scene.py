"""Scenes as files: the same bytes again, readable by anyone, true to the pixels."""

import hashlib
import json
from datetime import date

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from pyproj import CRS
from rasterio.features import rasterize

from agrilape.config.recipe import SimulateSource
from agrilape.errors import RecipeError
from agrilape.simulate import scene as scene_module
from agrilape.simulate import simulate_scene
from agrilape.simulate.crops import CROPS

CONFIG = SimulateSource(size=160, dates=12, seed=3)
EXTENT_M = CONFIG.size * CONFIG.gsd


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(scope="module", params=[0, 5])
def scene(request, root):
    return simulate_scene(root, CONFIG, request.param)


def layer(scene, name="parcels"):
    return gpd.read_file(scene / "parcels.gpkg", layer=name)


def images(scene):
    return sorted(scene.glob("*.tif"))


def read(path):
    with rasterio.open(path) as raster:
        return raster.read()


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_same_seed_and_index_give_the_same_bytes(scene, tmp_path):
    index = json.loads((scene / "scene.json").read_text())["index"]
    assert digests(simulate_scene(tmp_path, CONFIG, index)) == digests(scene)


def test_another_index_or_seed_gives_another_scene(scene, tmp_path):
    small = CONFIG.model_copy(update={"dates": 1, "size": 128})
    folders = [
        simulate_scene(tmp_path / "a", small, 0),
        simulate_scene(tmp_path / "a", small, 1),
        simulate_scene(tmp_path / "b", small.model_copy(update={"seed": 4}), 0),
    ]
    assert len({digests(folder)["parcels.gpkg"] for folder in folders}) == 3


def test_images_carry_bands_dates_and_place(scene):
    facts = json.loads((scene / "scene.json").read_text())
    assert len(images(scene)) == CONFIG.dates
    for path in images(scene):
        with rasterio.open(path) as raster:
            assert raster.descriptions == ("B02", "B03", "B04", "B08", "cloud_mask")
            assert raster.dtypes == ("uint16",) * 5
            assert raster.nodata == 0
            assert raster.scales == (1e-4, 1e-4, 1e-4, 1e-4, 1.0)
            assert raster.tags()["ACQUISITION_DATE"].replace("-", "") == path.stem
            assert raster.crs == rasterio.crs.CRS.from_string(facts["crs"])
            assert raster.res == (CONFIG.gsd, CONFIG.gsd)
            assert facts["window"]["start"] <= raster.tags()["ACQUISITION_DATE"] <= facts["window"]["end"]


def test_dates_are_irregular(scene):
    days = [date(int(p.stem[:4]), int(p.stem[4:6]), int(p.stem[6:])).toordinal() for p in images(scene)]
    assert len(set(np.diff(days))) > 3


def test_the_utm_zone_is_the_places(scene):
    parcels = layer(scene)
    longitude = parcels.to_crs(4326).total_bounds[0]
    zone = int((longitude + 180) // 6) + 1
    assert CRS(parcels.crs).to_epsg() == 32600 + zone


def test_parcels_lie_in_the_image_and_have_their_area(scene):
    parcels = layer(scene)
    with rasterio.open(images(scene)[0]) as raster:
        frame = shapely.box(*raster.bounds)
    assert frame.buffer(1e-6).contains(parcels.union_all())
    np.testing.assert_allclose(parcels.area_ha, parcels.area / 1e4, atol=1e-4)
    assert parcels.parcel_id.is_unique
    assert set(parcels.crop) <= set(CROPS)
    assert parcels.crop.nunique() >= 4


def test_parcel_dates_are_dates_in_order(scene):
    parcels = layer(scene)
    events = parcels[["sowing_date", "emergence_date", "peak_date", "harvest_date"]].apply(pd.to_datetime)
    sown = events.dropna()
    assert len(sown) > 5
    assert (sown.diff(axis=1).iloc[:, 1:] > pd.Timedelta(0)).all(axis=None)
    assert parcels[~parcels.index.isin(sown.index)].crop.isin(["grassland", "fallow"]).all()
    assert (
        pd.to_datetime(parcels.harvest_date).dropna()
        == pd.to_datetime(parcels.harvest_date).dropna().dt.normalize()
    ).all()


def test_the_image_is_greenest_around_the_peak_date(scene):
    parcels = layer(scene)
    parcels = parcels[parcels.sowing_date.notna() & (parcels.area_ha > 2) & (parcels.crop != "rapeseed")]
    with rasterio.open(images(scene)[0]) as raster:
        shapes = ((g.buffer(-15), k) for k, g in enumerate(parcels.geometry, 1) if not g.buffer(-15).is_empty)
        field = rasterize(shapes, raster.shape, transform=raster.transform, dtype="int32")
    seen = []
    for path in images(scene):
        *_, red, nir, cloud = read(path).astype(float)
        ndvi = np.where(cloud == 1, np.nan, (nir - red) / (nir + red))
        means = [np.ma.masked_invalid(ndvi[field == k]).mean() for k in range(1, len(parcels) + 1)]
        seen.append([np.ma.filled(mean, np.nan) for mean in means])
    days = pd.to_datetime([p.stem for p in images(scene)])
    near = tops = 0
    for curve, peak in zip(np.array(seen).T, pd.to_datetime(parcels.peak_date), strict=True):
        known = np.isfinite(curve)
        if known.sum() < 4:
            continue
        closest = np.argmin(np.abs(days[known] - peak))
        near += curve[known][closest] > np.nanmax(curve) - 0.08
        tops += 1
        assert curve[known][closest] > np.nanmin(curve) + 0.2
    assert tops >= 5
    assert near / tops > 0.8


def test_clouds_are_masked_and_their_shadow_too(root):
    masked = clear_sky = 0
    for index in range(3):
        for path in images(simulate_scene(root / "clouds", CONFIG, index)):
            blue, *_, cloud = read(path)
            assert set(np.unique(cloud)) <= {0, 1}
            masked += cloud.any()
            clear_sky += not cloud.any()
            # 0.25 in the blue band is brighter than any ground but a metal roof's glare.
            assert (blue[cloud == 0] < 2500).mean() > 0.999
    assert masked >= 3
    assert clear_sky >= 3


def test_landcover_and_stress_zones(root):
    config = SimulateSource(size=320, dates=1, seed=1)
    scene = simulate_scene(root / "large", config, 0)
    parcels, zones = layer(scene).set_index("parcel_id"), layer(scene, "stress_zones")
    assert {"road", "wood"} <= set(layer(scene, "landcover").kind) <= {
        "road", "track", "wood", "hedge", "farmstead", "water"
    }  # fmt: skip
    assert len(zones) > 2
    for zone in zones.itertuples():
        field = parcels.geometry[zone.parcel_id]
        assert field.buffer(1e-6).contains(zone.geometry)
        assert zone.share == pytest.approx(zone.geometry.area / field.area, abs=1e-3)


def test_an_interrupted_scene_leaves_the_old_one_and_no_trace(root, monkeypatch):
    folder = simulate_scene(root / "broken", CONFIG.model_copy(update={"dates": 1, "size": 128}), 0)
    before = digests(folder)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(scene_module, "write_truth", fail)
    with pytest.raises(OSError, match="disk full"):
        simulate_scene(root / "broken", CONFIG, 0)
    assert digests(folder) == before
    assert [p.name for p in folder.parent.iterdir()] == ["scene_0000"]


@pytest.mark.parametrize(("gsd", "size"), [(0.5, 200), (1.0, 128), (5.0, 256)])
def test_even_small_scenes_hold_several_fields(tmp_path, gsd, size):
    scene = simulate_scene(tmp_path, SimulateSource(gsd=gsd, size=size, dates=1), 0)
    assert len(layer(scene)) >= 4


@pytest.mark.parametrize("wrong", [{"dates": 300}, {"gsd": 0.1, "size": 128}])
def test_impossible_settings_are_refused_with_a_remedy(tmp_path, wrong):
    with pytest.raises(RecipeError, match="->"):
        simulate_scene(tmp_path, SimulateSource(**wrong), 0)
    assert not list(tmp_path.iterdir())

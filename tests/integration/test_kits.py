"""The real kits, each read by the rules of its authors."""

import os
from collections import Counter
from datetime import date
from functools import cache
from itertools import compress
from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from agrilape.config.recipe import KitSource
from agrilape.errors import DataError
from agrilape.sources import KITS, PixelWindow, Scene, load_scenes
from agrilape.sources.kits import kits_folder, open_point_series

pytestmark = pytest.mark.skipif(
    not kits_folder().is_dir(),
    reason=f"no kits in {kits_folder()}; set AGRILAPE_KITS to the folder that holds them",
)


@cache
def scenes(name: str) -> list[Scene]:
    return list(load_scenes(KitSource(kind="kit", name=name)))


def whole(scene: Scene) -> PixelWindow:
    return PixelWindow(0, 0, scene.width, scene.height)


def inside(scene: Scene, geometry: shapely.Geometry) -> np.ndarray:
    rows, columns = np.mgrid[: scene.height, : scene.width] + 0.5
    return shapely.contains_xy(geometry, columns, rows)


@pytest.mark.parametrize("name", sorted(KITS))
def test_every_kit_gives_scenes_that_can_be_seen(name):
    found = scenes(name)
    assert len({scene.id for scene in found}) == len(found)
    for scene in found[:3]:
        assert scene.source == name
        assert {"group", "sensor", "licence", "citation"} <= set(scene.meta)
        frame = scene.frames[len(scene.frames) // 2]
        composite = "true_colour" if "blue" in frame.bands else "ndvi"
        picture = frame.picture(whole(scene), composite)
        assert picture.shape == (scene.height, scene.width, 3)
        assert picture.std() > 5
        assert (picture == 0).all(-1).mean() < 0.05  # no black fields
        days = [frame.acquired for frame in scene.frames if frame.acquired]
        assert days == sorted(set(days))
        assert not days or scene.window.start <= days[0] <= days[-1] <= scene.window.end


def test_denmark():
    (scene,) = scenes("dk_s2_lpis2016")
    crops = Counter(parcel.crop for parcel in scene.parcels)
    assert (len(scene.parcels), crops["spring barley"], crops["silage maize"], crops[None]) == (
        205,
        57,
        26,
        11,
    )
    assert scene.georeference.crs == "EPSG:32632"
    assert scene.exhaustively_labelled
    clipped = [parcel for parcel in scene.parcels if parcel.attributes.get("clipped")]
    assert 0 < len(clipped) < 60
    assert all(parcel.area_ha is None for parcel in clipped)
    assert scene.meta["group"] == "dk-west"
    # The bands are in the right order: grass reflects more green than red, and roads stay between the fields.
    grass = shapely.union_all([parcel.outline for parcel in scene.parcels if parcel.crop == "winter wheat"])
    red, green = scene.frames[0].read(whole(scene), ("red", "green"))
    mask = inside(scene, grass)
    assert np.median(green[mask]) > np.median(red[mask])


def test_france():
    (scene,) = scenes("fr_s2_ts2018")
    assert not scene.exhaustively_labelled
    assert [frame.acquired for frame in scene.frames][:2] == [date(2018, 1, 23), date(2018, 1, 28)]
    assert len(scene.frames) == 9
    assert (scene.width, scene.height) == (232, 179)
    crops = Counter(parcel.crop for parcel in scene.parcels)
    assert (crops["vineyard"], crops["grassland"], crops[None]) == (42, 8, 6)
    assert {"swir_1", "red_edge_1", "ndvi"} <= set(scene.frames[0].bands)
    clear = [np.isfinite(frame.read(whole(scene), ("red",))).mean() for frame in scene.frames]
    assert min(clear) < 0.9 < max(clear)  # clouds are masked on some dates, not on all


def test_switzerland():
    found = scenes("ch_wheat_s2_bbch2022")
    assert [scene.meta["group"] for scene in found] == ["ch/strickhof", "ch/swissfuturefarm"]
    kinds = Counter(observation.kind for scene in found for observation in scene.observations)
    assert kinds == {"bbch": 278, "leaf_area_index": 223}
    for scene in found:
        assert {parcel.crop for parcel in scene.parcels} == {"winter wheat"}
        points = [shapely.Point(o.x, o.y) for o in scene.observations]
        near = scene.region.buffer(2)  # the rating's own GPS is good to a few metres
        assert np.mean([near.contains(point) for point in points]) > 0.95
        outside = ~inside(scene, scene.region.buffer(2))
        red = np.stack([frame.read(whole(scene), ("red",))[0] for frame in scene.frames])
        assert np.isfinite(red[:, outside]).mean() < 0.005  # two dates hold a field that has no label
        assert np.isfinite(red[:, ~outside]).mean() > 0.4
        stages = sorted((o.observed, o.value) for o in scene.observations if o.kind == "bbch")
        assert stages[0][1] < 30 < 70 < stages[-1][1]  # tillering in March, ripening in July


def test_wheat_is_greenest_in_spring():
    scene = scenes("ch_wheat_s2_bbch2022")[0]
    ndvi = {
        frame.acquired: frame.read(whole(scene), ("(nir - red) / (nir + red)",)) for frame in scene.frames
    }
    greenest = max(ndvi, key=lambda day: np.nanmean(ndvi[day]))
    assert date(2022, 4, 1) < greenest < date(2022, 6, 15)


def test_united_states():
    found = scenes("us_naip_field_polygons")
    states = Counter(scene.meta["group"] for scene in found)
    assert states == {"us-il": 12, "us-ia": 7, "us-wi": 4, "us-mn": 4, "us-ks": 2, "us-mo": 2}
    assert len(found) == 31
    assert all(scene.georeference is None and len(scene.frames) == 1 for scene in found)
    fields = [parcel for scene in found for parcel in scene.parcels]
    assert 1000 < len(fields) < 1200
    assert all(parcel.outline.is_valid and parcel.crop is None for parcel in fields)


def test_bahia():
    (scene,) = scenes("br_cbers4_ndvi_2018_19")
    assert (len(scene.frames), scene.frames[0].bands) == (23, ("ndvi",))
    assert Counter(o.value for o in scene.observations) == {"pasture": 26, "cropland": 23}
    assert all(0 <= o.x <= scene.width and 0 <= o.y <= scene.height for o in scene.observations)
    # Published series of the labelled points: the first two composites of point 4.
    first = scene.observations[0]
    pixel = PixelWindow(int(first.x), int(first.y), 1, 1)
    read = [frame.read(pixel, ("ndvi",)).item() for frame in scene.frames[:2]]
    assert read == pytest.approx([0.2357, 0.2119], abs=0.06)
    assert scene.georeference.gsd_m == pytest.approx(64, abs=0.1)


def test_mato_grosso():
    every = scenes("br_mt_modis_ts")
    assert {scene.meta["group"] for scene in every} == {"br/mato-grosso"}
    found = [scene for scene in every if scene.window.days < 400]
    assert [scene.meta["season"] for scene in found][:2] == ["2007/2008", "2008/2009"]
    pairs = every[len(found) :]
    assert [scene.meta["season"] for scene in pairs][:2] == ["2007/2009", "2008/2010"]
    assert len(pairs) == len(found) - 1
    labels = Counter(o.value for scene in found for o in scene.observations)
    assert labels["soybean, then millet"] == 184
    assert labels.total() == 603
    # Soybean then maize: bare before sowing in September, green at the turn of the year.
    double = [(scene, o) for scene in found for o in scene.observations if o.value == "soybean, then maize"]
    ndvi = {month: [ndvi_at(scene, o, month) for scene, o in double] for month in (9, 12)}
    assert np.mean(ndvi[9]) < 0.45 < 0.7 < np.mean(ndvi[12])


def ndvi_at(scene, observation, month):
    frame = next(frame for frame in scene.frames if frame.acquired.month == month)
    return frame.read(PixelWindow(int(observation.x), int(observation.y), 1, 1), ("ndvi",)).item()


def test_eurosat():
    found = scenes("eurosat_rgb_subset")
    labels = Counter(scene.label for scene in found)
    assert (len(found), labels["annual crop"], labels["sea or lake"]) == (2600, 500, 100)
    assert {(scene.width, scene.height) for scene in found[:50]} == {(64, 64)}


def test_missing_kit_says_where_it_was_sought(tmp_path, monkeypatch):
    monkeypatch.setenv("AGRILAPE_KITS", str(tmp_path))
    with pytest.raises(DataError, match="dk_s2_lpis2016"):
        list(load_scenes(KitSource(kind="kit", name="dk_s2_lpis2016")))
    with pytest.raises(DataError, match="no kit 'x'"):
        list(load_scenes(KitSource(kind="kit", name="x")))


def test_kits_folder_follows_the_environment(monkeypatch):
    monkeypatch.delenv("AGRILAPE_KITS", raising=False)
    assert kits_folder() == Path("../shared/kits")
    assert os.environ.get("AGRILAPE_KITS") is None


def test_point_series_of_brazil_agree_with_the_image():
    """Points inside the image have its NDVI, up to half a pixel of displacement."""
    (scene,) = scenes("br_cbers4_ndvi_2018_19")
    series = open_point_series("br_cbers4_ndvi_2018_19")
    assert Counter(point.label for point in series) == {
        "pasture": 188, "cropland": 180, "cerrado": 141, "cerradao": 110,
    }  # fmt: skip
    assert {point.dates for point in series} == {tuple(frame.acquired for frame in scene.frames)}
    to_map = Transformer.from_crs("OGC:CRS84", scene.georeference.crs, always_xy=True)
    places = [scene.georeference.to_normalised(*to_map.transform(p.longitude, p.latitude)) for p in series]
    inside = [0 <= place.x < 1 and 0 <= place.y < 1 for place in places]
    assert sum(inside) == len(scene.observations)
    stack = np.stack([frame.read(whole(scene), ("ndvi",))[0] for frame in scene.frames])
    imaged = [stack[:, int(p.y * scene.height), int(p.x * scene.width)] for p in compress(places, inside)]
    measured = [point.values["ndvi"] for point in compress(series, inside)]
    assert np.corrcoef(np.ravel(imaged), np.ravel(measured))[0, 1] > 0.94


def test_kit_without_point_series_is_an_error():
    with pytest.raises(DataError, match="no point series"):
        open_point_series("dk_s2_lpis2016")
